"""Join: a function of pieces that stand side by side is the function of them all, in pieces.

Given   recur { i, f, g = split(z); i = sigmoid(i); f = sigmoid(f); g = tanh(g) }
Result  recur { z, g = split(z); i, f = split(sigmoid(z)); g = tanh(g) }
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.ir import Builder, Constant, Graph, Node
from netdsl.op import Value, Values
from netdsl.ops.pieces import Split
from netdsl.passes.bodies import in_bodies
from netdsl.recur import Recur
from netdsl.rewrite import rebuild


def join_pieces(graph: Graph) -> Graph:
    return in_bodies(graph, _join)


def _join(op: Recur) -> Graph:
    body = op.body
    while (run := _run(body)) is not None:
        body = _joined(body, run)
    return body


@dataclass(frozen=True)
class _Run:
    """Nodes that do the same to pieces one after the other; of each split among their operands the
    first piece."""

    nodes: tuple[int, ...]
    first: dict[int, int]
    axis: int


def _run(body: Graph) -> _Run | None:
    """The longest run from the first node that begins one."""
    for n, _ in body.items:
        axis = _axis(body, n)
        if axis is None:
            continue
        nodes = [n]
        while (following := _next(body, nodes[-1])) is not None:
            nodes.append(following)
        if len(nodes) > 1:
            pieces = (v for v in body.operands(n) if _is_piece(body, v))
            return _Run(tuple(nodes), {v.node: v.result for v in pieces}, axis)
    return None


def _axis(body: Graph, n: int) -> int | None:
    """The axis along which a node's operands are pieces; None where it is no such node."""
    node, operands = body.node(n), body.operands(n)
    pieces = [v for v in operands if _is_piece(body, v)]
    others = [v for v in operands if v not in pieces]
    if not node.op.pointwise or not pieces or len({v.node for v in pieces}) < len(pieces):
        return None
    if any(not isinstance(body.node(v.node).op, Constant) for v in others):
        return None
    if any(v.type.shape != node.types[0].shape for v in pieces):
        return None
    axes = {_split(body, v).axis for v in pieces}
    return axes.pop() if len(axes) == 1 else None


def _is_piece(body: Graph, v: Value) -> bool:
    """Whether a value is a piece that one node reads, and nobody else."""
    op = body.node(v.node).op
    alone = len(body.users.get(v, ())) == 1 and all(o.value != v for o in body.outputs)
    return isinstance(op, Split) and op.axis is not None and alone


def _split(body: Graph, v: Value) -> Split:
    op = body.node(v.node).op
    assert isinstance(op, Split)
    return op


def _next(body: Graph, n: int) -> int | None:
    """The node that does to the next pieces what n does to its own."""
    found = None
    for position, v in enumerate(body.operands(n)):
        if not _is_piece(body, v):
            continue
        results = body.results(v.node)
        if v.result + 1 == len(results):
            return None
        piece = results[v.result + 1]
        if not _is_piece(body, piece):
            return None
        ((user, place),) = body.users[piece]
        if place != position or found not in (None, user):
            return None
        found = user
    if found is None or _axis(body, found) is None or body.node(found).op != body.node(n).op:
        return None
    pairs = zip(body.operands(n), body.operands(found), strict=True)
    same = all(v.node == w.node if _is_piece(body, w) else v == w for v, w in pairs)
    return found if same else None


def _joined(body: Graph, run: _Run) -> Graph:
    count = len(run.nodes)
    wide: dict[int, Value] = {}  # of a split, the pieces of the run as one
    pieces: dict[int, Value] = {}

    def coarser(b: Builder, n: int, x: Value) -> Values:
        op, begin = _split(body, Value(n, 0, x.type)), run.first[n]
        end = begin + count
        sizes = (*op.sizes[:begin], sum(op.sizes[begin:end]), *op.sizes[end:])
        found = (x,) if len(sizes) == 1 else b.all(Split(sizes, op.axis), x)
        wide[n] = found[begin]
        return (*found[:begin], *(found[begin] for _ in range(count)), *found[begin + 1 :])

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if n in run.first:
            return coarser(b, n, xs[0])
        if n not in run.nodes:
            return None
        if not pieces:
            operands = [wide.get(v.node, x) for v, x in zip(body.operands(n), xs, strict=True)]
            y = b(node.op, *operands)
            sizes = tuple(body.node(m).types[0].shape[run.axis] for m in run.nodes)
            found = b.all(Split(sizes, run.axis), y)
            pieces.update(zip(run.nodes, found, strict=True))
        return (pieces[n],)

    return rebuild(body, change)
