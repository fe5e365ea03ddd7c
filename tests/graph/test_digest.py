"""What the hash of a graph depends on, and what not: the numbers of its nodes."""

from __future__ import annotations

import torch

from netdsl.initial import ZEROS
from netdsl.ir import Builder, Graph, Input, Output
from netdsl.modes import specialise
from netdsl.module import NetModule
from netdsl.op import OPS, Param, Type, Value


def branches(order: str, outputs: str = "ab", inputs: str = "xy") -> Graph:
    """a = dropout(x), b = dropout(y), built in the order of the letters."""
    b = Builder("A")
    given = {name: b(Input(Type((4, 64)), name)) for name in inputs}
    made: dict[str, Value] = {}
    for name in order:
        with b.at(name, None):
            made[name] = b(OPS["dropout"](0.5), given["xy"["ab".index(name)]])
    return b.build(tuple(Output(name, made[name]) for name in outputs))


def test_when_a_node_was_added_does_not_count() -> None:
    assert branches("ab") == branches("ba")
    assert branches("ab").digest == branches("ba").digest


def test_the_order_of_outputs_and_of_inputs_counts() -> None:
    assert branches("ab") != branches("ab", outputs="ba")
    assert branches("ab") != branches("ab", inputs="yx")


def test_the_order_of_parameters_counts() -> None:
    def graph(keys: str) -> Graph:
        b = Builder("A")
        owned = {key: b.parameter(Param(key, (3,), ZEROS)) for key in keys}
        with b.at("add1", None):
            y = b(OPS["add"](), owned["p"], owned["q"])
        return b.build((Output("return", y),))

    assert graph("pq") != graph("qp")


def test_one_node_used_twice_is_not_two_equal_nodes() -> None:
    def graph(twice: bool) -> Graph:
        b = Builder("A")
        x = b(Input(Type((4, 4)), "x"))
        with b.at("drop", None):
            first = b(OPS["dropout"](), x)
            second = b(OPS["dropout"](), x) if twice else first
        with b.at("add1", None):
            y = b(OPS["add"](), first, second)
        return b.build((Output("return", y),))

    assert graph(False) != graph(True)


def test_unused_nodes_count() -> None:
    assert branches("ab", outputs="a") != branches("a", outputs="a")


def test_equal_graphs_draw_equal_numbers() -> None:
    x, y = torch.ones(4, 64), torch.ones(4, 64)
    drawn = []
    for order in ("ab", "ba"):
        torch.manual_seed(5)
        drawn.append(NetModule(branches(order)).train()(x, y))
    assert all(torch.equal(first, second) for first, second in zip(*drawn, strict=True))
    assert specialise(branches("ab"), ["a", "b"]) == specialise(branches("ba"), ["a", "b"])


def test_when_a_constant_was_added_does_not_count_where_nothing_is_used() -> None:
    def graph(early: bool) -> Graph:
        b = Builder("A")
        x = b(Input(Type((4,)), "x"))
        if early:
            b.constant(0.5)
        with b.at("relu1", None):
            y = b(OPS["relu"](), x)
        with b.at("add1", None):
            b(OPS["add"](), y, b.constant(0.5))
        return b.build((Output("return", x),))

    assert graph(early=True) == graph(early=False)
