"""Text to syntax tree: `parse` reports every statement that it cannot read, and goes on."""

from __future__ import annotations

from lark import UnexpectedToken

from netdsl.errors import LIMIT, Diagnostics, Problem, Source, Span
from netdsl.parser.resume import ITEM_STARTS, resume
from netdsl.parser.tables import load
from netdsl.parser.text import decode, from_text
from netdsl.parser.tokens import Token, read_tokens
from netdsl.parser.trial import Trials
from netdsl.pause import pause_collector
from netdsl.syntax import Expression, File, Let

__all__ = ["Token", "decode", "from_text", "parse", "parse_expression", "tokenize"]


def parse(source: Source, found: Diagnostics) -> File:
    """The tree of a file; statements with a syntax error are reported and missing."""
    with pause_collector():
        return _parse(source, source.text, found)


def tokenize(source: Source, found: Diagnostics) -> list[Token]:
    """The tokens of a file, the last one `$END`; whitespace and comments lie between them."""
    return read_tokens(load().parse_interactive(source.text), source.text, source, found)


def parse_expression(span: Span, found: Diagnostics) -> Expression | None:
    """The expression that stands there, inside a string for one."""
    before = "let e="
    items = _parse(span.source, before + span.text, found, span.start - len(before)).items
    return items[0].value if len(items) == 1 and isinstance(items[0], Let) else None


def _parse(source: Source, text: str, found: Diagnostics, offset: int = 0) -> File:
    """The tree of a text whose first character stands at the offset of the source."""
    parser = load().parse_interactive(text)
    tokens = read_tokens(parser, text, source, found, offset)
    trials = Trials(parser.parser_state.parse_conf)
    unreadable = {d.span.line for d in found if d.span and not d.sure and d.span.source is source}
    tree: File | None = None
    i: int | None = 0
    mistakes = 0
    while i is not None and i < len(tokens) and mistakes < LIMIT:
        before = list(parser.parser_state.state_stack) if tokens[i].type in ITEM_STARTS else None
        try:
            tree = parser.feed_token(tokens[i])  # type: ignore[arg-type]
            if before is not None:
                trials.restart(i, before)
            i += 1
            continue
        except UnexpectedToken:
            from netdsl.parser.mistakes import explain  # needed for errors only

            accepts: set[str] = parser.accepts()  # type: ignore[no-untyped-call]
            mistake = explain(tokens, i, accepts, trials)
            if unreadable.isdisjoint((tokens[i].span.line, mistake.span and mistake.span.line)):
                found.add(mistake)
        except Problem as problem:
            found.add(problem.at(problem.diagnostic.span or tokens[max(i - 1, 0)].span))
        mistakes += 1
        i = resume(parser, tokens, i)
        trials.restart(i or 0, parser.parser_state.state_stack)
    return tree or File(Span(source, 0, 0), 1, None, ())
