"""Split: a product of joined operands in a recurrence is a sum of products.

Given   recur { z = linear(concat(x[t], h[t-1]), W, b) }
Result  recur { z = linear(x[t], W₁, b) + linear(h[t-1], W₂) }, W = [W₁ W₂]

So the half that no earlier step changes can leave the loop.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from netdsl.ir import Builder, Graph, Input, Node
from netdsl.loop import Carried, Drawn
from netdsl.op import Value, Values
from netdsl.ops.arithmetic import Add
from netdsl.ops.pieces import Concat, Slice
from netdsl.passes.bodies import in_bodies
from netdsl.recur import Recur
from netdsl.rewrite import dependent, rebuild
from netdsl.shapes import implied_axis
from netdsl.sizes import Size


def split_concat(graph: Graph) -> Graph:
    return in_bodies(graph, _split)


def _split(op: Recur) -> Graph:
    body = op.body
    sources = [n for n, _ in body.sources(Input)]
    feeds = zip(sources, op.feeds, strict=True)
    changed = dependent(body, [n for n, f in feeds if isinstance(f, (Carried, Drawn))])

    joined: dict[int, Values] = {}  # of a concat what it joins, in the new graph

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        operands = body.operands(n)
        if isinstance(node.op, Concat):
            joined[n] = xs
        if not operands or not isinstance(body.node(operands[0].node).op, Concat):
            return None
        axes = node.op.contraction(tuple(v.type for v in operands))
        parts = body.operands(operands[0].node)
        if axes is None or operands[1].node in changed or not _halves(parts, changed):
            return None
        concat = body.node(operands[0].node).op
        assert isinstance(concat, Concat)
        if implied_axis(concat.name, concat.axis, parts[0].type) != axes[0]:
            return None
        moves = [v.node in changed for v in parts]
        return (_sum(b, node, xs, joined[operands[0].node], moves, axes),)

    return rebuild(body, change)


def _halves(parts: Values, changed: Collection[int]) -> bool:
    """Whether some parts change with the states and others do not."""
    return len({v.node in changed for v in parts}) == 2


def _sum(
    b: Builder,
    node: Node,
    xs: Values,
    parts: Values,
    moves: Sequence[bool],
    axes: tuple[int, int],
) -> Value:
    """The product of the parts that do not change, with the bias, and that of those that `moves`
    says do."""
    _, weight, *bias = xs
    begin: Size = 0
    halves: dict[bool, tuple[list[Value], list[Value]]] = {False: ([], []), True: ([], [])}
    for part, moving in zip(parts, moves, strict=True):
        end = begin + part.type.shape[axes[0]]
        halves[moving][0].append(part)
        halves[moving][1].append(b(Slice(axes[1], begin, end), weight))
        begin = end

    def joined(values: list[Value], axis: int) -> Value:
        return values[0] if len(values) == 1 else b(Concat(axis), *values)

    still, moved = (
        (joined(given, axes[0]), joined(weights, axes[1])) for given, weights in halves.values()
    )
    return b(Add(), b(node.op, *still, *bias), b(node.op.unbiased(), *moved))
