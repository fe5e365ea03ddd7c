"""Applying the edits of findings to a text: those that overlap an earlier one are left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netdsl.errors import Edit, Source


def apply(source: Source, edits: Iterable[Edit]) -> str:
    """The text of the source after the edits that are about it."""
    text, end = source.text, len(source.text) + 1
    for edit in reversed(disjoint([e for e in edits if e.span.source == source])):
        assert edit.span.end <= end, "edits overlap"
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
        end = edit.span.start
    return text


def disjoint(edits: Sequence[Edit]) -> list[Edit]:
    """The edits by place, without those that overlap one that comes before them in the sequence."""
    kept: list[Edit] = []
    for edit in edits:
        if not any(overlap(edit, other) for other in kept):
            kept.append(edit)
    return sorted(kept, key=lambda e: (e.span.start, e.span.end))


def overlap(a: Edit, b: Edit) -> bool:
    """Whether two edits touch the same characters, or insert at the same place."""
    if a.span.start == b.span.start:
        return True
    return a.span.start < b.span.end and b.span.start < a.span.end
