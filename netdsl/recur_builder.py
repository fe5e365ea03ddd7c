"""A recurrence in the making: inputs of its body as they are fed, operands as they are needed."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.ir import Builder, Input, Output
from netdsl.loop import At, Feed, Whole
from netdsl.op import Build, Type, Value, Values
from netdsl.recur import Recur
from netdsl.sizes import Size


class RecurBuilder:
    """Appends to `body`; `build` appends the loop to `b`."""

    def __init__(self, b: Build) -> None:
        self.b = b
        self.body = Builder("step")
        self._feeds: list[Feed] = []
        self._operands: dict[Value, int] = {}

    def operand(self, value: Value) -> int:
        """The position of a value among the operands."""
        return self._operands.setdefault(value, len(self._operands))

    def input(self, type: Type, feed: Feed) -> Value:
        """An input of the body that is fed so."""
        self._feeds.append(feed)
        return self.body(Input(type, f"x{len(self._feeds)}"))

    def at(self, x: Value, shift: Size) -> Value:
        """The step's own part of a sequence."""
        shape = x.type.shape
        step = x.type.with_shape(shape[0], *shape[2:])
        return self.input(step, At(self.operand(x), shift))  # type: ignore[arg-type]

    def whole(self, x: Value) -> Value:
        """A value that every step reads."""
        return self.input(x.type, Whole(self.operand(x)))

    def build(
        self,
        results: Sequence[Value],
        starts: Sequence[tuple[Value, ...]],
        steps: Size,
        backward: bool,
        ends: Sequence[int] = (),
    ) -> Values:
        """The results of the loop, from those of a step and the start values of each."""
        body = self.body.build(tuple(Output(f"y{r}", y) for r, y in enumerate(results)))
        places = tuple(tuple(self.operand(x) for x in before) for before in starts)
        op = Recur(body, tuple(self._feeds), places, steps, backward, ends=tuple(ends))
        return self.b.all(op, *self._operands)
