"""What a syntax error means: from the token before, the token, and what could stand there.

`MISTAKES` is asked in order; the first that recognises the place speaks. A repair is said only
where the parser, trying it, reads on.
"""

from __future__ import annotations

from collections.abc import Callable

from netdsl.errors import Diagnostic, Edit, Span
from netdsl.parser.brackets import surplus_close, unclosed, unopened
from netdsl.parser.foreign import FOREIGN
from netdsl.parser.halves import HALVES
from netdsl.parser.left_out import (
    missing_arrow,
    missing_equals,
    missing_token,
    run_together,
    wrong_token,
)
from netdsl.parser.place import CLASSES, CLOSES, STARTS, TEXTS, Place, edit_out, text_of
from netdsl.parser.tables import keywords
from netdsl.parser.tokens import Token
from netdsl.parser.trial import Trials

SHORT = 60  # characters of a text in a message
SHOWN = 6  # expected tokens that a message lists
FRONTS = {"EQUAL", "RETURN", "COMMA", "SEMICOLON", "THEN", "ELSE", "COLON"}  # of an expression


def explain(tokens: list[Token], i: int, accepts: set[str], trials: Trials) -> Diagnostic:
    """The diagnostic for a token that the parser does not take."""
    place = Place(tokens, i, accepts, trials)
    return next(found for mistake in MISTAKES if (found := mistake(place)))


def keyword_as_name(place: Place) -> Diagnostic | None:
    """`let in = 3`, and `linear(in)` behind it."""
    token = place.token
    if place.before is not None and place.accepts == {"EQUAL"} and place.before.text in keywords():
        token = place.before
    elif token.text not in keywords() or not _as_name(place):
        return None
    return Diagnostic(
        "N004",
        f"`{token.text}` is a keyword and cannot be a name",
        token.span,
        helps=(f"another name, `{token.text}_`, will do",),
        edits=(Edit(token.span, f"{token.text}_"),),
    )


def _as_name(place: Place) -> bool:
    """Whether the keyword stands where only a name can, or is one for the author."""
    only_name = not place.accepts & {"INT", "STRING", "LPAR", "RETURN"}
    name_alone = "NAME" in place.accepts and only_name
    return name_alone or place.behind == "EQUAL" or _given_before(place)


def _given_before(place: Place) -> bool:
    """Whether the keyword was given to a value as its name already."""
    for n in range(1, place.i):
        if place.tokens[n].text == place.token.text and place.kinds[n + 1] == "EQUAL":
            return place.kinds[n - 1] in STARTS or place.first_on_line(n)
    return False


def no_value_name(place: Place) -> Diagnostic | None:
    """`x -> relu` alone, `conv(8, 3)` alone: a statement without `=`."""
    first = place.before
    if first is None or first.type != "NAME" or not {"EQUAL", "COMMA", "LSQB"} <= place.accepts:
        return None
    if place.closes_something:
        return None
    start = Span(first.span.source, first.span.start, first.span.start)
    returns = place.works(place.i - 1, "RETURN") and place.ends_body(place.i - 1)
    return Diagnostic(
        "N003",
        f"a statement gives a value a name, and `=` is missing behind `{first.text}`",
        first.span.to(place.token.span) if place.on_one_line else first.span,
        label="`name = …`, or `return …`",
        helps=("it ends the body: is it what the body returns, `return …`?",) if returns else (),
        edits=(Edit(start, "return "),) if returns else (),
    )


def ends_early(place: Place) -> Diagnostic | None:
    """The statement is not complete where the body or the file ends, or the next one starts."""
    token, before = place.token, place.before
    starts = {"$END", "RBRACE", "RETURN", "LET", "NET", "BLOCK", "PARAM", "LAYER", "REQUIRE"}
    if before is None or token.type not in starts or place.closes_something:
        return None
    if token.type != "$END" and place.works(place.i, "LBRACE"):
        return None
    surplus = before.type in {"ARROW", "COMMA"} and place.works(place.i - 1, cut=1)
    return Diagnostic(
        "N003",
        f"the statement is not complete behind `{before.text}`",
        before.span,
        label=_expected(place),
        helps=(f"or is this `{before.text}` one too many?",) if surplus else (),
        edits=(edit_out((before,)),) if surplus else (),
    )


def pipe_in_a_sum(place: Place) -> Diagnostic | None:
    """`return x -> conv(8, 3) + x`: a pipe that is an operand stands in parentheses."""
    if place.token.type not in {"PLUS", "MINUS", "TIMES", "CARET"} or place.before is None:
        return None
    start, depth, piped = place.i, 0, False
    while start > 0:
        kind = place.kinds[start - 1]
        depth += (kind in CLOSES.values()) - (kind in CLOSES)
        if depth < 0 or (depth == 0 and kind in FRONTS):
            break
        piped = piped or (depth == 0 and kind == "ARROW")
        start -= 1
    if not piped:
        return None
    whole = place.tokens[start].span.to(place.before.span)
    source = whole.source
    return Diagnostic(
        "N006",
        f"a pipe that is an operand of `{place.token.text}` stands in parentheses",
        place.token.span,
        helps=(f"write `({_short(whole.text)}) {place.token.text} …`",),
        edits=(
            Edit(Span(source, whole.start, whole.start), "("),
            Edit(Span(source, whole.end, whole.end), ")"),
        ),
        sure=True,
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[: SHORT - 1]}…"


def surplus_token(place: Place) -> Diagnostic | None:
    """`conv(8,, 3)`, `y = x -> relu;`: without the token it is right."""
    token = place.token
    if token.type not in TEXTS or not place.works(place.i, cut=1):
        return None
    behind = f" behind `{place.before.text}`" if place.before else ""
    return Diagnostic(
        "N006",
        f"unexpected `{token.text}`{behind}",
        token.span,
        label=_expected(place),
        helps=(f"without this `{token.text}` it can be read",),
        edits=(edit_out((token,)),),
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
    return CLASSES[terminal] if terminal in CLASSES else f"`{text_of(terminal)}`"


MISTAKES: tuple[Callable[[Place], Diagnostic | None], ...] = (
    run_together,
    *FOREIGN,
    *HALVES,
    keyword_as_name,
    surplus_close,
    unopened,
    unclosed,
    missing_arrow,
    missing_equals,
    no_value_name,
    ends_early,
    pipe_in_a_sum,
    missing_token,
    wrong_token,
    surplus_token,
    outside,
    unexpected,
)
