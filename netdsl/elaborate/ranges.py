"""The range of a recurrence, `recur t in 1..T`: up to a number, a size, or lengths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from netdsl.elaborate.ends import End, place
from netdsl.elaborate.recurrence import Recurrence, Step
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import describe, is_whole
from netdsl.elaborate.walk import evaluate
from netdsl.errors import Problem
from netdsl.kinds import MAX_SIZE
from netdsl.op import Value
from netdsl.sizes import Poly, Size
from netdsl.syntax import Recur


def opened(node: Recur, scope: Scope) -> Recurrence | None:
    """The recurrence with its range."""
    first, last = evaluate(node.first, scope), place(node.last, scope)
    if first is UNKNOWN or last is UNKNOWN:
        return None
    if not is_whole(first) or not (is_whole(last) or isinstance(last, (Poly, End))):
        wrong, value = (node.last, last) if is_whole(first) else (node.first, first)
        scope.report(_no_bound(value), wrong.span)
        return None
    problem = _no_steps(first, last)
    if problem is not None:
        scope.report(problem, node.first.span.to(node.last.span))
        return None
    recurrence = Recurrence(node.name.text, first, last, node, scope)
    recurrence.scope = scope.inner({node.name.text: Binding(Step(recurrence), node.name.span)})
    return recurrence


def _no_bound(value: Any) -> Problem:
    """N305: what a recurrence cannot count from or up to."""
    tensor = isinstance(value, Value) and value.type.rank == 1
    lengths = f"the lengths of sequences are whole numbers: `int{value.type}`" if tensor else ""
    return Problem(
        "N305",
        f"`recur` counts from a number up to a number, size or lengths, not {describe(value)}",
        helps=(lengths or "`1..T`; what runs backward reads `h[t+1]`",),
    )


def _no_steps(first: int, last: Size | End) -> Problem | None:
    """N305 where a range has no steps, or too many, or examples could have none."""
    if isinstance(last, End):
        if first == 1 and last.offset == 0:
            return None
        name = replace(last, offset=0)
        return Problem(
            "N305",
            f"`{first}..{last}`: what has lengths is counted `1..{name}`",
            helps=("the states before an example's first step are start values",),
        )
    steps = last - (first - 1)
    if isinstance(steps, Poly) or 1 <= steps <= MAX_SIZE:
        return None
    if steps > MAX_SIZE:
        return Problem("N305", f"`{first}..{last}` has more than 2^31 - 1 steps")
    return Problem(
        "N305",
        f"`{first}..{last}` has 0 steps, and a recurrence has at least 1",
        helps=("`1..T`; what runs backward reads `h[t+1]`",),
    )
