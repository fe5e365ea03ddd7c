"""The tree of a file that is being written: what cannot be read is left out, without a word."""

from __future__ import annotations

from lark import UnexpectedToken

from netdsl.errors import Diagnostics, Problem, Source, Span
from netdsl.parser.resume import ITEM_STARTS, resume
from netdsl.parser.tables import load
from netdsl.parser.tokens import Token, read_tokens
from netdsl.syntax import File

MISTAKES = 1000  # places to go on from


def outline(source: Source) -> File:
    """The tree of a file as far as it can be read. That of `parse` where nothing is wrong; a body
    that is open where the next item starts, or the file ends, ends there."""
    parser = load().parse_interactive(source.text)
    tokens = _closed(read_tokens(parser, source.text, source, Diagnostics()))
    tree: File | None = None
    i: int | None = 0
    mistakes = 0
    while i is not None and i < len(tokens) and mistakes < MISTAKES:
        try:
            tree = parser.feed_token(tokens[i])  # type: ignore[arg-type]
            i += 1
        except (UnexpectedToken, Problem):
            mistakes += 1
            i = resume(parser, tokens, i)
    return tree or File(Span(source, 0, 0), 1, None, ())


def _closed(tokens: list[Token]) -> list[Token]:
    """The tokens with a `}` for every brace that is open before an item or the end."""
    found: list[Token] = []
    depth = 0
    for token in tokens:
        first = not found or token.span.line > found[-1].span.line
        if found and (token.type == "$END" or (first and token.type in ITEM_STARTS)):
            here = Span(token.span.source, token.span.start, token.span.start)
            found += [Token("RBRACE", "", here)] * depth
            depth = 0
        depth = max(0, depth + (token.type == "LBRACE") - (token.type == "RBRACE"))
        found.append(token)
    return found
