"""A recurrence over a padded batch, `recur t in 1..n`: a loop in each example's own time.

Own time is x_1 … x_n forward and x_n … x_1 backward, and behind these the first step again, from
the start values. So a step in the padding computes what a valid one has computed: nothing is read
there, and nothing grows there to infinity (of a cell that cannot grow so, like an LSTM, the states
run on instead). What the loop gives is 0 behind an example's end, so that from there comes a
gradient of 0, times what is finite.
"""

from __future__ import annotations

from functools import cached_property

from netdsl.elaborate.growth import stays_finite
from netdsl.elaborate.outline import Outline
from netdsl.elaborate.parts import operands_of
from netdsl.elaborate.recurrence import Read, State
from netdsl.ir import Constant
from netdsl.loop import At, Carried, Feed, Whole
from netdsl.op import Op, Type, Value, Values
from netdsl.ops.functions import Where
from netdsl.ops.lengths import ValidSteps, Within
from netdsl.ops.pieces import Concat, Slice
from netdsl.ops.shape import Expand, Reshape


class PaddedOutline(Outline):
    """A part whose loop ends for each example at its own step."""

    backward = False  # in own time

    @cached_property
    def _finite(self) -> bool:
        return stays_finite(self.part, self.region, self.scope.run.builder.graph)

    @property
    def lengths(self) -> Value:
        found = self.recurrence.lengths
        assert found is not None
        return found

    def loop(self, path: str | None) -> Values:
        valid = ValidSteps(reverse=self.part.backward)
        return tuple(self.outside(valid, own, self.lengths) for own in super().loop(path))

    def at(self, sequence: Value, shift: int) -> Feed:
        own = ValidSteps(reverse=self.part.backward, behind="first")
        return super().at(self._once(own, sequence, self.lengths), shift)

    def earlier(self, read: Read, sequence: Value) -> Feed:
        back, behind = ValidSteps(reverse=True), read.offset > 0
        if behind:  # of its own end for each example: in front of the reversed steps
            sequence = self.outside(back, sequence, self.lengths)
        longer = self.outside(Concat(1), *reversed(self.starts_of(read)), sequence)
        sequence = self.outside(Slice(1, 0, self.recurrence.steps), longer)
        if behind:
            sequence = self.outside(back, sequence, self.lengths)
        return self.at(sequence, 0)

    def carried(self, read: Read, feed: Carried, type: Type) -> Value:
        """Of the step before; in the padding the start value again, where states might grow."""
        before = super().carried(read, feed, type)
        if self._finite:
            return before
        within = self._within(type.rank)
        assert isinstance(read.base, State)
        start, _ = read.base.starts[read.offset]
        step = within.type.with_shape(type.shape[0], *within.type.shape[2:])
        operands = self.fed(At(self.operand(within), 0), step), before, self._start(start)
        with self.body.at(self.scope.space.operator(Where.name), self.span):
            return self.body(Where(), *operands)

    def _start(self, start: Value) -> Value:
        """A start value in the body: the number that it is filled with, or the whole of it."""
        graph = self.scope.run.builder.graph
        if isinstance(graph.node(start.node).op, Expand):
            (filler,) = operands_of(graph, start.node)
            if isinstance(number := graph.node(filler.node).op, Constant):
                return self.body.constant(number.value)
        return self.fed(Whole(self.operand(start)), start.type)

    def _within(self, rank: int) -> Value:
        """Whether each step is valid, to broadcast against states of a rank."""
        found = self._once(Within(self.recurrence.steps), self.lengths)
        if rank == 1:
            return found
        return self._once(Reshape((*found.type.shape, *[1] * (rank - 1))), found)

    def _once(self, op: Op, *operands: Value) -> Value:
        """A node that all parts share."""
        shared = self.recurrence.shared
        if (op, operands) not in shared:
            shared[op, operands] = self.outside(op, *operands)
        return shared[op, operands]
