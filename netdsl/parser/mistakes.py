"""What a syntax error means: from the token before, the token, and what could stand there.

`MISTAKES` is asked in order; the first that recognises the place speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netdsl.errors import Diagnostic, Edit, Span
from netdsl.parser.tokens import Token

SHOWN = 6  # expected tokens that a message lists

CLOSES = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
EXPRESSION_STARTS = {
    "NAME",
    "INT",
    "FLOAT",
    "STRING",
    "TRUE",
    "FALSE",
    "LPAR",
    "LSQB",
    "LBRACE",
    "IF",
}
TEXTS = {
    "ARROW": "->",
    "DOTDOT": "..",
    "DOT": ".",
    "COMMA": ",",
    "COLON": ":",
    "SEMICOLON": ";",
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "BRACKETS": "[]",
    "LBRACE": "{",
    "RBRACE": "}",
    "EQUAL": "=",
    "PLUS": "+",
    "MINUS": "-",
    "CARET": "^",
}
CLASSES = {
    "NAME": "a name",
    "INT": "a number",
    "FLOAT": "a number",
    "STRING": "a string",
    "COMPARE": "a comparison",
    "TIMES": "an operator",
    "PLUS": "an operator",
    "MINUS": "an operator",
    "CARET": "an operator",
    "$END": "the end of the file",
}
KEYWORDS = {
    *("netdsl", "from", "import", "let", "default", "extern", "net", "block", "train", "param"),
    *("layer", "require", "recur", "return", "repeat", "for", "in", "if", "then", "else", "as"),
    *("and", "or", "not", "true", "false"),
}


@dataclass(frozen=True)
class Place:
    """Where the parser stopped: token `i` is none of those it `accepts`."""

    tokens: list[Token]
    i: int
    accepts: set[str]

    @property
    def token(self) -> Token:
        return self.tokens[self.i]

    @property
    def before(self) -> Token | None:
        return self.tokens[self.i - 1] if self.i else None

    @property
    def behind(self) -> str:
        """The terminal behind the token."""
        return self.tokens[self.i + 1].type if self.i + 1 < len(self.tokens) else ""

    @property
    def open(self) -> Token | None:
        """The innermost bracket that is open here."""
        stack: list[Token] = []
        for token in self.tokens[: self.i]:
            if token.type in CLOSES:
                stack.append(token)
            elif stack and token.type == CLOSES[stack[-1].type]:
                stack.pop()
        return stack[-1] if stack else None

    @property
    def on_one_line(self) -> bool:
        return self.before is not None and self.before.span.line == self.token.span.line


def explain(tokens: list[Token], i: int, accepts: set[str]) -> Diagnostic:
    """The diagnostic for a token that the parser does not take."""
    place = Place(tokens, i, accepts)
    return next(found for mistake in MISTAKES if (found := mistake(place)))


def keyword_as_name(place: Place) -> Diagnostic | None:
    """`let in = 3`."""
    token = place.token
    name_alone = "NAME" in place.accepts and not place.accepts & {"INT", "STRING", "LPAR", "RETURN"}
    if token.text not in KEYWORDS or not (name_alone or place.behind == "EQUAL"):
        return None
    return Diagnostic(
        "N004",
        f"`{token.text}` is a keyword and cannot be a name",
        token.span,
        helps=(f"another name, `{token.text}_`, will do",),
    )


def unclosed(place: Place) -> Diagnostic | None:
    """The file, an item or another bracket ends what is still open."""
    open, token = place.open, place.token
    ends = token.type in {"$END", "NET", "BLOCK", "EXTERN", "FROM", *CLOSES.values()}
    if open is None or not ends or CLOSES[open.type] == token.type:
        return None
    close = TEXTS[CLOSES[open.type]]
    if CLOSES[open.type] not in place.accepts and token.type in CLOSES.values():
        return None
    where = "the file ends" if token.type == "$END" else f"`{token.text}` stands here"
    return Diagnostic(
        "N002",
        f"this `{open.text}` is never closed",
        open.span,
        label=f"`{close}` is missing",
        notes=(f"{where} before its `{close}`",) if token.type != "$END" else (),
    )


def surplus_close(place: Place) -> Diagnostic | None:
    """`)` without `(`."""
    token = place.token
    if token.type not in CLOSES.values() or place.open is not None:
        return None
    return Diagnostic("N002", f"this `{token.text}` closes nothing", token.span)


def missing_comma(place: Place) -> Diagnostic | None:
    """`conv(8 3)`."""
    token, open = place.token, place.open
    inside = open is not None and "COMMA" in place.accepts and open.type != "LBRACE"
    if not inside or token.type not in EXPRESSION_STARTS or place.before is None:
        return None
    end = place.before.span.end
    return Diagnostic(
        "N005",
        f"missing `,` before `{token.text}`",
        token.span,
        edits=(Edit(Span(token.span.source, end, end), ","),),
    )


def missing_arrow(place: Place) -> Diagnostic | None:
    """`x -> conv(8, 3) relu`: the name was taken for the start of a statement."""
    name = place.before
    if name is None or name.type != "NAME" or "EQUAL" not in place.accepts or place.i < 2:
        return None
    earlier = place.tokens[place.i - 2]
    ends = earlier.type in {"NAME", "RPAR", "RBRACE", "BRACKETS", "INT"}
    if not ends or earlier.span.line != name.span.line or "COMMA" not in place.accepts:
        return None
    gap = Span(name.span.source, earlier.span.end, name.span.start)
    return Diagnostic(
        "N003",
        f"`{name.text}` stands where a new statement starts",
        name.span,
        helps=(f"as a further stage it needs an arrow: `-> {name.text}`",),
        edits=(Edit(gap, " -> "),),
    )


def no_value_name(place: Place) -> Diagnostic | None:
    """`x -> relu` alone, `conv(8, 3)` alone: a statement without `=`."""
    first = place.before
    if first is None or first.type != "NAME" or not {"EQUAL", "COMMA", "LSQB"} <= place.accepts:
        return None
    return Diagnostic(
        "N003",
        f"a statement gives a value a name, and `=` is missing behind `{first.text}`",
        first.span.to(place.token.span) if place.on_one_line else first.span,
        label="`name = …`, or `return …`",
    )


def ends_early(place: Place) -> Diagnostic | None:
    """The statement is not complete where the body or the file ends, or the next one starts."""
    token, before = place.token, place.before
    starts = {"$END", "RBRACE", "RETURN", "LET", "NET", "BLOCK", "PARAM", "LAYER", "REQUIRE"}
    if before is None or token.type not in starts:
        return None
    return Diagnostic(
        "N003",
        f"the statement is not complete behind `{before.text}`",
        before.span,
        label=_expected(place),
    )


def outside(place: Place) -> Diagnostic | None:
    """A statement at the top of the file."""
    if "NET" not in place.accepts or place.open is not None:
        return None
    return Diagnostic(
        "N006",
        f"`{place.token.text}` cannot start an item of a file",
        place.token.span,
        label="expected net, block, let, default, from or extern",
        helps=("layers stand in the body of a net: `net Name(x: [N, 3, H, W]) { return x -> … }`",),
    )


def unexpected(place: Place) -> Diagnostic:
    """Anything else."""
    token, before = place.token, place.before
    what = f"`{token.text}`" if token.type != "$END" else "end of the file"
    behind = f" behind `{before.text}`" if before else ""
    return Diagnostic("N006", f"unexpected {what}{behind}", token.span, label=_expected(place))


def _expected(place: Place) -> str:
    """`expected …`, where that is few things."""
    names = {_show(terminal) for terminal in place.accepts}
    if place.accepts >= {"NAME", "INT", "LPAR"}:
        return "expected a value"
    if not names or len(names) > SHOWN:
        return ""
    return f"expected {' or '.join(sorted(names))}"


def _show(terminal: str) -> str:
    if terminal in CLASSES:
        return CLASSES[terminal]
    return f"`{TEXTS.get(terminal, terminal.lower())}`"


MISTAKES: tuple[Callable[[Place], Diagnostic | None], ...] = (
    keyword_as_name,
    surplus_close,
    unclosed,
    missing_comma,
    missing_arrow,
    no_value_name,
    ends_early,
    outside,
    unexpected,
)
