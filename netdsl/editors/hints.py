"""Inlay hints: the shape behind each arrow of a chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl import syntax as s
from netdsl.editors.snapshot import Snapshot, walk
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import Bundle, is_tensor

CONTAINERS = (s.Group, s.For, s.Repeat)


@dataclass(frozen=True)
class Hint:
    """A shape behind `offset`; `others`: those of further instantiations."""

    offset: int
    text: str
    others: tuple[str, ...] = ()


def hints(snapshot: Snapshot, start: int = 0, end: int | None = None) -> Iterator[Hint]:
    """The hints between two offsets of the file."""
    for node in walk(snapshot.file):
        for stage in getattr(node, "stages", ()):
            offset = stage.span.end
            if offset >= start and (end is None or offset <= end):
                yield from _after(snapshot, stage)


def _after(snapshot: Snapshot, stage: s.Stage) -> Iterator[Hint]:
    shapes = _shapes(snapshot, stage)
    last = _last(stage)
    if shapes and (last is stage or shapes != _shapes(snapshot, last)):
        yield Hint(stage.span.end, shapes[0], shapes[1:])


def _last(stage: s.Stage) -> s.Stage:
    """The stage that gives the result of a group or a loop, and has its own hint."""
    while isinstance(inner := _unlabelled(stage), CONTAINERS):
        stage = inner.stages[-1]
    return stage


def _unlabelled(stage: s.Stage) -> s.Stage:
    return stage.stage if isinstance(stage, s.Labelled) else stage


def _shapes(snapshot: Snapshot, stage: s.Stage) -> tuple[str, ...]:
    """The different shapes of what a pipe carries behind a stage."""
    values = (seen.value for seen in snapshot.seen(stage) if seen.value is not UNKNOWN)
    firsts = (value.first if isinstance(value, Bundle) else value for value in values)
    return tuple(dict.fromkeys(str(first.type) for first in firsts if is_tensor(first)))
