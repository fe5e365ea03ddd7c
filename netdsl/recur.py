"""Recurrence as an op: a body, the graph of one step, run along axis 1.

y_σ = body(x_{τ+shift}, y_{σ-lag}, w),   σ = 0 … S-1,   τ = σ forward, S-1-σ backward
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from netdsl.differentiate import differentiate
from netdsl.errors import Problem
from netdsl.ir import Builder, Graph, Node
from netdsl.lazy import torch
from netdsl.loop import At, Carried, Drawn, Feed, Loop, Step
from netdsl.op import Build, Gradients, Op, Type, Values
from netdsl.ops.cast import Cast
from netdsl.rewrite import reachable, rebuild, with_types
from netdsl.sizes import Poly, Size

if TYPE_CHECKING:
    from torch import Tensor

SPREAD = 0x9E3779B97F4A7C15  # odd, so that the seeds of 2^64 steps are different


@dataclass(frozen=True)
class Recur(Loop):
    """The body at each of `steps` steps; results are stacked along axis 1.

    body      the graph of a step: inputs as `feeds` say, an output for each result
    feeds     of each input of the body, in order
    starts    of each result, the operands that stand 1, 2, … steps before the first
    steps     how many
    backward  the last step runs first
    first     the body of the first steps, one by one, where autocast gives them other dtypes than
              those that the states have at last; a result has the widest of all
    ends      results of which only the step that runs last is kept, without an axis of time
    """

    body: Graph
    feeds: tuple[Feed, ...]
    starts: tuple[tuple[int, ...], ...]
    steps: Size
    backward: bool
    first: tuple[Graph, ...] = ()
    ends: tuple[int, ...] = ()

    name = "recur"

    @property
    def graphs(self) -> tuple[Graph, ...]:
        return (*self.first, self.body)

    @property
    def results(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(o.name for o in self.body.outputs)

    @property
    def modal(self) -> bool:  # type: ignore[override]
        return any(node.op.modal for _, node in self.body.items)

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Whether every step draws numbers of its own."""
        return any(node.op.random and not node.op.draws_once for _, node in self.body.items)

    def infer(self, *operands: Type) -> tuple[Type, ...]:
        if isinstance(self.steps, int) and self.steps < 1:
            raise Problem("N305", f"a recurrence has at least 1 step, not {self.steps}")
        for feed in self.feeds:
            if isinstance(feed, At):
                self._check_length(operands[feed.operand], feed.shift)
        made: list[tuple[Type, ...]] = []
        for graph in self.graphs:
            body = _typed(graph, self.fed_types(operands, made))
            made.append(tuple(o.value.type for o in body.outputs))
        widest = [_widest(types) for types in zip(*made, strict=True)]
        return tuple(t if r in self.ends else self.stacked(t) for r, t in enumerate(widest))

    def stacked(self, step: Type) -> Type:
        """The type of a sequence with such a step."""
        return step.with_shape(step.shape[0], self.steps, *step.shape[1:])

    def _check_length(self, x: Type, shift: int) -> None:
        """N305 where a step reads beyond what the sequence has."""
        spare = x.shape[1] - (shift + self.steps)
        if not isinstance(spare, Poly) and spare >= 0:
            return
        raise Problem(
            "N305",
            f"the recurrence reads up to step {shift + self.steps} of a sequence that has "
            f"{x.shape[1]}",
            label=f"axis 1 of {x}",
        )

    def fed_types(
        self, operands: Sequence[Type], made: Sequence[tuple[Type, ...]]
    ) -> tuple[Type, ...]:
        """The types of the body's inputs at the step after those whose results are `made`."""
        found = []
        for feed in self.feeds:
            if isinstance(feed, At):
                x = operands[feed.operand]
                found.append(x.with_shape(x.shape[0], *x.shape[2:]))
            elif isinstance(feed, Carried) and len(made) >= feed.lag:
                found.append(made[-feed.lag][feed.result])
            elif isinstance(feed, Carried):
                found.append(operands[self.start(feed, len(made))])
            else:
                found.append(operands[feed.operand])
        return tuple(found)

    def run(self, steps: Sequence[Step], operands: Sequence[Tensor]) -> tuple[Tensor, ...]:
        # of each result its start values, the earliest first, then what the steps make
        made = [[operands[place] for place in reversed(places)] for places in self.starts]
        read = [self.reader(feed, operands, made) for feed in self.feeds]
        last = len(steps) - 1
        for i in range(self.count):
            results = steps[min(i, last)]([tensor(i) for tensor in read])
            for kept, y in zip(made, results, strict=True):
                kept.append(y)
            for r in self.ends if i + 1 < self.count else ():
                made[r][i] = None  # type: ignore[call-overload]  # no later step reads it
        return tuple(self._result(r, ys[len(self.starts[r]) :]) for r, ys in enumerate(made))

    def _result(self, result: int, ys: list[Tensor]) -> Tensor:
        """Of all that the steps made what is kept."""
        if result in self.ends:
            return self.casted(ys[-1], result)
        return self.casted(torch.stack(ys[::-1] if self.backward else ys, 1), result)

    def reader(
        self, feed: Feed, operands: Sequence[Tensor], made: Sequence[list[Tensor]]
    ) -> Callable[[int], Tensor]:
        """What an input of the body is at the step that runs as number i."""
        if isinstance(feed, Carried):
            ys, ahead = made[feed.result], len(self.starts[feed.result]) - feed.lag
            return lambda i: ys[i + ahead]
        x = operands[feed.operand]
        if isinstance(feed, At):
            steps = x.unbind(1)[feed.shift : feed.shift + self.count]
            return (steps[::-1] if self.backward else steps).__getitem__
        if isinstance(feed, Drawn):
            first, way = (self.count, -1) if feed.mirrored else (1, 1)
            return lambda i: x + _signed((first + way * i) * SPREAD)
        return lambda i: x

    def place(self, i: int) -> int:
        """The place in time of the step that runs as number i."""
        return self.count - 1 - i if self.backward else i

    def start(self, feed: Carried, i: int) -> int:
        """The operand that is carried into step number i, which is within `lag` of the first."""
        return self.starts[feed.result][feed.lag - i - 1]

    def casted(self, y: Tensor, result: int, step: int | None = None) -> Tensor:
        """Of a result the tensor in the dtype that it has at a step (None: in all of them)."""
        if not self.first or not y.is_floating_point():
            return y
        types = [graph.outputs[result].value.type for graph in self.graphs]
        dtype = (_widest(types) if step is None else types[min(step, len(types) - 1)]).dtype
        return Cast(dtype).reference(y)

    @property
    def count(self) -> int:
        """The steps, where they are a number."""
        assert isinstance(self.steps, int), f"{self.steps} steps"
        return self.steps

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        found = iter(b.all(RecurGrad(self, len(xs)), *xs, *ys, *dys))
        return tuple(next(found) if x.type.floating else None for x in xs)

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        total: Size = 0
        for n, node in self.body.items:
            types = tuple(v.type for v in self.body.operands(n))
            total = total + node.op.macs(types, node.types)
        return total * self.steps

    def at_sizes(self, size: Callable[[Size], Any]) -> Op:
        """Of as many steps as there are now: a tracer writes them down one by one."""
        if not isinstance(self.steps, Poly):
            return self
        steps = int(size(self.steps))
        warnings.warn(
            f"the {self.steps} steps of a recurrence are recorded one by one: what is recorded has "
            f"{steps} of them at every size",
            stacklevel=2,
        )
        return replace(self, steps=steps)

    def map_sizes(self, change: Callable[[Size], Size]) -> Op:
        def substitute(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
            op = node.op.map_sizes(change)
            return None if op is node.op else b.all(op, *xs)

        *first, body = [rebuild(graph, substitute) for graph in self.graphs]
        steps = change(self.steps) if isinstance(self.steps, Poly) else self.steps
        same = (*first, body) == self.graphs and steps == self.steps
        return self if same else replace(self, body=body, steps=steps, first=tuple(first))

    def arguments(self) -> str:
        way = ", backward" if self.backward else ""
        way += f", the last {', '.join(self.results[r] for r in self.ends)}" if self.ends else ""
        bodies = [graph.text().splitlines()[1:-1] for graph in self.graphs]
        shown = " ".join(f"{{ {'; '.join(line.strip() for line in body)} }}" for body in bodies)
        return f"{self.steps} steps{way} {shown}"


@dataclass(frozen=True)
class RecurGrad(Loop):
    """The gradients of the floating operands of a recurrence, from its `count` operands, its
    results and their gradients (Werbos 1990, backpropagation through time)."""

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

    def map_sizes(self, change: Callable[[Size], Size]) -> Op:
        recur = self.recur.map_sizes(change)
        return self if recur is self.recur else replace(self, recur=recur)  # type: ignore[arg-type]

    def arguments(self) -> str:
        return self.recur.arguments()


def every_node(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph, those of a recurrence's body in the place of the recurrence's."""
    pending = [iter(graph.items)]
    while pending:
        for _, node in pending[-1]:
            if isinstance(node.op, Recur):
                pending.append(iter(node.op.body.items))
                break
            yield node
        else:
            pending.pop()


@lru_cache(maxsize=1024)
def _typed(body: Graph, types: tuple[Type, ...]) -> Graph:
    return with_types(body, types)


@lru_cache(maxsize=1024)
def step_gradient(body: Graph) -> Graph:
    """The step of the gradient: inputs and cotangents of the body to the gradients of its floating
    inputs."""
    joint = differentiate(body, [op.key for op in body.inputs if op.type.floating])
    found = tuple(o for o in joint.outputs if o.role == "gradient")
    return rebuild(joint, keep=reachable(joint, found), outputs=found)


def _widest(types: Sequence[Type]) -> Type:
    """The type of one result of several steps; torch stacks two dtypes in float32."""
    return types[0] if len({t.dtype for t in types}) == 1 else Type(types[0].shape)


def _signed(word: int) -> int:
    """The 64-bit word as a signed number, as tensors hold it."""
    return (word + 2**63) % 2**64 - 2**63
