"""After a syntax error: where the next statement starts, and a parser that is ready for it."""

from __future__ import annotations

from lark.parsers.lalr_analysis import Shift
from lark.parsers.lalr_interactive_parser import InteractiveParser

from netdsl.parser.tokens import Token

ITEM_STARTS = {"FROM", "EXTERN", "NET", "BLOCK", "$END"}
STATEMENT_STARTS = {"LET", "DEFAULT", "PARAM", "LAYER", "REQUIRE", "RECUR", "RETURN"}
BEHIND_A_NAME = {"EQUAL", "COMMA", "LSQB"}  # of a statement
BEHIND_A_LOOP = {"ARROW", "AS", "RPAR", "COMMA"}  # no body goes on like this
OPEN = {"LPAR": 1, "LSQB": 1, "RPAR": -1, "RSQB": -1}


def resume(parser: InteractiveParser, tokens: list[Token], failed: int) -> int | None:
    """The token to go on with, the parser's stack cut back to take it; None: there is none."""
    depth, braces = _open_brackets(parser)
    if depth and _starts_line(tokens, failed - 1) and tokens[failed - 1].type in STATEMENT_STARTS:
        failed -= 1  # `f(` and on the next line `let n = 3`: `let` was read as an argument's name
    i = _next_start(tokens, failed, depth, braces)
    while i is not None and not _cut(parser, tokens[i].type):
        i = _next_start(tokens, i + 1, 0, 0)
    return i


def _next_start(tokens: list[Token], failed: int, depth: int, braces: int) -> int | None:
    """The first token from `failed` on that starts or ends something: an item, a statement, a body.

    A keyword must be first on its line; a name too, with what follows it in a statement. `depth`
    and `braces`: the round and square, and the curly brackets that the statement has open.
    """
    for i in range(failed, len(tokens)):
        kind = tokens[i].type
        behind = tokens[i + 1].type if i + 1 < len(tokens) else ""
        first = _starts_line(tokens, i)
        if kind == "$END" or (first and kind in ITEM_STARTS | STATEMENT_STARTS):
            return i
        if kind == "NAME" and first and depth == 0 and behind in BEHIND_A_NAME:
            return i
        if kind == "RBRACE" and braces == 0 and behind not in BEHIND_A_LOOP:
            return i
        braces = max(0, braces + (kind == "LBRACE") - (kind == "RBRACE"))
        depth = max(0, depth + OPEN.get(kind, 0))
    return None


def _starts_line(tokens: list[Token], i: int) -> bool:
    return i == 0 or (i > 0 and tokens[i].span.line > tokens[i - 1].span.line)


def _open_brackets(parser: InteractiveParser) -> tuple[int, int]:
    """How many round or square, and how many curly brackets the unfinished statement has open."""
    state = parser.parser_state
    size = next((n for n in _sizes(parser) if _is_start(parser, n, ("NET", "RETURN"))), 1)
    kinds = [value.type for value in state.value_stack[size - 1 :] if isinstance(value, Token)]
    return (
        max(0, sum(OPEN.get(kind, 0) for kind in kinds)),
        max(0, kinds.count("LBRACE") - kinds.count("RBRACE")),
    )


def _cut(parser: InteractiveParser, terminal: str) -> bool:
    """Cut the stack back to where an item or a statement may start and `terminal` may follow."""
    state = parser.parser_state
    starts = ("NET",) if terminal in ITEM_STARTS else ("NET", "RETURN")
    for size in _sizes(parser):
        row = state.parse_conf.states[state.state_stack[size - 1]]
        if terminal in row and _is_start(parser, size, starts):
            del state.state_stack[size:]
            del state.value_stack[size - 1 :]
            return True
    return False


def _sizes(parser: InteractiveParser) -> range:
    return range(len(parser.parser_state.state_stack), 0, -1)


def _is_start(parser: InteractiveParser, size: int, terminals: tuple[str, ...]) -> bool:
    """Whether a stack of that size stands where one of the keywords may start something."""
    state = parser.parser_state
    row = state.parse_conf.states[state.state_stack[size - 1]]
    is_word = "THEN" in row  # any keyword: a label, or the name of an argument
    return not is_word and any(row.get(name, (None,))[0] is Shift for name in terminals)
