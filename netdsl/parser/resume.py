"""After a syntax error: where the next statement starts, and a parser that is ready for it."""

from __future__ import annotations

from lark.parsers.lalr_analysis import Shift
from lark.parsers.lalr_interactive_parser import InteractiveParser

from netdsl.parser.tokens import Token

ITEM_STARTS = {"FROM", "EXTERN", "NET", "BLOCK", "$END"}
STATEMENT_STARTS = {"LET", "DEFAULT", "PARAM", "LAYER", "REQUIRE", "RECUR", "RETURN"}
_OPEN = {"LPAR", "LSQB"}
_CLOSE = {"RPAR", "RSQB"}


def resume(parser: InteractiveParser, tokens: list[Token], failed: int) -> int | None:
    """The token to go on with, the parser's stack cut back to take it; None: there is none."""
    i = next_start(tokens, failed)
    while i is not None and not _cut(parser, tokens[i].type):
        i = next_start(tokens, i + 1)
    return i


def next_start(tokens: list[Token], failed: int) -> int | None:
    """The first token from `failed` on that starts or ends something: an item, a statement, a body.

    A keyword must be first on its line; a name too, with `=`, `,` or `[` behind it, outside of the
    brackets that the statement opened.
    """
    depth = _open_brackets(tokens, failed)
    braces = 0
    for i in range(failed, len(tokens)):
        kind = tokens[i].type
        first = i == 0 or tokens[i].span.line > tokens[i - 1].span.line
        if kind in ITEM_STARTS and (first or kind == "$END"):
            return i
        if kind in STATEMENT_STARTS and first:
            return i
        if kind == "LBRACE":
            braces += 1
        elif kind == "RBRACE":
            if braces == 0:
                return i
            braces -= 1
        elif kind in _OPEN:
            depth += 1
        elif kind in _CLOSE:
            depth = max(0, depth - 1)
        elif kind == "NAME" and first and depth == 0 and i > failed:
            if tokens[i + 1].type in ("EQUAL", "COMMA", "LSQB"):
                return i
    return None


def _open_brackets(tokens: list[Token], failed: int) -> int:
    """How many round and square brackets are open before the token, since its statement began."""
    depth = 0
    for token in reversed(tokens[:failed]):
        if token.type in _OPEN:
            depth += 1
        elif token.type in _CLOSE:
            depth -= 1
        elif token.type in ITEM_STARTS | STATEMENT_STARTS | {"LBRACE", "RBRACE"}:
            break
    return max(0, depth)


def _cut(parser: InteractiveParser, terminal: str) -> bool:
    """Cut the stack back to where an item or a statement may start and `terminal` may follow."""
    state = parser.parser_state
    sign = "NET" if terminal in ITEM_STARTS else None
    for size in range(len(state.state_stack), 0, -1):
        row = state.parse_conf.states[state.state_stack[size - 1]]
        starts = {name for name in ("NET", "RETURN") if row.get(name, (None,))[0] is Shift}
        if (sign in starts if sign else starts) and terminal in row:
            del state.state_stack[size:]
            del state.value_stack[size - 1 :]
            return True
    return False
