"""Nets from text, for the tests of the front end."""

from __future__ import annotations

from textwrap import dedent

import pytest

from netdsl.errors import NetError
from netdsl.front import parse_text
from netdsl.ir import Graph, Parameter


def graph(text: str, net: str | None = None, **hyper: object) -> Graph:
    return parse_text(dedent(text), hyper, "t.net", net)


def body(text: str, x: str = "[N, 3, H, W]", **hyper: object) -> Graph:
    """The net with this body and one input x."""
    return graph(f"net A(x: {x}) {{\n{dedent(text)}\n}}", None, **hyper)


def message(text: str, net: str | None = None, **hyper: object) -> str:
    """The whole message about what is wrong."""
    with pytest.raises(NetError) as raised:
        graph(text, net, **hyper)
    return str(raised.value)


def body_message(text: str, x: str = "[N, 3, H, W]") -> str:
    """The message about a body, which starts in line 2."""
    return message(f"net A(x: {x}) {{\n{dedent(text).strip()}\n}}")


def summary(text: str, x: str = "[N, 3, H, W]") -> list[str]:
    """Code and sentence of every error about a body."""
    with pytest.raises(NetError) as raised:
        body(text, x)
    return [f"{d.code} {d.message}" for d in raised.value.diagnostics]


def paths(g: Graph) -> list[str]:
    """Where the stages are, in the order of the graph."""
    return [n.path for _, n in g.items if n.path and not isinstance(n.op, Parameter)]


def keys(g: Graph) -> list[str]:
    return [p.key for p in g.parameters]


def ops(g: Graph) -> list[str]:
    """The layers of the graph, in order."""
    return [node.op.name for _, node in g.items if node.op.name not in ("input", "parameter")]


def shape(g: Graph) -> str:
    """The type of the first output."""
    return str(g.outputs[0].value.type)
