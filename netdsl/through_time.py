"""Backpropagation through time (Werbos 1990): the gradient of a recurrence is one the other way.

dx_τ, dw, dy_{σ-lag} = vjp_body(…, dy_σ + what later steps sent),   σ = S-1 … 0

What a step sends to an earlier one is a state that starts with zeros, and so is the sum of what
the steps say of an operand that all of them read. Nothing is saved but the states, which are the
results themselves: a step is computed again from them (Chen et al. 2016, for a segment of one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from netdsl.differentiate import differentiate
from netdsl.ir import Builder, Graph, Input, Output
from netdsl.lazy import torch
from netdsl.loop import At, Carried, Drawn, Feed, Loop, Step
from netdsl.op import Build, Gradients, Op, Type, Value, Values
from netdsl.ops.arithmetic import Add
from netdsl.ops.pieces import Concat, Slice, SliceGrad
from netdsl.ops.shape import Reshape, Zeros
from netdsl.recur import Recur
from netdsl.rewrite import inlined, reachable, rebuild
from netdsl.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor


def gradients(b: Build, op: Recur, xs: Values, ys: Values, dys: Values) -> Gradients:
    """The gradient of every operand, given those of the results."""
    if op.first:
        found = iter(b.all(RecurGrad(op, len(xs)), *xs, *ys, *dys))
        return tuple(next(found) if x.type.floating else None for x in xs)
    return _Backward(b, op, xs, ys, dys).gradients()


class _Backward:
    """The recurrence that runs the other way, and what becomes of its results."""

    def __init__(self, b: Build, op: Recur, xs: Values, ys: Values, dys: Values) -> None:
        assert not op.ends, "the states of every step are needed"
        self.b, self.op, self.xs, self.ys, self.dys = b, op, xs, ys, dys
        self.operands: dict[Value, int] = {}
        self.body = Builder("step")
        self.feeds: list[Feed] = []
        self.step = step_gradient(op.body)
        keys = [source.key for source in op.body.inputs]
        self.fed = dict(zip(keys, op.feeds, strict=True))
        self.sought = [self.fed[out.name] for out in self.step.outputs]

    def gradients(self) -> Gradients:
        given = {source.key: self._given(source) for source in self.step.inputs}
        found = inlined(self.body, self.step, given)
        outputs, starts, ends = [], [], []
        for j, (out, feed, dx) in enumerate(
            zip(self.step.outputs, self.sought, found, strict=True)
        ):
            start: tuple[int, ...] = ()
            if isinstance(feed, Carried):
                start = (self._zeros(dx.type),) * feed.lag
            elif not isinstance(feed, At):
                sent = self._input(dx.type, f"sum {out.name}", Carried(j, 1))
                start, dx = (self._zeros(dx.type),), self.body(Add(), sent, dx)
                ends.append(j)
            outputs.append(Output(out.name, dx))
            starts.append(start)
        loop = Recur(
            self.body.build(tuple(outputs)),
            tuple(self.feeds),
            tuple(starts),
            self.op.steps,
            not self.op.backward,
            ends=tuple(ends),
        )
        return self._gathered(self.b.all(loop, *self.operands))

    def _input(self, type: Type, key: str, feed: Feed) -> Value:
        self.feeds.append(feed)
        return self.body(Input(type, key))

    def _operand(self, value: Value) -> int:
        return self.operands.setdefault(value, len(self.operands))

    def _zeros(self, type: Type) -> int:
        like = next(x for x in self.xs if x.type.dtype == type.dtype)
        return self._operand(self.b(Zeros(type.shape), like))

    def _given(self, source: Input) -> Value:
        """What an input of the step's gradient is: what it was in the forward run, or the gradient
        of a result, to which the later steps add."""
        if source.role == "cotangent":
            return self._cotangent(source)
        feed = self.fed[source.key]
        if isinstance(feed, Carried):
            return self._input(source.type, source.key, self._earlier(feed))
        operand = self._operand(self.xs[feed.operand])
        if isinstance(feed, Drawn):
            return self._input(source.type, source.key, Drawn(operand, not feed.mirrored))
        return self._input(source.type, source.key, replace(feed, operand=operand))

    def _cotangent(self, source: Input) -> Value:
        result = self.op.results.index(source.key)
        total = self._input(source.type, source.key, At(self._operand(self.dys[result]), 0))
        for j, feed in enumerate(self.sought):
            if isinstance(feed, Carried) and feed.result == result:
                key = self.step.outputs[j].name
                sent = self._input(source.type, f"sent {key}", Carried(j, feed.lag))
                total = self.body(Add(), total, sent)
        return total

    def _earlier(self, feed: Carried) -> At:
        """A state some steps earlier: of its sequence with the start values before it."""
        starts = [self._as_step(self.xs[i]) for i in self.op.starts[feed.result]]
        states = self.ys[feed.result]
        if self.op.backward:
            return At(self._operand(self.b(Concat(1), states, *starts)), feed.lag)
        whole = self.b(Concat(1), *reversed(starts), states)
        return At(self._operand(whole), len(starts) - feed.lag)

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


@dataclass(frozen=True)
class RecurGrad(Loop):
    """The gradients of the floating operands of a recurrence whose first steps have bodies of their
    own, from its `count` operands, its results and their gradients."""

    recur: Recur
    count: int

    name = "recur_grad"

    @cached_property
    def graphs(self) -> tuple[Graph, ...]:
        return tuple(step_gradient(graph) for graph in self.recur.graphs)

    def infer(self, *operands: Type) -> tuple[Type, ...]:
        return tuple(x for x in operands[: self.count] if x.floating)

    def run(self, steps: Sequence[Step], operands: Sequence[Tensor]) -> tuple[Tensor, ...]:
        recur, results = self.recur, len(self.recur.body.outputs)
        xs = operands[: self.count]
        ys, dys = operands[self.count :][:results], operands[self.count + results :]
        made = [
            [*[xs[place] for place in reversed(recur.starts[r])], *self._by_step(y, r)]
            for r, y in enumerate(ys)
        ]
        dmade = [self._by_step(dy, r) for r, dy in enumerate(dys)]
        dxs = [torch.zeros_like(x) if x.is_floating_point() else None for x in xs]
        keys = [op.key for op in recur.body.inputs]
        feeds = dict(zip(keys, recur.feeds, strict=True))
        read = {key: recur.reader(feed, xs, made) for key, feed in feeds.items()}
        for i in reversed(range(recur.count)):
            given = {key: tensor(i) for key, tensor in read.items()}
            given |= {o.name: dmade[r][i] for r, o in enumerate(recur.body.outputs)}
            number = min(i, len(steps) - 1)
            graph = self.graphs[number]
            found = steps[number]([given[op.key] for op in graph.inputs])
            for out, gradient in zip(graph.outputs, found, strict=True):
                feed = feeds[out.name]
                if isinstance(feed, Carried) and i >= feed.lag:
                    earlier = dmade[feed.result]
                    earlier[i - feed.lag] = earlier[i - feed.lag] + gradient
                    continue
                operand = recur.start(feed, i) if isinstance(feed, Carried) else feed.operand
                dx = dxs[operand]
                assert dx is not None
                if isinstance(feed, At):
                    dx = dx.select(1, recur.place(i) + feed.shift)
                dx += gradient
        return tuple(dx for dx in dxs if dx is not None)

    def _by_step(self, y: Tensor, result: int) -> list[Tensor]:
        """A result, or its gradient, of each step in the order in which they ran."""
        places = [self.recur.place(i) for i in range(self.recur.count)]
        return [self.recur.casted(y.select(1, at), result, i) for i, at in enumerate(places)]

    def map_sizes(self, change: object) -> Op:
        recur = self.recur.map_sizes(change)  # type: ignore[arg-type]
        return self if recur is self.recur else replace(self, recur=recur)  # type: ignore[arg-type]

    def arguments(self) -> str:
        return self.recur.arguments()


@lru_cache(maxsize=1024)
def step_gradient(body: Graph) -> Graph:
    """The step of the gradient: inputs and cotangents of the body to the gradients of its floating
    inputs."""
    joint = differentiate(body, [op.key for op in body.inputs if op.type.floating])
    found = tuple(o for o in joint.outputs if o.role == "gradient")
    return rebuild(joint, keep=reachable(joint, found), outputs=found)
