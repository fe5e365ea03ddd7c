"""Pointwise regions become one node: which do, which do not, and the reason that is said."""

from __future__ import annotations

import torch
from graphs import graph, numbers, rewritten, run
from tolerances import assert_exact

from netdsl.fusions.pointwise import fuse_pointwise, regions
from netdsl.ir import Graph
from netdsl.module import NetModule
from netdsl.rewrite import with_sizes


def refusals(net: Graph) -> list[tuple[str, str]]:
    return [(net.node(r.node).path, r.reason) for r in regions(net)[1]]


def test_a_chain_becomes_one_region() -> None:
    before = graph("net Chain(x: [N, 3]) { return x -> relu -> tanh -> sigmoid }")
    after = """
        graph Chain {
          %0 = input x: [N, 3]
          %1 = fused(%0; { relu(); tanh(); sigmoid() }) -> [N, 3]  # sigmoid1
          output return = %1
        }
    """
    rewritten(fuse_pointwise, before, after)
    assert refusals(before) == []


def test_value_seen_outside_is_not_fused() -> None:
    before = graph("""
        net Seen(x: [N, 3]) -> (y: [N, 3], z: [N, 3]) {
          y = x -> relu -> tanh
          z = y -> sigmoid -> relu
        }
    """)
    after = """
        graph Seen {
          %0 = input x: [N, 3]
          %1 = fused(%0; { relu(); tanh() }) -> [N, 3]  # tanh1
          %2 = fused(%1; { sigmoid(); relu() }) -> [N, 3]  # relu2
          output y = %1
          output z = %2
        }
    """
    rewritten(fuse_pointwise, before, after)
    assert refusals(before) == [("tanh1", "its value is an output")]


def test_value_with_a_user_outside_is_not_fused() -> None:
    before = graph("""
        net Fork(x: [N, 3]) {
          a = x -> relu -> tanh
          b = a -> linear(3, bias=false)
          return relu(a + b)
        }
    """)
    after = """
        graph Fork {
          %0 = input x: [N, 3]
          %1 = fused(%0; { relu(); tanh() }) -> [N, 3]  # tanh1
          %2 = parameter linear1.weight: [3, 3]
          %3 = linear(%1, %2; d=3, bias=false) -> [N, 3]  # linear1
          %4 = fused(%1, %3; { add(); relu() }) -> [N, 3]  # relu2
          output return = %4
        }
    """
    rewritten(fuse_pointwise, before, after)
    assert refusals(before) == [("tanh1", "its value is used outside the region")]


def test_a_smaller_operand_is_computed_once_and_broadcast() -> None:
    before = graph("""
        net Wide(x: [N, 3, H, W], m: [3, 1, 1]) { return relu(x * tanh(sigmoid(m))) }
    """)
    after = """
        graph Wide {
          %0 = input x: [N, 3, H, W]
          %1 = input m: [3, 1, 1]
          %2 = fused(%1; { sigmoid(); tanh() }) -> [3, 1, 1]  # tanh1
          %3 = fused(%0, %2; { mul(); relu() }) -> [N, 3, H, W]  # relu1
          output return = %3
        }
    """
    rewritten(fuse_pointwise, before, after)
    assert refusals(before) == [("tanh1", "its shape [3, 1, 1] is not the region's")]


def test_a_diamond_becomes_one_region() -> None:
    before = graph("""
        net Diamond(x: [N, 3]) {
          a = x -> relu
          return tanh(a) + sigmoid(a)
        }
    """)
    after = """
        graph Diamond {
          %0 = input x: [N, 3]
          %1 = fused(%0; { relu(); tanh(); sigmoid(); add() }) -> [N, 3]  # add1
          output return = %1
        }
    """
    rewritten(fuse_pointwise, before, after)


def test_a_region_takes_constants_inside() -> None:
    before = graph("""
        net Self(x: [N, 3]) {
          a = x -> relu
          return tanh(a + a) * 2
        }
    """)
    after = """
        graph Self {
          %0 = input x: [N, 3]
          %1 = fused(%0; { relu(); add(); tanh(); mul() }) -> [N, 3]  # mul1
          output return = %1
        }
    """
    rewritten(fuse_pointwise, before, after)


def test_one_op_alone_is_no_region() -> None:
    before = graph("net One(x: [N, 3]) { return x -> linear(2) -> relu }")
    assert fuse_pointwise(before) is before


def test_a_region_has_the_multiply_accumulates_and_sizes_of_its_body() -> None:
    after = fuse_pointwise(graph("net Chain(x: [N, 3]) { return x -> relu -> tanh }"))
    (fused,) = [node for _, node in with_sizes(after, {"N": 7}).items if node.op.name == "fused"]
    assert [str(t) for t in fused.types] == ["[7, 3]"]
    assert [str(node.types[0]) for _, node in fused.op.body.items] == ["[7, 3]"] * 3
    assert fused.op.macs((), ()) == 0


def test_a_region_writes_into_no_operand_that_is_read_later() -> None:
    net = graph("""
        net Later(x: [N, 3]) {
          a = x -> linear(3)
          b = tanh(sigmoid(a))
          return (b -> linear(3)) + a
        }
    """)
    given = numbers(net)
    model = NetModule(net).double()
    model.load_state_dict({key: t for key, t in given.items() if key != "x"})
    with torch.no_grad():
        assert_exact(model(given["x"]), run(net, given)["output", "return"])
