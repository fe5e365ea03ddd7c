"""Formatting as edits of the lines that change, so that an editor keeps its place in the text."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from netdsl.errors import Edit, NetError, Source, Span
from netdsl.fmt import format_source


def formatted(source: Source) -> Iterator[Edit]:
    """The edits that `netdsl fmt` makes; none where the text cannot be read."""
    try:
        text = format_source(source)
    except NetError:
        return
    old, new = _lines(source.text), _lines(text)
    for tag, i, j, k, n in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            start = sum(map(len, old[:i]))
            end = start + sum(map(len, old[i:j]))
            yield Edit(Span(source, start, end), "".join(new[k:n]))


def _lines(text: str) -> list[str]:
    """The lines with their ends, as spans count them."""
    parts = text.split("\n")
    return [*(f"{part}\n" for part in parts[:-1]), *([parts[-1]] if parts[-1] else [])]
