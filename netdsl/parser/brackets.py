"""Brackets without their partner: which one it is, and where the other one was left out."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.errors import Diagnostic, Edit, Span
from netdsl.parser.place import CLOSES, TEXTS, Place
from netdsl.parser.tokens import Token

ENDS = {"$END", "NET", "BLOCK", "EXTERN", "FROM", *CLOSES.values()}
OPENS = {close: open for open, close in CLOSES.items()}
BACK = 12  # tokens before a closing bracket where its partner may have been left out
TRIED = 60  # places for the missing bracket


def surplus_close(place: Place) -> Diagnostic | None:
    """`)` without `(`; `conv(64, 3))` inside a body."""
    token = place.token
    if token.type not in CLOSES.values():
        return None
    alone = place.works(place.i, cut=1)
    twice = place.before is not None and place.before.type == token.type
    open = place.open
    in_body = open is not None and open.type == "LBRACE" and token.type != "RBRACE"
    if open is not None and not (in_body and alone and twice):
        return None
    return Diagnostic(
        "N002",
        f"this `{token.text}` closes nothing",
        token.span,
        helps=("take it out",) if alone else (),
        edits=(Edit(token.span, ""),) if alone else (),
        sure=alone and twice,
    )


def unopened(place: Place) -> Diagnostic | None:
    """`conv 64, 3)`, `[(1, 64), 1, 128)]`: the partner of a closing bracket was left out."""
    token = place.token
    if token.type not in OPENS or place.open is None or CLOSES[place.open.type] == token.type:
        return None
    opening = OPENS[token.type]
    places = range(place.i - 1, max(place.i - BACK, place.trials.start, 1), -1)
    likely = [at for at in places if _opens_like_its_sibling(place, at)]
    likely += [at for at in range(place.i - 1, place.trials.start, -1) if _is_group(place, at)]
    calls = [at for at in places if opening != "LBRACE" and place.kinds[at - 1] == "NAME"]
    for at in (*likely, *calls, *places):
        if place.works(at, opening, goal=place.next_item):
            edit = place.in_front(at, opening)
            text = TEXTS[opening]
            return Diagnostic(
                "N002",
                f"this `{token.text}` has no `{text}`",
                token.span,
                helps=(f"put the `{text}` before `{place.tokens[at].text}`",),
                edits=(edit,),
                sure=at in likely or at in calls,
            )
    return None


def _is_group(place: Place, at: int) -> bool:
    """Whether `… ) as name` closes a group that starts with the line's first stage."""
    line = place.token.span.line
    starts = place.kinds[at - 1] == "ARROW" and place.first_on_line(at - 1)
    return place.behind == "AS" and starts and place.tokens[at].span.line == line


def _opens_like_its_sibling(place: Place, at: int) -> bool:
    """Whether a tuple that starts here would be as long as the one before it."""
    kinds = place.kinds
    if place.token.type != "RPAR" or kinds[at - 2 : at] != ["RPAR", "COMMA"]:
        return False
    start = at - 2
    while start > 0 and kinds[start] != "LPAR":
        start -= 1
    return kinds[start:at].count("COMMA") - 1 == kinds[at : place.i].count("COMMA")


def unclosed(place: Place) -> Diagnostic | None:
    """The file, an item or another bracket ends what is still open."""
    open, token = place.open, place.token
    if open is None or not (token.type in ENDS or place.starts_statement):
        return None
    if CLOSES[open.type] == token.type:
        return None
    if token.type in CLOSES.values() and CLOSES[open.type] not in place.accepts:
        return None
    found = next(_places(place), None)
    if found is None and token.type not in ENDS:
        return None
    opener, at = found or (open, None)
    close = TEXTS[CLOSES[opener.type]]
    where = f"`{token.text}` stands here" if token.text else "the file ends"
    return Diagnostic(
        "N002",
        f"this `{opener.text}` is never closed",
        opener.span,
        label=f"`{close}` is missing",
        notes=(f"{where} before its `{close}`",) if token.type != "$END" else (),
        helps=_help(place, at, close),
        edits=() if at is None else (_closing(place, at, opener),),
        sure=at is not None,
    )


