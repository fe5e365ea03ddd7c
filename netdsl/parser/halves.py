"""What the language has, written by half: a choice without `else`, an output without its type, a
loop that is no stage."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.errors import Diagnostic, Edit, Span
from netdsl.parser.place import Place

AS_STATEMENT = {
    "for": "over layers a loop is a stage, `y = x -> for i in range(3) { … }`; "
    "over time it is `recur t in 1..T { … }`",
    "repeat": "a loop is a stage: `y = x -> repeat 3 { … }`",
    "if": "a choice is a value or a stage: `y = if c then a else b`",
}


def choice_without_else(place: Place) -> Diagnostic | None:
    """`x -> (if deep then relu) -> …`."""
    if place.token.type != "RPAR" or "ELSE" not in place.accepts or place.open is None:
        return None
    opened = place.tokens.index(place.open)
    stage = place.kinds[opened - 1] == "ARROW"
    if not stage or not place.works(place.i, "ELSE", "NAME"):
        return None
    before = place.tokens[place.i - 1].span
    return Diagnostic(
        "N006",
        "a choice of stages says both",
        place.open.span.to(place.token.span),
        helps=("`identity` does nothing: `… else identity`",),
        edits=(Edit(Span(before.source, before.end, before.end), " else identity"),),
        sure=True,
    )


def missing_type(place: Place) -> Diagnostic | None:
    """`-> (y: [N, 10], mu)`, `param scale = 1`."""
    name = place.before
    if place.accepts != {"COLON"} or name is None or name.type != "NAME":
        return None
    if place.token.type not in {"RPAR", "COMMA", "EQUAL"}:
        return None
    parameter = place.kinds[place.i - 2] == "PARAM"
    shown = f"param {name.text}: [8] = 0" if parameter else f"{name.text}: [N, 8]"
    return Diagnostic(
        "N006",
        f"the {'parameter' if parameter else 'output'} `{name.text}` needs its type",
        name.span,
        helps=(f"as in `{shown}`",),
    )


def loop_as_statement(place: Place) -> Diagnostic | None:
    """`for i in range(3) { x = x -> relu }`, `if norm { … }`."""
    token = place.token
    if token.text not in AS_STATEMENT or "RETURN" not in place.accepts:
        return None
    return Diagnostic(
        "N006",
        f"`{token.text}` starts no statement: each gives a value a name",
        token.span,
        helps=(AS_STATEMENT[token.text],),
    )


def counted_repeat(place: Place) -> Diagnostic | None:
    """`repeat 3 as i { … }`."""
    i, kinds = place.i, place.kinds
    if kinds[i : i + 2] != ["AS", "NAME"] or kinds[i - 2] != "REPEAT":
        return None
    count, counter = place.tokens[i - 1], place.tokens[i + 1]
    whole = place.tokens[i - 2].span.to(counter.span)
    text = f"for {counter.text} in range({count.text})"
    return Diagnostic(
        "N006",
        "the turns of `repeat` are all the same, and have no number",
        whole,
        helps=(f"write `{text}`",),
        edits=(Edit(whole, text),),
        sure=True,
    )


HALVES: tuple[Callable[[Place], Diagnostic | None], ...] = (
    choice_without_else,
    missing_type,
    loop_as_statement,
    counted_repeat,
)
