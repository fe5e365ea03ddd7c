"""Join: the products of one value in a recurrence are one product, whose result is split.

Given   recur { i = linear(h[t-1], W_i); f = linear(h[t-1], W_f) }
Result  recur { i, f = split(linear(h[t-1], concat(W_i, W_f))) }

Those whose results go through the same functions come to stand side by side, so that these can be
joined too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netdsl.ir import Builder, Graph, Input, Node
from netdsl.loop import Whole
from netdsl.op import Joined, Op, Value, Values
from netdsl.ops.arithmetic import Add
from netdsl.ops.pieces import Concat, Split
from netdsl.passes.bodies import in_bodies
from netdsl.recur import Recur
from netdsl.rewrite import dependent, rebuild


def join_siblings(graph: Graph) -> Graph:
    return in_bodies(graph, _join)


def _join(op: Recur) -> Graph:
    if not _groups(op.body, _moving(op, op.body)):
        return op.body
    body = _weights_first(op)
    moving = _moving(op, body)
    group_of = {n: group for group in _groups(body, moving) for n in group}
    weights: dict[Value, Value] = {}  # of the body -> the same in the new one
    pieces: dict[int, Value] = {}

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if n not in moving:
            found = b.append(node, *xs)
            weights.update(zip(body.results(n), found, strict=True))
            return found
        if n not in group_of:
            return None
        if n not in pieces:
            group = group_of[n]
            operands = [[weights[v] for v in body.operands(m)[1:]] for m in group]
            found = _one(b, [body.node(m) for m in group], xs[0], operands)
            pieces.update(zip(group, found, strict=True))
        return (pieces[n],)

    return rebuild(body, change)


def _moving(op: Recur, body: Graph) -> set[int]:
    """The nodes that may differ from step to step."""
    sources = [n for n, _ in body.sources(Input)]
    feeds = zip(sources, op.feeds, strict=True)
    return dependent(body, [n for n, f in feeds if not isinstance(f, Whole)])


def _weights_first(op: Recur) -> Graph:
    """The body with all that its steps have in common before the rest."""
    body, moving = op.body, _moving(op, op.body)
    b = Builder(body.name)
    new: dict[int, Values] = {}
    order = sorted(
        body.items, key=lambda item: item[0] in moving and not isinstance(item[1].op, Input)
    )
    for n, node in order:
        new[n] = b.append(node, *[new[v.node][v.result] for v in body.operands(n)])
    outputs = (replace(o, value=new[o.value.node][o.value.result]) for o in body.outputs)
    return b.build(tuple(outputs))


def _groups(body: Graph, moving: set[int]) -> list[list[int]]:
    """The nodes to join, two or more that read one value, in the order of their results."""
    siblings: dict[tuple[object, ...], list[int]] = {}
    for n, node in body.items:
        operands = body.operands(n)
        if n not in moving or len(operands) < 2 or any(v.node in moving for v in operands[1:]):
            continue
        if node.op.contraction(tuple(v.type for v in operands)) is not None:
            siblings.setdefault((operands[0], type(node.op), len(operands)), []).append(n)
    found = []
    for group in siblings.values():
        if len(group) > 1 and _joined([body.node(n).op for n in group]) is not None:
            found.append(sorted(group, key=lambda n: _function(body, n)))
    return found


def _joined(ops: Sequence[Op]) -> Joined | None:
    return ops[0].joined(ops[1:])


def _function(body: Graph, n: int) -> str:
    """What becomes of a product: the op that reads it after what is added to it."""
    node = body.node(n)
    while True:
        users = body.users.get(body.results(n)[0], ())
        if len(users) != 1:
            return ""
        ((n, _),) = users
        node = body.node(n)
        if not isinstance(node.op, Add):
            return node.op.name


def _one(
    b: Builder, nodes: Sequence[Node], x: Value, operands: Sequence[Sequence[Value]]
) -> Values:
    """The joined product of x, in pieces."""
    joined = _joined([node.op for node in nodes])
    assert joined is not None
    columns = zip(joined.operands, zip(*operands, strict=True), strict=True)
    y = b(joined.op, x, *[b(Concat(axis), *each) for axis, each in columns])
    axis = joined.result % y.type.rank
    sizes = [node.types[0].shape[axis] for node in nodes]
    return b.all(Split(tuple(sizes), axis), y)
