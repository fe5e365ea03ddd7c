"""Text to syntax tree: `parse` reports every statement that it cannot read, and goes on behind it."""

from __future__ import annotations

from lark import UnexpectedToken

from netdsl.errors import LIMIT, Diagnostics, Problem, Source, Span
from netdsl.parser.mistakes import explain
from netdsl.parser.resume import resume
from netdsl.parser.tables import tables
from netdsl.parser.text import decode, from_text
from netdsl.parser.tokens import read_tokens
from netdsl.syntax import Expression, File, Let

__all__ = ["decode", "from_text", "parse", "parse_expression"]


def parse(source: Source, found: Diagnostics) -> File:
    """The tree of a file; statements with a syntax error are reported and missing."""
    return _parse(source, source.text, found)


def parse_expression(span: Span, found: Diagnostics) -> Expression | None:
    """The expression that stands there, inside a string for one."""
    before = "let e="
    source, start = span.source, span.start
    text = before.rjust(start) + span.text
    if start < len(before):
        source = Source(source.name, before + span.text)
        text = source.text
    items = _parse(source, text, found).items
    return items[0].value if len(items) == 1 and isinstance(items[0], Let) else None


def _parse(source: Source, text: str, found: Diagnostics) -> File:
    parser = tables().parse_interactive(text)
    tokens = read_tokens(parser, text, source, found)
    empty = File(Span(source, 0, 0), 1, None, ())
    i: int | None = 0
    for _ in range(LIMIT):
        assert i is not None
        try:
            for i in range(i, len(tokens)):
                tree = parser.feed_token(tokens[i])  # type: ignore[arg-type]
            return tree or empty
        except UnexpectedToken:
            found.add(explain(tokens, i, parser.accepts()))
        except Problem as problem:
            found.add(problem.at(tokens[i - 1].span if i else tokens[i].span))
        i = resume(parser, tokens, i)
        if i is None:
            break
    return empty
