"""Cutting: what forward saves for backward, and what an inference graph computes once."""

from __future__ import annotations

import textwrap

import torch
from graphs import graph, numbers, run
from tolerances import NET, assert_close, assert_exact

from netdsl.cut import forward_backward, prelude_main
from netdsl.differentiate import differentiate
from netdsl.ir import Graph
from netdsl.liveness import liveness
from netdsl.module import NetModule
from netdsl.passes.fold_bn import fold_bn


def text(graph: Graph, expected: str) -> None:
    assert graph.text() == textwrap.dedent(expected).strip()


def assert_parts_compute_the_whole(whole: Graph, first: Graph, second: Graph) -> None:
    """The outputs of both parts, what is saved handed over, are those of the whole."""
    given = numbers(whole)
    found = run(first, given)
    saved = {name: y for (role, name), y in found.items() if role == "saved"}
    found |= run(second, given | saved)
    for key, reference in run(whole, given).items():
        assert_close(found[key], reference, NET, key)


def test_a_view_is_made_again_rather_than_saved() -> None:
    before = graph(
        "net View(x: [N, 2, 3]) { return x -> tanh -> flatten -> linear(2, bias=false) }"
    )
    joint = differentiate(before, ("x", "linear1.weight"))
    forward, backward = forward_backward(joint)
    text(
        forward,
        """
        graph View {
          %0 = input x: [N, 2, 3]
          %1 = tanh(%0) -> [N, 2, 3]  # tanh1
          %2 = flatten(%1) -> [N, 6]  # flatten1
          %3 = parameter linear1.weight: [2, 6]
          %4 = linear(%2, %3; d=2, bias=false) -> [N, 2]  # linear1
          output return = %4
          saved 0 = %1
        }
        """,
    )
    text(
        backward,
        """
        graph View {
          %0 = saved 0: [N, 2, 3]
          %1 = flatten(%0) -> [N, 6]  # flatten1
          %2 = parameter linear1.weight: [2, 6]
          %3 = cotangent return: [N, 2]
          %4 = matmul(%3, %2) -> [N, 6]  # linear1
          %5 = linear_weight_grad(%1, %3; bias=false) -> [2, 6]  # linear1
          %6 = reshape(%4; shape=[N, 2, 3]) -> [N, 2, 3]  # flatten1
          %7 = tanh_grad(%0, %6) -> [N, 2, 3]  # tanh1
          gradient x = %7
          gradient linear1.weight = %5
        }
        """,
    )
    assert_parts_compute_the_whole(joint, forward, backward)


def test_no_two_saved_values_share_memory() -> None:
    before = graph("""
        net Views(x: [N, 2, 3, 4]) {
          a, b = x -> tanh -> split([1, 1])
          c = a -> transpose([1, 0, 2, 3]) -> transpose([1, 0, 2, 3])
          return a * b * c -> flatten -> linear(2)
        }
    """)
    joint = differentiate(before, ("x", "linear1.weight"))
    forward, backward = forward_backward(joint)
    live = liveness(forward)
    buffers = [live.buffer[o.value] for o in forward.outputs if o.role == "saved"]
    assert len(set(buffers)) == len(buffers) > 0
    assert_parts_compute_the_whole(joint, forward, backward)


def test_a_source_is_handed_to_both_parts_and_not_saved() -> None:
    joint = differentiate(graph("net Square(x: [N, 3]) { return x * x }"), ("x",))
    forward, backward = forward_backward(joint)
    assert [o.role for o in forward.outputs] == ["output"]
    assert [op.describe() for op in backward.inputs] == [
        "input x: [N, 3]",
        "cotangent return: [N, 3]",
    ]


def test_backward_without_gradients_is_empty() -> None:
    joint = differentiate(graph("net Class(x: [N, 3]) { return x -> argmax(axis=1) }"), ("x",))
    assert forward_backward(joint)[1].outputs == ()


def test_what_depends_on_parameters_alone_is_computed_once() -> None:
    whole = fold_bn(graph("net Folded(x: [N, 3]) { return x -> linear(2, bias=false) -> bn }"))
    prelude, main = prelude_main(whole)
    text(
        main,
        """
        graph Folded {
          %0 = input x: [N, 3]
          %1 = saved 0: [2]
          %2 = saved 1: [2, 3]
          %3 = linear(%0, %2, %1; d=2) -> [N, 2]  # bn1
          output return = %3
        }
        """,
    )
    assert [(o.role, str(o.value.type)) for o in prelude.outputs] == [
        ("saved", "[2]"),
        ("saved", "[2, 3]"),
    ]
    assert_parts_compute_the_whole(whole, prelude, main)


def test_what_follows_from_constants_alone_needs_no_prelude() -> None:
    """It has no operand that says dtype and device (found by random graphs)."""
    net = graph("net Sum(x: [N, 3]) { return x + 0 }")
    model = NetModule(net, off=("fold-constants",)).double()
    x = torch.ones(2, 3, dtype=torch.float64)
    with torch.no_grad():
        assert_exact(model(x), x)
    prelude, _ = prelude_main(net)
    assert prelude.outputs == ()


def test_an_output_that_is_an_input_is_a_copy() -> None:
    model = NetModule(graph("net Same(x: [N, 3]) -> (y: [N, 3], z: [N, 3]) {\n y = x\n z = x\n}"))
    x = torch.randn(2, 3, requires_grad=True)
    y, z = model(x)
    assert len({t.data_ptr() for t in (x, y, z)}) == 3
    (2 * y + 3 * z).sum().backward()
    assert_exact(x.grad, torch.full((2, 3), 5.0))
