"""Backpropagation through time (Werbos 1990): the gradient of a recurrence is one the other way.

Given   dx, dw = recur_grad(x, w, h, dh)
Result  dx, dw = recur { the gradient of a step, from the last one to the first }

dx_τ, dw, dy_{σ-lag} = vjp_body(…, dy_σ + what later steps sent),   σ = S-1 … 0

What a step sends to an earlier one is a state that starts with zeros, and so is the sum of what
the steps say of an operand that all of them read. Nothing is saved but the states, which are the
results themselves: a step is computed again from them (Chen et al. 2016, for a segment of one).
"""

from __future__ import annotations

from netdsl.ir import Builder, Graph, Input, Node
from netdsl.loop import At, Carried, Drawn
from netdsl.op import Gradients, Type, Value, Values
from netdsl.ops.arithmetic import Add
from netdsl.ops.pieces import Concat, Slice, SliceGrad
from netdsl.ops.shape import Reshape, Zeros
from netdsl.recur import Recur, RecurGrad, step_gradient
from netdsl.recur_builder import RecurBuilder
from netdsl.rewrite import inlined, rebuild
from netdsl.sizes import Size


def through_time(graph: Graph) -> Graph:
    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if not isinstance(node.op, RecurGrad) or node.op.recur.first:
            return None
        recur, count = node.op.recur, node.op.count
        results = count + len(recur.body.outputs)
        operands, ys, dys = xs[:count], xs[count:results], xs[results:]
        found = _Backward(b, recur, operands, ys, dys).gradients()
        pairs = zip(operands, found, strict=True)
        return tuple(dx or b(Zeros(x.type.shape), x) for x, dx in pairs if x.type.floating)

    return rebuild(graph, change)


class _Backward:
    """The recurrence that runs the other way, and what becomes of its results."""

    def __init__(self, b: Builder, op: Recur, xs: Values, ys: Values, dys: Values) -> None:
        assert not op.ends, "the states of every step are needed"
        self.b, self.op, self.xs, self.ys, self.dys = b, op, xs, ys, dys
        self.loop = RecurBuilder(b)
        self.step = through_time(step_gradient(op.body))
        keys = [source.key for source in op.body.inputs]
        self.fed = dict(zip(keys, op.feeds, strict=True))
        self.sought = [self.fed[out.name] for out in self.step.outputs]

    def gradients(self) -> Gradients:
        given = {source.key: self._given(source) for source in self.step.inputs}
        found = inlined(self.loop.body, self.step, given)
        results, starts, ends = [], [], []
        for j, (feed, dx) in enumerate(zip(self.sought, found, strict=True)):
            start: tuple[Value, ...] = ()
            if isinstance(feed, Carried):
                start = (self._zeros(dx.type),) * feed.lag
            elif not isinstance(feed, At):
                sent = self.loop.input(dx.type, Carried(j, 1))
                start, dx = (self._zeros(dx.type),), self.loop.body(Add(), sent, dx)
                ends.append(j)
            results.append(dx)
            starts.append(start)
        op = self.op
        return self._gathered(self.loop.build(results, starts, op.steps, not op.backward, ends))

    def _zeros(self, type: Type) -> Value:
        like = next(x for x in self.xs if x.type.dtype == type.dtype)
        return self.b(Zeros(type.shape), like)

    def _given(self, source: Input) -> Value:
        """What an input of the step's gradient is: what it was in the forward run, or the gradient
        of a result, to which the later steps add."""
        if source.role == "cotangent":
            return self._cotangent(source)
        feed = self.fed[source.key]
        if isinstance(feed, Carried):
            return self._earlier(feed)
        x = self.xs[feed.operand]
        if isinstance(feed, Drawn):
            return self.loop.input(source.type, Drawn(self.loop.operand(x), not feed.mirrored))
        return self.loop.at(x, feed.shift) if isinstance(feed, At) else self.loop.whole(x)

    def _cotangent(self, source: Input) -> Value:
        result = self.op.results.index(source.key)
        total = self.loop.at(self.dys[result], 0)
        for j, feed in enumerate(self.sought):
            if isinstance(feed, Carried) and feed.result == result:
                sent = self.loop.input(source.type, Carried(j, feed.lag))
                total = self.loop.body(Add(), total, sent)
        return total

    def _earlier(self, feed: Carried) -> Value:
        """A state some steps earlier: of its sequence with the start values before it."""
        starts = [self._as_step(self.xs[i]) for i in self.op.starts[feed.result]]
        states = self.ys[feed.result]
        if self.op.backward:
            return self.loop.at(self.b(Concat(1), states, *starts), feed.lag)
        whole = self.b(Concat(1), *reversed(starts), states)
        return self.loop.at(whole, len(starts) - feed.lag)

    def _as_step(self, x: Value) -> Value:
        shape = x.type.shape
        return self.b(Reshape((shape[0], 1, *shape[1:])), x)

    def _gathered(self, results: Values) -> Gradients:
        """Of every operand the sum of what is found of it."""
        total: dict[int, Value] = {}

        def add(operand: int, dx: Value) -> None:
            before = total.get(operand)
            total[operand] = dx if before is None else self.b(Add(), before, dx)

        for feed, dx in zip(self.sought, results, strict=True):
            if isinstance(feed, At):
                size, end = self.xs[feed.operand].type.shape[1], feed.shift + self.op.steps
                whole = feed.shift == 0 and end == size
                grad = SliceGrad(size, 1, feed.shift, end)
                add(feed.operand, dx if whole else self.b(grad, dx))
            elif isinstance(feed, Carried):
                for i in range(feed.lag):
                    add(self.op.start(feed, i), self._of_step(dx, i, feed.lag))
            else:
                add(feed.operand, dx)
        return tuple(total.get(i) for i in range(len(self.xs)))

    def _of_step(self, dx: Value, i: int, lag: int) -> Value:
        """The gradient at the step that ran as number i: zeros where there were no more than i."""
        steps = self.op.steps
        place: Size = steps - 1 - i if self.op.backward else i
        shape = dx.type.shape
        if lag > 1:
            zeros = self.b(Zeros((shape[0], lag, *shape[2:])), dx)
            pieces = (zeros, dx) if self.op.backward else (dx, zeros)
            dx = self.b(Concat(1), *pieces)
            place = place + lag if self.op.backward else place
        one = self.b(Slice(1, place, place + 1), dx)
        return self.b(Reshape((shape[0], *shape[2:])), one)
