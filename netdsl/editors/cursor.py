"""Where the cursor stands in a text that is being written, seen from the tokens before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.errors import Diagnostics, Source
from netdsl.parser.tables import load
from netdsl.parser.tokens import Token, read_tokens

OPENS = ("LPAR", "LSQB", "LBRACE")
CLOSES = ("RPAR", "RSQB", "RBRACE")
SIGNED = ("NET", "BLOCK", "EXTERN")


@dataclass(frozen=True)
class Call:
    """A call that is open: the layer's name, whether a pipe brings its first tensor, and which
    argument is written: how many stand before it, whether behind the `;`, under which name."""

    name: Token
    piped: bool
    before: int
    behind: bool
    keyword: str | None
    given: tuple[str, ...]


@dataclass(frozen=True)
class Cursor:
    """`place`: item, statement, stage, expression, name (a new one), module, imported, field, label
    or none (a comment, a string, a type). `call`: the innermost call around; `tokens`: before it.
    """

    place: str
    tokens: tuple[Token, ...]
    call: Call | None


def cursor(source: Source, offset: int) -> Cursor:
    """The place of an offset; the word that ends there is what is being written."""
    tokens = _tokens(source)
    if _is_hidden(source, offset, tokens):
        return Cursor("none", (), None)
    before = [t for t in tokens if t.span.start < offset and t.type != "$END"]
    if before and before[-1].span.end >= offset and before[-1].text.isidentifier():
        before.pop()
    opened = _open(before)
    line = source.position(offset)[0]
    first = not before or before[-1].span.line < line
    return Cursor(_place(before, opened, first), tuple(before), _call(before, opened))


def _tokens(source: Source) -> list[Token]:
    return read_tokens(load().parse_interactive(source.text), source.text, source, Diagnostics())


def _is_hidden(source: Source, offset: int, tokens: list[Token]) -> bool:
    """Whether the offset is in a comment or a string."""
    if any(t.type == "STRING" and t.span.start < offset < t.span.end for t in tokens):
        return True
    start = source.text.rfind("\n", 0, offset) + 1
    strings = [t.span for t in tokens if t.type == "STRING"]
    at = source.text.find("#", start, offset)
    while at >= 0 and any(span.start < at < span.end for span in strings):
        at = source.text.find("#", at + 1, offset)
    return at >= 0


def _open(before: list[Token]) -> list[int]:
    """The brackets that are open, by their places among the tokens."""
    stack: list[int] = []
    for i, token in enumerate(before):
        if token.type in OPENS:
            stack.append(i)
        elif token.type in CLOSES and stack:
            stack.pop()
    return stack


def _type(tokens: list[Token], i: int) -> str:
    return tokens[i].type if 0 <= i < len(tokens) else ""


def _place(before: list[Token], opened: list[int], first: bool) -> str:
    """What can stand behind these tokens; `first`: on a new line."""
    last = _type(before, len(before) - 1)
    if last in PLACES:
        return PLACES[last]
    statement = _statement(before, opened)
    if statement and statement[0].type == "FROM" and not (first and last == "NAME"):
        return "imported" if "IMPORT" in {t.type for t in statement} else "module"
    inner = opened[-1] if opened else None
    if inner is None:
        return "item" if first else "none"
    kind = _bracket(before, inner)
    if kind == "body" and (first or last == "LBRACE"):
        return "statement"
    starts = last in ("LPAR", "LBRACE", "THEN", "ELSE")
    if kind == "stages" and starts:
        return "stage"
    return "none" if kind in ("signature", "body") and last in ("NAME", "LPAR") else "expression"


# what is decided by the last token alone
PLACES = {
    "ARROW": "stage",
    "AS": "label",
    "DOT": "field",
    "LET": "name",
    "NET": "name",
    "BLOCK": "name",
    "EXTERN": "name",
    "PARAM": "name",
    "LAYER": "name",
    "RECUR": "name",
    "FOR": "name",
    "DEFAULT": "stage",
}


def _statement(before: list[Token], opened: list[int]) -> list[Token]:
    """The tokens since the last start of a line that is in no bracket."""
    if opened:
        return []
    for i in range(len(before) - 1, -1, -1):
        if i == 0 or before[i].span.line > before[i - 1].span.line:
            return before[i:]
    return []


def _bracket(before: list[Token], i: int) -> str:
    """What a bracket holds: the arguments of a call, stages, a body, a signature, or values."""
    kind, behind = before[i].type, _type(before, i - 1)
    if kind == "LPAR":
        if behind == "NAME":
            return "signature" if _type(before, i - 2) in SIGNED else "call"
        stages = behind in ("ARROW", "LBRACE") or (
            behind == "EQUAL" and _type(before, i - 3) == "LAYER"
        )
        return "stages" if stages else "values"
    if kind == "LSQB":
        return "values"
    depth = 0
    for token in reversed(before[:i]):
        depth += token.type in CLOSES
        if depth == 0 and token.type in BRACES:
            return BRACES[token.type]
        depth -= token.type in OPENS
        if depth < 0:
            return "values"
    return "body"


# what a curly bracket holds, by what stands before it outside of closed brackets
BRACES = {
    **dict.fromkeys(("REPEAT", "FOR"), "stages"),
    **dict.fromkeys(("RECUR", *SIGNED), "body"),
    "EQUAL": "values",
}


def _call(before: list[Token], opened: list[int]) -> Call | None:
    """The innermost call that is open."""
    for depth in range(len(opened) - 1, -1, -1):
        i = opened[depth]
        if _bracket(before, i) == "call":
            return _read(before, i)
        if before[i].type == "LBRACE":
            return None
    return None


def _read(before: list[Token], i: int) -> Call:
    """The call whose `(` is token `i`, up to the cursor."""
    arguments: list[list[Token]] = [[]]
    behind, count = False, 0
    for token in _flat(before[i + 1 :]):
        if token.type == "SEMICOLON":
            behind, count = True, 0
            arguments.append([])
        elif token.type == "COMMA":
            count += 1
            arguments.append([])
        else:
            arguments[-1].append(token)
    named = [a[0].text for a in arguments if len(a) > 1 and a[1].type == "EQUAL"]
    current = arguments[-1]
    keyword = current[0].text if len(current) > 1 and current[1].type == "EQUAL" else None
    piped = _type(before, i - 2) == "ARROW"
    return Call(before[i - 1], piped, count, behind, keyword, tuple(named))


def _flat(tokens: list[Token]) -> Iterator[Token]:
    """The tokens that are in no further bracket that is closed, or open."""
    depth = 0
    for token in tokens:
        depth -= token.type in CLOSES
        if depth == 0:
            yield token
        depth += token.type in OPENS
