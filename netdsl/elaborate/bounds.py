"""What lists and tables cost: a list may stand in another twice, so 40 lines make 2^40 elements.

So the elements, those of lists in lists too, count as steps wherever they are made or walked.
"""

from __future__ import annotations

from typing import Any

from netdsl.elaborate.scope import Scope
from netdsl.errors import Problem, Span

ELEMENTS = 4  # that count as one step
NESTED = 64  # lists in each other
LISTS = (tuple, list, range, dict)


def weigh(value: Any, scope: Scope, span: Span) -> None:
    """Count the elements of a list or table as steps; N323 where these become too many.

    N321 where lists nest too deep. Any other value weighs nothing.
    """
    if isinstance(value, LISTS):
        counted = elements(value, ELEMENTS * (scope.run.room + 1))
        scope.run.step(scope, span, counted // ELEMENTS)


def elements(value: Any, enough: int) -> int:
    """How many elements a list has with all that is in it, counted until there are enough.

    Raises `Problem` N321 where lists nest too deep.
    """
    total = 0
    pending = [(value, 1)]
    while pending and total < enough:
        item, depth = pending.pop()
        if depth > NESTED:
            raise Problem("N321", f"these lists are nested more than {NESTED} levels deep")
        total += len(item)
        if not isinstance(item, range):
            parts = item.values() if isinstance(item, dict) else item
            pending += [(part, depth + 1) for part in parts if isinstance(part, LISTS)]
    return total
