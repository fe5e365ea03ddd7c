"""Findings as an editor shows them: each at a place of the file that is open, with all it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl import syntax as s
from netdsl.editors.links import imported
from netdsl.editors.snapshot import Snapshot
from netdsl.errors import Diagnostic, Span


@dataclass(frozen=True)
class Finding:
    """A diagnostic at a place of the open file; `related`: other places, with what is there."""

    diagnostic: Diagnostic
    span: Span
    related: tuple[tuple[Span, str], ...]

    @property
    def message(self) -> str:
        """The sentence, and below it what the label, the notes and the helps say."""
        found = self.diagnostic
        notes = [f"note: {note}" for note in found.notes]
        helps = [f"help: {help}" for help in found.helps]
        return "\n".join([found.message, *([found.label] if found.label else []), *notes, *helps])

    @property
    def fix(self) -> str:
        """What its edits do, as a title."""
        found = self.diagnostic
        return found.helps[0] if found.helps else found.message


def findings(snapshot: Snapshot) -> Iterator[Finding]:
    """The findings of a file, those of the files that it imports too."""
    for found in snapshot.findings:
        related = [(span, label or "here") for span, label in found.others]
        related += [(f.span, f"in `{f.name}`, instantiated here") for f in found.stack]
        span = _place(snapshot, found)
        if found.span is not None and span is not found.span:
            related.insert(0, (found.span, found.label or "here"))
        yield Finding(found, span, tuple(related))


def _place(snapshot: Snapshot, found: Diagnostic) -> Span:
    """In the open file: its own place, where the instantiation that led there stands, or the
    import of the file that it is in."""
    for span in (found.span, *(frame.span for frame in found.stack)):
        if span is not None and span.source == snapshot.source:
            return span
    files = snapshot.sources.files
    where = [key for key, source in files.items() if found.span and source == found.span.source]
    imports = [item for item in snapshot.file.items if isinstance(item, s.Import)]
    for item in imports:
        if imported(snapshot.files, snapshot.key, item) in where:
            return item.module.span
    return imports[0].module.span if imports and where else Span(snapshot.source, 0, 0)
