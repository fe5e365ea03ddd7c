"""The one style of .net files: `format` lays a text out anew, its tokens and comments unchanged.

Two spaces a level, at most 100 columns, at most one blank line, arrows in front of broken lines.
Where the author broke a chain or a list it stays broken, and columns that line up stay lined up.
"""

from __future__ import annotations

from netdsl.errors import Diagnostics, NetError, Source
from netdsl.fmt.gaps import comments, gaps_of
from netdsl.fmt.layout import lay_out
from netdsl.fmt.marks import marks_of
from netdsl.parser import from_text, parse, tokenize
from netdsl.syntax import File

__all__ = ["format", "format_source"]


def format(text: str) -> str:
    """The text in the one style; it says the same. Raises `NetError` for a syntax error."""
    return format_source(from_text(text, "<text>"))


def format_source(source: Source) -> str:
    """As `format`, of a file that is read already."""
    tree = _read(source)
    tokens = tokenize(source, Diagnostics())
    gaps = gaps_of(tokens)
    text = lay_out(tokens, gaps, marks_of(tokens, tree))
    made = Source(source.name, text)
    assert _read(made) == tree, "the formatted text says something else"
    kept = comments(gaps_of(tokenize(made, Diagnostics())))
    assert kept == comments(gaps), "the formatted text has other comments"
    return text


def _read(source: Source) -> File:
    found = Diagnostics()
    tree = parse(source, found)
    if found:
        raise NetError(found.sorted())
    return tree
