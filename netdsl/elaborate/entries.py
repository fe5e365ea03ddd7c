"""What is wrong with an index into a table or a list, and which entry may be meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netdsl.elaborate.scope import Scope
from netdsl.elaborate.values import is_number, show
from netdsl.errors import Edit, Problem, Span
from netdsl.spelling import closest
from netdsl.syntax import Index, Literal, Name


def no_entry(table: Mapping[Any, Any], index: Any, node: Index, scope: Scope) -> Problem:
    """N141, with the nearest entry, put in where the index comes from."""
    nearest = _nearest(table, index)
    place = _origin(node, scope)
    others: tuple[tuple[Span, str], ...] = ()
    if place is not None and place.line != node.span.line:
        others = ((place, f"{show(index)} comes from here"),)
    edits = () if place is None or nearest is None else (Edit(place, show(nearest)),)
    return Problem(
        "N141",
        f"the table has no entry {show(index)}",
        notes=(f"it has {', '.join(show(key) for key in table)}",),
        helps=(f"did you mean {show(nearest)}?",) if nearest is not None else (),
        edits=edits,
        others=others,
    )


def _nearest(table: Mapping[Any, Any], index: Any) -> Any:
    """The entry nearest to a number, or spelled nearly like a word."""
    numbers = [key for key in table if is_number(key)]
    if is_number(index) and numbers:
        return min(numbers, key=lambda key: abs(key - index))
    words = [key for key in table if isinstance(key, str)]
    return closest(index, words) if isinstance(index, str) else None


def _origin(node: Index, scope: Scope) -> Span | None:
    """Where the text of the index stands: itself, or the value of the name that it is."""
    if isinstance(node.index, Literal):
        return node.index.span
    if isinstance(node.index, Name) and (found := scope.find(node.index.text)) is not None:
        return found.origin
    return None


def no_element(values: Sequence[Any], index: Any, node: Index) -> Problem:
    """N142, with the last element there is."""
    if not values:
        return Problem("N142", f"the list has no element {show(index)}", notes=("it is empty",))
    last = len(values) - 1
    edit = Edit(node.index.span, str(last))
    return Problem(
        "N142",
        f"the list has no element {show(index)}",
        notes=(f"its elements are 0 to {last}",),
        helps=(f"the last one is {last}",),
        edits=(edit,) if isinstance(node.index, Literal) else (),
    )
