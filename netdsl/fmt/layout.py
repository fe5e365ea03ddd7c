"""Tokens to lines: statements on lines of their own, long lines broken, broken ones indented.

A line that starts with an arrow stands under the first arrow of its chain where the author put it
there, else it is indented; an element of a list stands under the first element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.fmt.columns import Line, align_comments, unaligned
from netdsl.fmt.gaps import TRAILING, Gap
from netdsl.fmt.marks import BODY, BRACE, CLOSES, Marks
from netdsl.parser import Token

WIDTH = 100
INDENT = 2
ARROW = len("-> ")
FAR = 40  # a chain whose first arrow is further right is indented, not put under that arrow
ROUNDS = 8  # of dropping spaces that align nothing; after that all are dropped


def lay_out(tokens: Sequence[Token], gaps: Sequence[Gap], marks: Marks) -> str:
    """The text of the tokens and comments in the one style."""
    wide = {i for i, gap in enumerate(gaps) if gap.width > marks.spaced[i]}
    for _ in range(ROUNDS):
        lines = _Layout(tokens, gaps, marks, wide).lines()
        lost = unaligned(lines, tokens, wide)
        if not lost:
            break
        wide -= lost
    else:
        lines = _Layout(tokens, gaps, marks, set()).lines()
    align_comments(lines, tokens)
    return "".join(f"{line.text(tokens)}\n" for line in lines)


@dataclass(frozen=True)
class Frame:
    """A statement or an open bracket: the columns of lines that start in it.

    close    of its closing bracket          element  of what follows a comma
    arrow    of an arrow                     other    of anything else
    """

    close: int
    element: int
    arrow: int
    other: int
    around: Frame | None = None


@dataclass(frozen=True)
class State:
    """What the next token's column depends on; `base`: where the code of the present line starts,
    a leading arrow left out."""

    frame: Frame
    base: int


class _Layout:
    """One pass over the tokens, which goes back to a place to break where a line gets too long."""

    def __init__(
        self, tokens: Sequence[Token], gaps: Sequence[Gap], marks: Marks, wide: set[int]
    ) -> None:
        self.tokens, self.gaps, self.marks, self.wide = tokens, gaps, marks, wide
        self.breaks = {i for i in range(len(tokens)) if self._kept(i)}
        self.column = [0] * len(tokens)
        self.starts: set[int] = set()
        self.before: list[State] = []
        self.under = self._chains_under_their_arrow()
        for opening in marks.bodies:
            self._open_body(opening)

    def lines(self) -> list[Line]:
        state = State(Frame(0, 0, 0, 0), 0)
        i = 0
        while i < len(self.tokens) - 1:
            del self.before[i:]
            self.before.append(state)
            if self._starts_line(i):
                self.starts.add(i)
                self.column[i] = self._indent(i, state.frame)
                arrow = ARROW if self.tokens[i].type == "ARROW" else 0
                state = State(state.frame, self.column[i] + arrow)
            else:
                self.starts.discard(i)
                self.column[i] = self._end(i - 1) + self._space(i)
                place = self._place_to_break(i)
                if place is not None:
                    i = self._break(place)
                    state = self.before[i]
                    continue
            state = self._behind(i, state)
            i += 1
        return self._lines()

    def _starts_line(self, i: int) -> bool:
        first = i in self.marks.statements and i - 1 not in self.marks.bodies
        return first or i in self.breaks or bool(self.gaps[i].comments) or i == 0

    def _kept(self, i: int) -> bool:
        """Whether the author's line break before the token stays."""
        if not 0 < i < len(self.tokens) - 1:
            return False
        if self.tokens[i].type in CLOSES.values():
            return self._opened(self.marks.match[i])
        if not self.gaps[i].broken:
            return False
        return i in self.marks.may_break or self._opened(i - 1)

    def _opened(self, i: int) -> bool:
        """Whether a bracket is the last of its line."""
        return self.tokens[i].type in CLOSES and self.gaps[i + 1].broken

    def _open_body(self, opening: int) -> None:
        """A body stays on the line of its brace where it is one unbroken statement."""
        close = self.marks.match[opening]
        inside = range(opening + 1, close + 1)
        several = sum(i in self.marks.statements for i in inside) > 1
        broken = any(i in self.breaks or self.gaps[i].comments for i in inside)
        if several or broken or (self.gaps[opening + 1].broken and len(inside) > 1):
            self._break(opening + 1)

    def _chains_under_their_arrow(self) -> dict[int, bool]:
        """Whether the lines of a chain stand under its first arrow, as the author has it."""
        found: dict[int, bool] = {}
        for i, chain in self.marks.chain.items():
            if i != chain and i in self.breaks and chain not in found:
                column = self.tokens[i].span.column
                found[chain] = chain not in self.breaks and (
                    column == self.tokens[chain].span.column
                )
        return found

    def _indent(self, i: int, frame: Frame) -> int:
        """The column of a token that starts a line."""
        marks, kind, before = self.marks, self.tokens[i].type, self.tokens[i - 1].type
        if i in marks.statements:
            return INDENT * marks.statements[i]
        if kind in CLOSES.values():
            body = marks.bodies.get(marks.match[i])
            return frame.close if body is None else INDENT * body
        if kind == "ARROW":
            chain = marks.chain[i]
            if chain not in self.under and chain != i:
                near = self.column[chain] <= FAR
                self.under[chain] = chain not in self.starts and near
            return self.column[chain] if self.under.get(chain) else frame.arrow
        if before in TRAILING or before in CLOSES:
            return frame.element
        return frame.other

    def _behind(self, i: int, state: State) -> State:
        """The state behind a token: statements start a frame, brackets open and close one."""
        marks, kind = self.marks, self.tokens[i].type
        if i in marks.statements:
            column = self.column[i]
            inner = column + INDENT * (2 if i in marks.heads else 1)
            state = State(Frame(column, inner, inner, inner), column)
        if kind in CLOSES and i not in marks.bodies:
            return State(self._opened_frame(i, state), state.base)
        if kind in CLOSES.values() and marks.match[i] not in marks.bodies:
            assert state.frame.around is not None
            return State(state.frame.around, state.base)
        return state

    def _opened_frame(self, i: int, state: State) -> Frame:
        """The frame of the bracket that opens."""
        stages = i in self.marks.loops or (
            self.tokens[i].type == "LPAR" and self.tokens[i - 1].type == "ARROW"
        )
        if self._starts_line(i + 1):
            close, element = state.base, state.base + INDENT
            arrow = element if stages else element + INDENT
        else:
            close, element = self.column[i], self.column[i] + 1 + self.marks.spaced[i + 1]
            arrow = element if stages else element + INDENT
            if stages and self.tokens[i].type == "LPAR":
                arrow = element - ARROW  # the stages of the group stand under each other
        return Frame(close, element, arrow, element + INDENT, state.frame)

    def _space(self, i: int) -> int:
        return self.gaps[i].width if i in self.wide else int(self.marks.spaced[i])

    def _end(self, i: int) -> int:
        return self.column[i] + len(self.tokens[i].text)

    def _place_to_break(self, i: int) -> int | None:
        """Where to break the line that the token makes too long, if it can be broken; and before a
        body on its own line whose head is broken already."""
        line = i
        while line not in self.starts:
            line -= 1
        if i - 1 in self.marks.bodies and line not in self.marks.statements:
            return i
        if self._end(i) <= WIDTH:
            return None
        places = [j for j in range(i, line, -1) if j in self.marks.may_break]
        return min(places, key=self._outwards, default=None)

    def _outwards(self, i: int) -> tuple[int, int]:
        """The lower, the more of the statement a break has on both sides; a body's brace is first,
        and a break behind a loop's brace is one of what is around the brace."""
        rank = self.marks.may_break[i]
        return (-1, 0) if rank == BODY else (self.marks.depth[i] - (rank == BRACE), rank)

    def _break(self, i: int) -> int:
        """Break before the token; behind a brace, before the closing one too. Where to go on."""
        self.breaks.add(i)
        if i - 1 not in self.marks.bodies and i - 1 not in self.marks.loops:
            return i
        self.breaks.add(self.marks.match[i - 1])
        return i - 1

    def _lines(self) -> list[Line]:
        """The lines of code, and of comments, with single empty lines where the author has some."""
        lines: list[Line] = []
        for i in range(len(self.tokens)):
            gap, last = self.gaps[i], i == len(self.tokens) - 1
            between = last or i in self.marks.statements or self._ends_body(i)
            opens = i == 0 or i - 1 in self.marks.bodies
            for comment in gap.comments:
                if comment.own or not lines:
                    if comment.blank and between and not opens:
                        lines.append(Line())
                    lines.append(Line(comment=comment.text, column=self._comment_column(i)))
                    opens = False
                else:
                    lines[-1].comment, lines[-1].column = comment.text, comment.column
            if last:
                break
            if i in self.starts:
                if gap.blank and i in self.marks.statements and not opens:
                    lines.append(Line())
                lines.append(Line())
            lines[-1].codes.append((i, self.column[i]))
        return lines

    def _ends_body(self, i: int) -> bool:
        return self.marks.match.get(i) in self.marks.bodies

    def _comment_column(self, i: int) -> int:
        """The column of comments on lines of their own before the token."""
        if i == len(self.tokens) - 1:
            return 0
        if self._ends_body(i):
            return INDENT * (self.marks.bodies[self.marks.match[i]] + 1)
        if self.tokens[i].type in CLOSES.values():
            return self.before[i].frame.element
        return self.column[i]
