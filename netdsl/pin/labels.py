"""From the names that stages have to labels that say them, where a label can.

A stage that is instantiated under several names needs a template over a loop's number. Where it has
none, it keeps its implied name, and so do the stages of its kind beside it: a label consumes no
ordinal, so that their labels would change its number.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from netdsl.elaborate.scope import Implied, Scope
from netdsl.elaborate.values import is_whole
from netdsl.errors import Span
from netdsl.ir import Graph

SHOWN = 4  # names in a message
_NUMBERED = re.compile(r"(?P<text>.*?)(?P<number>0|[1-9][0-9]*)")


@dataclass(frozen=True)
class Left:
    """A stage that got no label, the names it has, and why."""

    span: Span
    names: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        names = self.names
        if len(names) > SHOWN:
            names = (*names[: SHOWN - 1], "…", names[-1])
        return f"{self.span}: `{self.span.text}` is {', '.join(names)}: {self.reason}"


def labels_of(
    implied: Sequence[Sequence[Implied]], graphs: Sequence[Graph], loops: Collection[Span]
) -> tuple[dict[Span, str], tuple[Left, ...]]:
    """The labels of stages by their place, as .net text, and the stages that are left.

    `implied` are the names in each graph, `loops` the places where loops give names.
    """
    owning = _owning(implied, graphs)
    everything = [i for names in implied for i in names]
    uses: dict[Span, list[Implied]] = {}
    for i in everything:
        uses.setdefault(i.span, []).append(i)
    wanted = {s: found for s, found in uses.items() if any(i.kind in owning for i in found)}
    labels = {
        s: label for s, found in wanted.items() if (label := _label(found, loops)) is not None
    }
    reasons = {span: "no one label says that" for span in wanted if span not in labels}
    beside = _beside(everything)
    unlabelled = {i.span for i in everything if i.span not in labels}
    while unlabelled:
        shifted = {i.span for span in unlabelled for i in beside.get(span, ()) if i.span in labels}
        for span in shifted:
            del labels[span]
            reasons[span] = "a label would change the numbers of others of its kind"
        unlabelled = shifted
    left = [
        Left(span, tuple(dict.fromkeys(i.name for i in wanted[span])), reason)
        for span, reason in reasons.items()
    ]
    return labels, tuple(sorted(left, key=lambda stage: stage.span.start))


def _owning(implied: Sequence[Sequence[Implied]], graphs: Sequence[Graph]) -> set[str]:
    """The kinds of stages that have parameters or buffers, in themselves or inside."""
    kinds: set[str] = set()
    for names, graph in zip(implied, graphs, strict=True):
        paths: set[str] = set()
        for parameter in graph.parameters:
            path = parameter.key
            while "." in path:
                path = path.rpartition(".")[0]
                paths.add(path)
        kinds |= {i.kind for i in names if i.path in paths}
    return kinds


def _beside(everything: Sequence[Implied]) -> dict[Span, list[Implied]]:
    """Of each stage, those that are counted with it: of its kind, in one scope of ordinals."""
    counted: dict[tuple[int, str], list[Implied]] = {}
    for i in everything:
        if not i.scope.space.numbered or i.operator:
            counted.setdefault((id(i.scope.space), i.kind), []).append(i)
    found: dict[Span, list[Implied]] = {}
    for together in counted.values():
        for i in together:
            found.setdefault(i.span, []).extend(together)
    return found


def _label(found: Sequence[Implied], loops: Collection[Span]) -> str | None:
    """The label that gives all the names, if there is one."""
    if any(i.operator for i in found):
        return None
    names = {i.name for i in found}
    if len(names) == 1:
        return names.pop()
    parts = [match for i in found if (match := _NUMBERED.fullmatch(i.name))]
    if len(parts) < len(found) or len({part["text"] for part in parts}) > 1:
        return None
    numbers = [int(part["number"]) for part in parts]
    for name in _loop_names(found[0].scope, loops):
        expression = _line(name, [_value(i.scope, name) for i in found], numbers)
        if expression is not None:
            return f'"{parts[0]["text"]}{{{expression}}}"'
    return None


def _line(name: str, xs: Sequence[int | None], ys: Sequence[int]) -> str | None:
    """`a*name + b` where it is y for every x."""
    points = {(x, y) for x, y in zip(xs, ys, strict=True) if x is not None}
    if None in xs or len({x for x, _ in points}) < len(points) or len(points) < 2:
        return None
    (x0, y0), (x1, y1), *_ = sorted(points)
    slope, rest = divmod(y1 - y0, x1 - x0)
    offset = y0 - slope * x0
    if rest or slope < 1 or any(y != slope * x + offset for x, y in points):
        return None
    product = name if slope == 1 else f"{slope}*{name}"
    return product if offset == 0 else f"{product} {'+-'[offset < 0]} {abs(offset)}"


def _loop_names(scope: Scope, loops: Collection[Span]) -> list[str]:
    """The names that loops around a stage give."""
    names = dict.fromkeys(scope.visible())
    return [n for n in names if (found := scope.find(n)) is not None and found.span in loops]


def _value(scope: Scope, name: str) -> int | None:
    found = scope.find(name)
    return found.value if found is not None and is_whole(found.value) else None
