"""A part of a recurrence outlined into the body of a loop, and what feeds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netdsl.elaborate.parts import Part, Region
from netdsl.elaborate.recurrence import Read, Recurrence, State
from netdsl.elaborate.scope import Scope
from netdsl.errors import Span
from netdsl.ir import Builder, Constant, Input, Output
from netdsl.loop import At, Carried, Feed, Whole
from netdsl.op import Op, Type, Value, Values
from netdsl.ops.pieces import Concat
from netdsl.ops.shape import Reshape
from netdsl.recur import Recur


class Outline:
    """A part on its way into a loop. The sequences that earlier parts gave are `made`, by the
    values of one step, and `found`, by their states."""

    def __init__(
        self,
        part: Part,
        recurrence: Recurrence,
        region: Region,
        made: Mapping[Value, Value],
        found: Mapping[State, Value],
        span: Span,
        scope: Scope,
    ) -> None:
        self.part = part
        self.recurrence = recurrence
        self.scope = scope
        self.span = span
        self.body = Builder("step")
        self.region = region
        self._made = made
        self._found = found
        self._operands: dict[Value, int] = {}
        self._feeds: list[Feed] = []
        self._inputs: dict[Value, Value] = {}  # the value as the region has it -> in the body
        self._copies: dict[int, Values] = {}

    def loop(self, path: str | None) -> Values:
        """The loop, added to the graph: the sequences of its results."""
        graph, results = self.scope.run.builder.graph, self.part.results
        for n in self.part.nodes:
            xs = [self._take(value) for value in self.region.nodes[n]]
            self._copies[n] = self.body.append(graph.node(n), *xs)
        outputs = [Output(f"y{i}", self._take(value)) for i, (value, _) in enumerate(results)]
        starts = tuple(
            tuple(self.operand(start) for start in _starts(state, self.part, self.region))
            for _, state in results
        )
        feeds, steps = tuple(self._feeds), self.recurrence.steps
        op = Recur(self.body.build(tuple(outputs)), feeds, starts, steps, self.backward)
        with self.scope.run.builder.at(path or self.scope.space.operator("recur"), self.span):
            return self.scope.run.builder.all(op, *self._operands)

    @property
    def backward(self) -> bool:
        """Whether the loop runs from the last place of its operands to the first."""
        return self.part.backward

    def at(self, sequence: Value, shift: int) -> Feed:
        """What feeds the body with a step of a sequence."""
        return At(self.operand(sequence), shift)

    def earlier(self, read: Read, sequence: Value) -> Feed:
        """What feeds it with a step of a state of an earlier part, or with a start value of it."""
        starts = self.starts_of(read)
        if read.offset < 0:
            return self.at(self.outside(Concat(1), *reversed(starts), sequence), 0)
        return self.at(self.outside(Concat(1), sequence, *starts), read.offset)

    def carried(self, read: Read, feed: Carried, type: Type) -> Value:
        """What the body reads of its own states."""
        return self.fed(feed, type)

    def operand(self, value: Value) -> int:
        """The position of an operand of the loop."""
        return self._operands.setdefault(value, len(self._operands))

    def fed(self, feed: Feed, type: Type) -> Value:
        """One more input of the body."""
        self._feeds.append(feed)
        return self.body(Input(type, f"x{len(self._feeds) - 1}"))

    def outside(self, op: Op, *operands: Value) -> Value:
        """A node before the loop, or behind it."""
        with self.scope.run.builder.at(self.scope.space.operator(op.name), self.span):
            return self.scope.run.builder(op, *operands)

    def starts_of(self, read: Read) -> list[Value]:
        """The start values between a sequence and a step outside of it, the nearest first, each as
        a sequence of one step."""
        state, sign = read.base, -1 if read.offset < 0 else 1
        assert isinstance(state, State)
        values = [state.starts[d][0] for d in range(sign, read.offset + sign, sign)]
        return [self.outside(Reshape((v.type.shape[0], 1, *v.type.shape[1:])), v) for v in values]

    def _take(self, value: Value) -> Value:
        """A value of the region in the body."""
        if value.node in self._copies:
            return self._copies[value.node][value.result]
        op = self.scope.run.builder.graph.node(value.node).op
        if isinstance(op, Constant):
            return self.body.constant(op.value)
        if value not in self._inputs:
            self._inputs[value] = self._brought(value)
        return self._inputs[value]

    def _brought(self, value: Value) -> Value:
        """A value that the body is fed with."""
        read = self.region.reads.get(value)
        if read is None:
            whole = value not in self._made
            feed = Whole(self.operand(value)) if whole else self.at(self._made[value], 0)
            return self.fed(feed, value.type)
        if isinstance(read.base, Value):
            shift = self.recurrence.first - 1 + read.offset
            return self.fed(self.at(read.base, shift), value.type)
        states = [state for _, state in self.part.results]
        if read.base in states:
            feed = Carried(states.index(read.base), abs(read.offset))
            return self.carried(read, feed, value.type)
        return self.fed(self.earlier(read, self._found[read.base]), value.type)


def _starts(state: State | None, part: Part, region: Region) -> Sequence[Value]:
    """The start values that a state carries into its own loop, the nearest first."""
    if state is None:
        return []
    sign = 1 if part.backward else -1
    furthest = max((sign * offset for offset in region.offsets.get(state, ())), default=0)
    return [state.starts[sign * lag][0] for lag in range(1, furthest + 1)]
