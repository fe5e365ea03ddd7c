"""Lines of the formatted text, and what lines up across them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from netdsl.parser import Token

NUMBERS = ("INT", "FLOAT")
COMMENT_SPACE = 2  # before a comment behind code, where no other one stands below it


@dataclass
class Line:
    """One line: its tokens by number with their columns, then a comment in its column."""

    codes: list[tuple[int, int]] = field(default_factory=list)
    comment: str = ""
    column: int = 0

    def text(self, tokens: Sequence[Token]) -> str:
        made = ""
        for i, column in self.codes:
            made = made.ljust(column) + tokens[i].text
        return made.ljust(self.column) + self.comment if self.comment else made

    def end(self, tokens: Sequence[Token]) -> int:
        i, column = self.codes[-1]
        return column + len(tokens[i].text)


def align_comments(lines: Sequence[Line], tokens: Sequence[Token]) -> None:
    """Put each comment behind code into the author's column, or as near as the code allows;
    comments below each other that share a column keep sharing one."""

    def group(line: Line) -> int:
        return line.column if line.codes and line.comment else -1

    for column, members in groupby(lines, group):
        if column >= 0:
            together = list(members)
            space = COMMENT_SPACE if len(together) == 1 else 1
            least = max(line.end(tokens) for line in together) + space
            for line in together:
                line.column = max(column, least)


def unaligned(lines: Sequence[Line], tokens: Sequence[Token], wide: Collection[int]) -> set[int]:
    """The tokens among `wide`, which have further spaces before them, that line up with nothing in
    the line above or below."""
    marks = [_columns(line, tokens) for line in lines]
    lost: set[int] = set()
    for number, line in enumerate(lines):
        near = [marks[n] for n in (number - 1, number + 1) if 0 <= n < len(lines)]
        for i, column in line.codes[1:]:
            if i in wide and not any(_key(i, column, tokens) in found for found in near):
                lost.add(i)
    return lost


def _columns(line: Line, tokens: Sequence[Token]) -> set[tuple[str, int]]:
    return {_key(i, column, tokens) for i, column in line.codes}


def _key(i: int, column: int, tokens: Sequence[Token]) -> tuple[str, int]:
    """What must be the same for two tokens to line up: where numbers end, where others start."""
    token = tokens[i]
    if token.type in NUMBERS:
        return "number", column + len(token.text)
    behind_comma = token.type in ("NAME", "STRING") and tokens[i - 1].type == "COMMA"
    return token.type if behind_comma else token.text, column
