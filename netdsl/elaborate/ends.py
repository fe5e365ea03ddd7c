"""Lengths as the last step of a recurrence: `recur t in 1..n` with `n: int[N]`, `b[n+1]`, `h[n]`.

Inside an index lengths stand for each example's own last step, not for a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.values import Bundle
from netdsl.elaborate.walk import evaluate
from netdsl.op import Value
from netdsl.syntax import Expression, names_in


@dataclass(frozen=True)
class End:
    """`n`, `n + 1` in an index: the last step of each example, or `offset` steps behind it."""

    lengths: Value
    name: str = field(compare=False)
    offset: int = 0

    def __add__(self, steps: int) -> End:
        return replace(self, offset=self.offset + steps)

    def __str__(self) -> str:
        return f"{self.name}{self.offset:+d}" if self.offset else self.name


def place(node: Expression, scope: Scope) -> Any:
    """The value of an index or of the bound of a recurrence; of lengths, the `End`."""
    ends = {}
    for name in names_in(node):
        found = scope.find(name.text)
        if found is not None and _are_lengths(found.value):
            ends[name.text] = Binding(End(found.value, name.text), found.span)
    value = evaluate(node, scope.inner(ends) if ends else scope)
    first = value.first if isinstance(value, Bundle) else value
    return End(first, node.span.text) if _are_lengths(first) else value


def _are_lengths(value: Any) -> bool:
    """Whether a value is a tensor of whole numbers, one for each example."""
    return isinstance(value, Value) and value.type.dtype == "int" and value.type.rank == 1
