"""The backward graph as text, each time against torch's autograd of the reference."""

from __future__ import annotations

import textwrap

import pytest
import torch
from graphs import graph, numbers, run
from tolerances import NET_GRADIENT, assert_close

from netdsl.differentiate import differentiate
from netdsl.ir import Graph
from netdsl.modes import SEED


def differentiated(before: Graph, wanted: tuple[str, ...], expected: str) -> Graph:
    """The joint graph: its whole text, and its gradients those of autograd."""
    joint = differentiate(before, wanted)
    assert joint.text() == textwrap.dedent(expected).strip()
    gradients_are_autograds(before, joint, wanted)
    return joint


def gradients_are_autograds(before: Graph, joint: Graph, wanted: tuple[str, ...]) -> None:
    given = numbers(joint)
    leaves = {k: t.requires_grad_(k in wanted) for k, t in given.items()}
    outputs = {n: y for (_, n), y in run(before, leaves).items() if y.requires_grad}
    dys = [given[name] for name in outputs]
    tensors = [leaves[key] for key in wanted]
    references = torch.autograd.grad(list(outputs.values()), tensors, dys, allow_unused=True)
    found = {name: dx for (role, name), dx in run(joint, given).items() if role == "gradient"}
    for key, reference in zip(wanted, references, strict=True):
        if reference is None:
            assert key not in found
        else:
            assert_close(found[key], reference, NET_GRADIENT, key)


def test_a_fork_adds_gradients_so_x_plus_f_has_one_and_f() -> None:
    before = graph("net Residual(x: [N, 3]) { return x + tanh(x) }")
    joint = """
        graph Residual {
          %0 = input x: [N, 3]
          %1 = tanh(%0) -> [N, 3]  # tanh1
          %2 = add(%0, %1) -> [N, 3]  # add1
          %3 = cotangent return: [N, 3]
          %4 = tanh_grad(%1, %3) -> [N, 3]  # tanh1
          %5 = add(%3, %4) -> [N, 3]  # tanh1
          output return = %2
          gradient x = %5
        }
    """
    differentiated(before, ("x",), joint)


def test_x_plus_x_has_twice_the_cotangent() -> None:
    before = graph("net Double(x: [N, 3]) { return x + x }")
    joint = """
        graph Double {
          %0 = input x: [N, 3]
          %1 = add(%0, %0) -> [N, 3]  # add1
          %2 = cotangent return: [N, 3]
          %3 = add(%2, %2) -> [N, 3]  # add1
          output return = %1
          gradient x = %3
        }
    """
    differentiated(before, ("x",), joint)


def test_a_wanted_input_that_is_an_output_has_the_cotangent() -> None:
    before = graph("net Both(x: [N, 3]) -> (y: [N, 3], z: [N, 3]) {\n y = x\n z = x -> relu\n}")
    joint = """
        graph Both {
          %0 = input x: [N, 3]
          %1 = relu(%0) -> [N, 3]  # relu1
          %2 = cotangent y: [N, 3]
          %3 = cotangent z: [N, 3]
          %4 = relu_grad(%1, %3) -> [N, 3]  # relu1
          %5 = add(%2, %4) -> [N, 3]  # relu1
          output y = %0
          output z = %1
          gradient x = %5
        }
    """
    differentiated(before, ("x",), joint)


def test_an_unused_parameter_has_no_gradient() -> None:
    before = graph("""
        net Unused(x: [N, 3]) {
          z = x -> linear(2, bias=false)
          return x -> relu
        }
    """)
    joint = """
        graph Unused {
          %0 = input x: [N, 3]
          %1 = parameter linear1.weight: [2, 3]
          %2 = linear(%0, %1; d=2, bias=false) -> [N, 2]  # linear1
          %3 = relu(%0) -> [N, 3]  # relu1
          %4 = cotangent return: [N, 3]
          %5 = relu_grad(%3, %4) -> [N, 3]  # relu1
          output return = %3
          gradient x = %5
        }
    """
    differentiated(before, ("x", "linear1.weight"), joint)


def test_integers_have_no_gradient() -> None:
    before = graph("net Class(x: [N, 3]) { return x -> relu -> argmax(axis=1) }")
    joint = differentiate(before, ("x",))
    assert [o.role for o in joint.outputs] == ["output"]


def test_an_output_that_depends_on_nothing_wanted_takes_no_cotangent() -> None:
    before = graph("""
        net Two(x: [N, 3], z: [N, 3]) -> (a: [N, 3], b: [N, 3]) {
          a = x -> relu
          b = z -> tanh
        }
    """)
    joint = """
        graph Two {
          %0 = input x: [N, 3]
          %1 = input z: [N, 3]
          %2 = relu(%0) -> [N, 3]  # relu1
          %3 = tanh(%1) -> [N, 3]  # tanh1
          %4 = cotangent a: [N, 3]
          %5 = relu_grad(%2, %4) -> [N, 3]  # relu1
          output a = %2
          output b = %3
          gradient x = %5
        }
    """
    differentiated(before, ("x",), joint)


def test_a_frozen_weight_has_no_gradient_and_still_passes_it_on() -> None:
    before = graph("net Frozen(x: [N, 3]) { return x -> linear(2, bias=false) -> relu }")
    joint = differentiate(before, ("x",))
    assert [o.name for o in joint.outputs if o.role == "gradient"] == ["x"]
    gradients_are_autograds(before, joint, ("x",))


def test_an_op_is_exchanged_for_the_form_that_its_gradient_needs() -> None:
    before = graph("net Pool(x: [N, 2, H, W]) { return x -> max_pool(2) }")
    joint = differentiate(before, ("x",))
    names = [node.op.name for _, node in joint.items]
    assert "max_pool" not in names
    assert "max_pool_indices" in names
    gradients_are_autograds(before, joint, ("x",))


@pytest.mark.parametrize("training", [(), ("", "bn1"), ("", "bn1", "dropout1")], ids=str)
def test_layers_of_a_real_net_in_each_mode(training: tuple[str, ...]) -> None:
    before = graph(
        """
        net Real(x: [N, 3, H, W]) {
          a = x -> conv(4, 3) -> bn -> relu
          b = a -> conv(4, 3, bias=false) -> dropout(0.5)
          return concat(a + b, x) -> avg_pool(2, stride=1) -> global_avg_pool -> linear(2)
        }
        """,
        training,
    )
    wanted = ("x", "conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight", "linear1.bias")
    joint = differentiate(before, wanted)
    assert (SEED in {op.key for op in joint.inputs}) == ("dropout1" in training)
    gradients_are_autograds(before, joint, wanted)
