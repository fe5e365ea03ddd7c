"""Applying the edits of findings to a text, and what is found then as about the text before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from netdsl.errors import Diagnostic, Edit, Source, Span


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


def carried_back(
    found: Diagnostic, sources: Mapping[Source, tuple[Source, list[Edit]]]
) -> Diagnostic:
    """A finding about changed texts as one about the texts before; `sources` has, of a changed
    one, that text and the edits. Edits that touch what was changed are left out."""

    def back(span: Span) -> Span:
        if span.source not in sources:
            return span
        before, edits = sources[span.source]
        start, end = (_before(offset, edits) for offset in (span.start, span.end))
        return Span(before, start, max(start, end))

    edits = [Edit(back(edit.span), edit.text) for edit in found.edits]
    same = all(a.span.text == b.span.text for a, b in zip(edits, found.edits, strict=True))
    return replace(
        found,
        span=found.span and back(found.span),
        edits=tuple(edits) if same else (),
        others=tuple((back(span), label) for span, label in found.others),
        stack=tuple(replace(frame, span=back(frame.span)) for frame in found.stack),
        sure=found.sure and same,
    )


def _before(offset: int, edits: list[Edit]) -> int:
    """Where an offset of the text after the edits was in the text before."""
    grown = 0
    for edit in edits:
        begin = edit.span.start + grown
        if offset < begin:
            break
        if offset < begin + len(edit.text):
            return min(edit.span.start + offset - begin, edit.span.end)
        grown += len(edit.text) - (edit.span.end - edit.span.start)
    return offset - grown
