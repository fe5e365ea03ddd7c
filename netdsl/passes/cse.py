"""Common subexpressions: an equal op on equal operands is computed once.

Given   a = tanh(x); b = tanh(x); return a + b
Result  a = tanh(x); return a + a

Every op is pure (a dropout mask follows from its seed and stream), so equal means the same.
"""

from __future__ import annotations

from netdsl.ir import Builder, Graph, Node
from netdsl.op import Op, Values
from netdsl.rewrite import rebuild


def share_equal(graph: Graph) -> Graph:
    leader = _leaders(graph)
    if all(n == m for n, m in leader.items()):
        return graph
    made: dict[int, Values] = {}

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values:
        if leader[n] not in made:
            made[n] = b.append(node, *xs)
        return made[leader[n]]

    return rebuild(graph, change)


def _leaders(graph: Graph) -> dict[int, int]:
    """Of each node the first one that computes the same."""
    first: dict[tuple[Op, tuple[tuple[int, int], ...]], int] = {}
    leader: dict[int, int] = {}
    for n, node in graph.items:
        operands = tuple((leader[v.node], v.result) for v in graph.operands(n))
        leader[n] = first.setdefault((node.op, operands), n)
    return leader
