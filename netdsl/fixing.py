"""`check --fix`: the edits of findings that are sure, as long as they make the file better.

A change is kept only if fewer findings are left: first of those about the syntax, then of the other
errors, then of the warnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from netdsl.edits import apply, overlap
from netdsl.errors import Diagnostic, NetError, Source
from netdsl.front import all_findings
from netdsl.sources import collect

ROUNDS = 50


@dataclass(frozen=True)
class Fixed:
    """The text after the fixes, what was fixed, in order, and what is left."""

    text: str
    fixes: tuple[Diagnostic, ...]
    left: tuple[Diagnostic, ...]


def fix(source: Source, folder: Path | None) -> Fixed:
    """Apply what is sure until nothing gets better; `folder` has what the file imports."""
    fixes: list[Diagnostic] = []
    found = _findings(source, folder)
    for _ in range(ROUNDS):
        for batch in _batches(_sure(found, source)):
            text = apply(source, [edit for d in batch for edit in d.edits])
            changed = Source(source.name, text)
            then = _findings(changed, folder)
            if _badness(then) < _badness(found):
                source, found = changed, then
                fixes += batch
                break
        else:
            break
    return Fixed(source.text, tuple(fixes), found)


def _findings(source: Source, folder: Path | None) -> tuple[Diagnostic, ...]:
    try:
        return all_findings(collect(source, Path(source.name).name, folder))
    except NetError as error:
        return error.diagnostics


def _sure(found: Sequence[Diagnostic], source: Source) -> list[Diagnostic]:
    """The findings whose edits are sure and about this file, none overlapping an earlier one's."""
    chosen: list[Diagnostic] = []
    for diagnostic in found:
        here = diagnostic.edits and all(e.span.source == source for e in diagnostic.edits)
        taken = [edit for d in chosen for edit in d.edits]
        free = not any(overlap(a, b) for a in diagnostic.edits for b in taken)
        if diagnostic.sure and here and free:
            chosen.append(diagnostic)
    return chosen


def _batches(chosen: list[Diagnostic]) -> Iterator[list[Diagnostic]]:
    """All at once; then, should that be no better, each alone."""
    if chosen:
        yield chosen
    if len(chosen) > 1:
        yield from ([diagnostic] for diagnostic in chosen)


def _badness(found: Sequence[Diagnostic]) -> tuple[int, int, int]:
    """How much is wrong: with the syntax, which hides the rest; otherwise; and warnings."""
    syntax = sum(d.code.startswith("N00") for d in found)
    errors = sum(d.is_error for d in found) - syntax
    return syntax, errors, len(found) - errors - syntax