def _help(place: Place, at: int | None, close: str) -> tuple[str, ...]:
    if at is None:
        return ()
    before = place.tokens[at - 1]
    line = f" in line {before.span.line}" if before.span.line != place.token.span.line else ""
    return (f"put the `{close}` behind `{before.text}`{line}",)


def _closing(place: Place, at: int, opener: Token) -> Edit:
    """The closing bracket in front of token `at`: that of a body has a line of its own."""
    end = place.tokens[at - 1].span
    here = Span(end.source, end.end, end.end)
    if opener.type != "LBRACE":
        return Edit(here, TEXTS[CLOSES[opener.type]])
    own_line = place.tokens[at].span.line > end.line and opener.span.line < end.line
    return Edit(here, "\n}" if own_line else " }")


def _places(place: Place) -> Iterator[tuple[Token, int]]:
    """The brackets that may be the unclosed one, and the token before which a partner makes the
    text readable; the likeliest first."""
    openers = _suspects(place)
    rules = (_like_its_sibling, _behind_a_number, _behind_an_argument, _ends_a_line, _anywhere)
    for goal in (place.next_item, place.goal, place.near):  # there may be another mistake behind
        for rule in rules:
            for o in openers:
                for at in [n for n in range(o + 2, place.i + 1) if rule(place, o, n)][:TRIED]:
                    if place.works(at, CLOSES[place.kinds[o]], goal=goal):
                        yield place.tokens[o], at


def _suspects(place: Place) -> list[int]:
    """Opening brackets that are not closed in their line: those inside a line, then the last open
    one, then the rest."""
    stack: list[int] = []
    unclosed: list[int] = []
    start = place.trials.start
    for n in range(start, place.i):
        kind = place.kinds[n]
        if place.first_on_line(n):
            unclosed += stack
            stack = []
        if kind in CLOSES:
            stack.append(n)
        elif stack and kind == CLOSES[place.kinds[stack[-1]]]:
            stack.pop()
    unclosed += stack
    inner = [n for n in unclosed if not place.first_on_line(n + 1)]
    return [*inner, *(n for n in reversed(unclosed) if n not in inner)]


def _like_its_sibling(place: Place, opener: int, at: int) -> bool:
    """`[(2, 64, (2, 128), …]`: a tuple is as long as the one behind it."""
    kinds = place.kinds
    if kinds[opener] != "LPAR" or kinds[at : at + 2] != ["COMMA", "LPAR"]:
        return False
    end = at + 2
    while end < len(kinds) - 1 and kinds[end] not in {"LPAR", "RPAR"}:
        end += 1
    length = kinds[at + 2 : end].count("COMMA")
    return kinds[end] == "RPAR" and kinds[opener:at].count("COMMA") == length


def _behind_a_number(place: Place, opener: int, at: int) -> bool:
    """`conv(64, 3 -> relu`: no chain starts with a number."""
    kinds = place.kinds
    return kinds[opener] == "LPAR" and kinds[at] in {"ARROW", "AS"} and kinds[at - 1] == "INT"


def _behind_an_argument(place: Place, opener: int, at: int) -> bool:
    """`conv(w, 1, stride=s -> bn`, `{ Unit(64) as layer1[]`: a stage goes on, or has its label."""
    kinds = place.kinds
    if kinds[opener] == "LPAR":
        return kinds[at] in {"ARROW", "AS"} and kinds[at - 2] in {"EQUAL", "COMMA"}
    line = place.tokens[opener].span.line
    return kinds[opener] == "LBRACE" and kinds[at] == "AS" and place.tokens[at].span.line == line


def _ends_a_line(place: Place, opener: int, at: int) -> bool:
    """The line ends; a body ends where the text is no deeper than its start."""
    if place.kinds[at] != "$END" and not place.first_on_line(at):
        return False
    shallow = place.tokens[at].span.column <= place.indent(opener)
    return place.kinds[opener] != "LBRACE" or shallow or place.kinds[at] == "$END"


def _anywhere(place: Place, opener: int, at: int) -> bool:
    return at == place.i or place.kinds[at] in {"ARROW", "AS", "COMMA", "RBRACE", "SEMICOLON"}
