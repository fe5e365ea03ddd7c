"""A change of the bodies of a graph's recurrences, those inside others first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from netdsl.ir import Builder, Graph, Node
from netdsl.op import Values
from netdsl.recur import Recur
from netdsl.rewrite import rebuild


def in_bodies(graph: Graph, change: Callable[[Recur], Graph]) -> Graph:
    """The graph with the body that `change` gives in each recurrence; its inputs stay the same."""

    def changed(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if not isinstance(node.op, Recur) or node.op.first:
            return None
        op = replace(node.op, body=in_bodies(node.op.body, change))
        op = replace(op, body=change(op))
        return None if op == node.op else b.all(op, *xs)

    return rebuild(graph, changed)
