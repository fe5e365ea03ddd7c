"""What lies between two tokens: line breaks and comments, as the author has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from netdsl.parser import Token

OPERATORS = ("PLUS", "MINUS", "TIMES", "CARET", "COMPARE", "AND", "OR")
LEADING = ("ARROW", *OPERATORS)  # a line breaks in front of these
TRAILING = ("COMMA", "SEMICOLON")  # and behind these


@dataclass(frozen=True)
class Comment:
    """A comment, on a line of its `own` or behind code; `column`: its first, from 0; `blank`: an
    empty line is before it."""

    text: str
    own: bool
    blank: bool
    column: int


@dataclass(frozen=True)
class Gap:
    """What is between a token and the one before it.

    `width`: the spaces, where there is nothing else; `blank`: an empty line right before the token.
    """

    broken: bool = False
    blank: bool = False
    width: int = 0
    comments: tuple[Comment, ...] = ()


def gaps_of(tokens: Sequence[Token]) -> list[Gap]:
    """The gap before each token. Breaks and comments around an arrow, an operator or a comma are
    where the style has them."""
    source, end = tokens[0].span.source, 0
    gaps: list[Gap] = []
    for token in tokens:
        gaps.append(_gap(source.text[end : token.span.start], source.position(end)[1]))
        end = token.span.end
    for i in range(1, len(tokens) - 1):
        kind = tokens[i].type
        if kind in LEADING and gaps[i + 1].broken:
            gaps[i], gaps[i + 1] = _merged(gaps[i], gaps[i + 1]), Gap()
        elif kind in TRAILING and gaps[i].broken:
            gaps[i], gaps[i + 1] = Gap(), _merged(gaps[i], gaps[i + 1])
    return gaps


def comments(gaps: Sequence[Gap]) -> list[str]:
    """The texts of all comments, in order."""
    return [comment.text for gap in gaps for comment in gap.comments]


def _gap(text: str, column: int) -> Gap:
    """The gap with this text, which starts in `column` of its line."""
    found: list[Comment] = []
    lines = text.split("\n")
    blank = False
    for number, line in enumerate(lines):
        stripped = line.strip(" \t\r")
        if stripped:  # all that is no whitespace here is a comment
            shift = column if number == 0 else 1
            at = shift + len(line) - len(line.lstrip(" \t\r"))
            found.append(Comment(stripped.rstrip(), number > 0, blank, at - 1))
            blank = False
        elif 0 < number < len(lines) - 1:
            blank = True
    if len(lines) == 1 and not found:
        return Gap(width=len(text))
    return Gap(True, blank, 0, tuple(found))


def _merged(first: Gap, second: Gap) -> Gap:
    """One gap with the breaks and comments of two."""
    behind = second.comments
    if behind and first.broken:
        behind = (replace(behind[0], own=True), *behind[1:])
    return Gap(True, second.blank, 0, first.comments + behind)
