"""The chunk of one step without its axis of time: bodies stand in the place of their recurrences.

Given   x [N, 1, D];  h = recur(x, h0; 1 steps { tanh(x + h) });  return h, state = h[:, 0]
Result  x [N, D];  h = tanh(x + h0);  return h, state = h
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from netdsl.ir import Builder, Graph, Input, Node, Output
from netdsl.loop import At, Carried
from netdsl.op import Value, Values
from netdsl.ops.pieces import Concat, Slice
from netdsl.ops.shape import Reshape
from netdsl.recur import Recur
from netdsl.rewrite import inlined, reachable, rebuild
from netdsl.sizes import Size


def one_step(graph: Graph, sequences: Collection[str], axes: Mapping[str, int]) -> Graph:
    """The chunk of length 1 as a step. `sequences`: the inputs that have an axis of time, their
    second; `axes`: that of each output which has one."""
    unroll = _Unroll(sequences)

    def without_time(b: Builder) -> tuple[Output, ...]:
        found = []
        for o in graph.outputs:
            value = unroll.made[o.value]
            if o.name in axes:
                value = unroll.step(b, value, axes[o.name])
            found.append(Output(o.name, value, o.role))
        return tuple(found)

    unrolled = rebuild(graph, unroll, outputs=(), added=without_time)
    inputs = {n for n, _ in unrolled.sources(Input)}
    return rebuild(unrolled, keep=reachable(unrolled) | inputs)


class _Unroll:
    """The change of each node; `made` has the new values by the old ones."""

    def __init__(self, sequences: Collection[str]) -> None:
        self.made: dict[Value, Value] = {}
        self._sequences = sequences
        self._steps: dict[Value, Values] = {}  # of a new value, what stands along its second axis

    def __call__(self, b: Builder, n: int, node: Node, xs: Values) -> Values:
        results = self._change(b, node, xs)
        self.made.update((Value(n, i, y.type), y) for i, y in enumerate(results))
        return results

    def step(self, b: Builder, x: Value, axis: int = 1, place: int = 0) -> Value:
        """What stands at a place of an axis."""
        if axis == 1 and x in self._steps:
            return self._steps[x][place]
        if x.type.shape[axis] != 1:
            x = b(Slice(axis, place, place + 1), x)
        return b(Reshape(x.type.shape[:axis] + x.type.shape[axis + 1 :]), x)

    def _stepwise(self, b: Builder, x: Value) -> Value:
        """A value as the one step of a sequence."""
        y = b(Reshape((x.type.shape[0], 1, *x.type.shape[1:])), x)
        self._steps[y] = (x,)
        return y

    def _change(self, b: Builder, node: Node, xs: Values) -> Values:
        op = node.op
        if isinstance(op, Input) and op.key in self._sequences:
            step = op.type.with_shape(op.type.shape[0], *op.type.shape[2:])
            return (self._stepwise(b, b(Input(step, op.key))),)
        if isinstance(op, Recur) and op.steps == 1:
            return tuple(self._stepwise(b, y) for y in self._body(b, op, xs))
        known = [self._steps.get(x, ()) for x in xs]
        if isinstance(op, Reshape) and len(known[0]) == 1 and op.shape == known[0][0].type.shape:
            return known[0]
        if isinstance(op, Slice) and known[0] and (op.axis, op.to - op.from_) == (1, 1):
            return (self._stepwise(b, known[0][op.from_]),)
        results = b.append(node, *xs)
        if isinstance(op, Concat) and any(known) and op.axis == 1:
            places = [(x, i) for x in xs for i in _range(x.type.shape[1])]
            self._steps[results[0]] = tuple(self.step(b, x, 1, i) for x, i in places)
        return results

    def _body(self, b: Builder, op: Recur, xs: Values) -> Values:
        """The results of the one step of a recurrence."""
        given = {}
        for source, feed in zip(op.body.inputs, op.feeds, strict=True):
            if isinstance(feed, At):
                given[source.key] = self.step(b, xs[feed.operand], 1, feed.shift)
            elif isinstance(feed, Carried):
                given[source.key] = xs[op.start(feed, 0)]
            else:
                given[source.key] = xs[feed.operand]
        return inlined(b, op.body, given)


def _range(size: Size) -> range:
    assert isinstance(size, int), f"{size} steps before a sequence"
    return range(size)
