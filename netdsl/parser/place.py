"""Where the parser stopped, as the rules for mistakes look at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from netdsl.errors import Edit, Span
from netdsl.parser.tokens import Token
from netdsl.parser.trial import Trials

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


@dataclass(frozen=True)
class Place:
    """Where the parser stopped: token `i` is none of those it `accepts`."""

    tokens: list[Token]
    i: int
    accepts: set[str]
    trials: Trials

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

    @cached_property
    def kinds(self) -> list[str]:
        """The terminals of the whole file."""
        return [token.type for token in self.tokens]

    @cached_property
    def goal(self) -> int:
        """How far a repair must lead: into the next statement or item, some tokens at most."""
        last = min(self.i + FAR, len(self.tokens) - 1)
        for n in range(self.i + 1, last):
            if self.first_on_line(n) and (self.kinds[n] in ITEMS or self._may_start(n)):
                return n + 1
        return last + 1

    def works(self, at: int, *change: str, cut: int = 0, goal: int | None = None) -> bool:
        """Whether the parser reads on with `change` in place of `cut` tokens from `at` on."""
        return self.trials.works(self.kinds, at, change, cut, self.goal if goal is None else goal)

    @property
    def near(self) -> int:
        """A goal for where another mistake is close behind."""
        return min(self.i + NEAR, self.goal)

    @cached_property
    def next_item(self) -> int:
        """The token behind the first one of the next item, or the number of all tokens."""
        for n in range(self.i, len(self.tokens)):
            if self.kinds[n] in ITEMS and self.first_on_line(n):
                return n + 1
        return len(self.tokens)

    def first_on_line(self, i: int) -> bool:
        """Whether token `i` is the first of its line."""
        return i == 0 or self.tokens[i].span.line > self.tokens[i - 1].span.line

    def indent(self, i: int) -> int:
        """The column of the first token of token `i`'s line."""
        while not self.first_on_line(i):
            i -= 1
        return self.tokens[i].span.column

    def is_deeper(self, i: int) -> bool:
        """Whether token `i`, the first of its line, stands deeper than the statement before it."""
        start = i - 1
        while start > 0 and not (self.first_on_line(start) and self._may_start(start)):
            start -= 1
        return self.first_on_line(i) and self.tokens[i].span.column > self.indent(start)

    def _may_start(self, i: int) -> bool:
        return self.kinds[i] in STARTS or self.kinds[i + 1] in {"EQUAL", "COMMA"}

    @property
    def starts_statement(self) -> bool:
        """Whether the token can only start a statement, or is taken for the start of one."""
        if not self.first_on_line(self.i):
            return False
        kind, behind = self.token.type, self.behind
        return kind in STARTS or (kind == "NAME" and behind in {"EQUAL", "COMMA"})

    @property
    def closes_something(self) -> bool:
        """Whether a round or square bracket is open that this token cannot stand in."""
        return self.open is not None and self.open.type != "LBRACE"

    def ends_body(self, i: int) -> bool:
        """Whether the line of token `i` is the last of its body, and the body has no `return`."""
        line, n = self.tokens[i].span.line, i
        while n < len(self.tokens) - 1 and self.tokens[n].span.line == line:
            n += 1
        earlier = i
        while earlier > 0 and self.kinds[earlier] not in {"NET", "BLOCK", "RETURN"}:
            earlier -= 1
        closes = self.kinds[n] == "RBRACE" or "RBRACE" in self.kinds[i:n]
        return closes and self.kinds[earlier] != "RETURN"

    def in_front(self, i: int, terminal: str) -> Edit:
        """The edit that puts a terminal in front of token `i`, spaced as people write it."""
        text = text_of(terminal)
        before, token = self.tokens[i - 1].span, self.tokens[i].span
        if terminal in HUGS_BEFORE:
            space = " " if before.end == token.start and terminal in ("COMMA", "COLON") else ""
            return Edit(Span(token.source, before.end, before.end), text + space)
        if terminal in HUGS_BEHIND and self.kinds[i - 1] == "NAME" and not self.first_on_line(i):
            return Edit(Span(token.source, before.end, token.start), text)  # of a call, an index
        if terminal in HUGS_BEHIND or self.first_on_line(i):
            space = "" if terminal in HUGS_BEHIND else " "
            return Edit(Span(token.source, token.start, token.start), text + space)
        return Edit(Span(token.source, before.end, token.start), f" {text} ")


NEAR = 4  # tokens behind the mistake
FAR = 120  # tokens behind the mistake
ITEMS = {"FROM", "EXTERN", "NET", "BLOCK"}
STARTS = {"RETURN", "LET", "PARAM", "LAYER", "REQUIRE", "DEFAULT", "RECUR"}  # a statement
HUGS_BEFORE = {"COMMA", "COLON", "SEMICOLON", "RPAR", "RSQB"}
HUGS_BEHIND = {"LPAR", "LSQB"}


def text_of(terminal: str) -> str:
    """A terminal as it is written."""
    return TEXTS.get(terminal, terminal.lower())


def edit_out(tokens: Sequence[Token]) -> Edit:
    """The edit that takes tokens out."""
    return Edit(tokens[0].span.to(tokens[-1].span), "")
