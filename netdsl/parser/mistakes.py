"""What a syntax error means: from the token before, the token, and what could stand there.

`MISTAKES` is asked in order; the first that recognises the place speaks. A repair is said only
where the parser, trying it, reads on.
"""

from __future__ import annotations

from collections.abc import Callable

from netdsl.errors import Diagnostic, Edit, Span
from netdsl.kinds import REQUIRED
from netdsl.op import OPS
from netdsl.parser.brackets import surplus_close, unclosed, unopened
from netdsl.parser.foreign import FOREIGN
from netdsl.parser.place import CLASSES, EXPRESSION_STARTS, KEYWORDS, STARTS, TEXTS, Place, edit_out
from netdsl.parser.tokens import Token
from netdsl.parser.trial import Trials

# What is often left out, in the order in which it is tried.
LEFT_OUT = (
    *("COMMA", "ARROW", "EQUAL", "LPAR", "RPAR", "LBRACE", "RBRACE", "LSQB", "RSQB", "COLON"),
    *("SEMICOLON", "IN", "THEN", "ELSE", "AS", "DOTDOT", "FOR", "LET"),
)
SHOWN = 6  # expected tokens that a message lists
GIVES = {"COLON", "EQUAL"}  # what a value stands behind
BACK = 3  # tokens before the mistake where it may have been left out


def explain(tokens: list[Token], i: int, accepts: set[str], trials: Trials) -> Diagnostic:
    """The diagnostic for a token that the parser does not take."""
    place = Place(tokens, i, accepts, trials)
    return next(found for mistake in MISTAKES if (found := mistake(place)))


def keyword_as_name(place: Place) -> Diagnostic | None:
    """`let in = 3`, and `linear(in)` behind it."""
    token = place.token
    if place.before is not None and place.accepts == {"EQUAL"} and place.before.text in KEYWORDS:
        token = place.before
    elif token.text not in KEYWORDS or not _as_name(place):
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


def missing_arrow(place: Place) -> Diagnostic | None:
    """`x -> conv(8, 3) relu`: the name was taken for the start of a statement."""
    name = place.before
    if name is None or name.type != "NAME" or "EQUAL" not in place.accepts or place.i < 2:
        return None
    earlier = place.tokens[place.i - 2]
    ends = earlier.type in {"NAME", "RPAR", "RBRACE", "BRACKETS", "INT", "STRING"}
    same_line = earlier.span.line == name.span.line
    deeper = not same_line and place.is_deeper(place.i - 1)
    if not ends or not (same_line or deeper) or not place.works(place.i - 1, "ARROW"):
        return None
    return Diagnostic(
        "N003",
        f"`{name.text}` stands where a new statement starts",
        name.span,
        helps=(f"as a further stage it needs an arrow: `-> {name.text}`",),
        edits=(place.in_front(place.i - 1, "ARROW"),),
        sure=True,
    )


def missing_equals(place: Place) -> Diagnostic | None:
    """`y x -> relu`, `let n 3`: a name and its value, without `=` between them."""
    token, name = place.token, place.before
    if name is None or name.type != "NAME" or "EQUAL" not in place.accepts:
        return None
    if not place.on_one_line or token.type not in EXPRESSION_STARTS:
        return None
    in_call = place.open is not None and place.open.type == "LPAR"
    if (in_call and not _is_option(place)) or not place.works(place.i, "EQUAL"):
        return None
    return Diagnostic(
        "N003",
        f"`=` is missing behind `{name.text}`",
        name.span,
        label="" if in_call else "a statement gives a value a name",
        helps=(f"write `{name.text} = {token.text}…`",),
        edits=(place.in_front(place.i, "EQUAL"),),
        sure=True,
    )


def _is_option(place: Place) -> bool:
    """Whether the name before is that of a hyper-parameter which the called layer need not have."""
    assert place.open is not None and place.before is not None
    called, name = place.tokens[place.tokens.index(place.open) - 1].text, place.before.text
    if (op := OPS.get(called)) is not None:
        field = op.schema().get(name)
        return field is not None and field.default is not REQUIRED
    signature = False
    for n, token in enumerate(place.tokens[:-1]):
        if token.type in {"NET", "BLOCK"}:
            signature = place.tokens[n + 1].text == called
        elif token.type == "LBRACE":
            signature = False
        elif signature and token.text == name and place.kinds[n + 1] == "EQUAL":
            return True
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


def missing_token(place: Place) -> Diagnostic | None:
    """`conv(8 3)`, `conv 8, 3)`, `for i range(3) { … }`: one token puts it right."""
    for goal, back in ((place.goal, BACK), (place.near, 0)):
        for at in range(place.i, max(place.i - 1 - back, 0), -1):
            for terminal in LEFT_OUT:
                if place.works(at, terminal, goal=goal):
                    return _missing(place, at, terminal)
    value = next((n for n in range(place.i - 1, 0, -1) if place.kinds[n - 1] in GIVES), None)
    for terminal in ("LSQB", "LBRACE", "LPAR"):  # a list or table that starts further back
        if value is not None and place.works(value, terminal):
            return _missing(place, value, terminal)
    return None


def _missing(place: Place, at: int, terminal: str) -> Diagnostic:
    token, text = place.tokens[at], _text(terminal)
    end = token.type == "$END"
    before = place.tokens[at - 1]
    behind = terminal in {"RPAR", "RSQB", "RBRACE", "EQUAL"}
    where = f"behind `{before.text}`" if behind or end else f"before `{token.text}`"
    return Diagnostic(
        "N005",
        f"missing `{text}` {where}",
        before.span if behind or end else token.span,
        edits=(place.in_front(at, terminal),),
        sure=True,
    )


def run_together(place: Place) -> Diagnostic | None:
    """`max_pool3, stride=2)`, `n0]`: a bracket was left out between two words."""
    if place.token.type not in {"RPAR", "RSQB", "EQUAL"}:
        return None
    known = {t.text for t in place.tokens if t.type == "NAME"} | set(OPS)
    for at in range(place.i, max(place.i - 1 - 2 * BACK, 0), -1):
        token = place.tokens[at]
        if token.type != "NAME":
            continue
        for cut in range(len(token.text) - 1, 0, -1):
            head, tail = token.text[:cut], token.text[cut:]
            kind = "INT" if tail.isdigit() else "NAME"
            if head not in known - {token.text} or not (kind == "INT" or tail.isidentifier()):
                continue
            for opening in ("LPAR", "LSQB"):
                if place.works(at, "NAME", opening, kind, cut=1):
                    here = token.span.start + cut
                    return Diagnostic(
                        "N005",
                        f"missing `{_text(opening)}` in `{token.text}`",
                        token.span,
                        helps=(f"write `{head}{_text(opening)}{tail}`",),
                        edits=(Edit(Span(token.span.source, here, here), _text(opening)),),
                    )
    return None


def wrong_token(place: Place) -> Diagnostic | None:
    """`if s = 1 then`, `y == x -> relu`, `y: x`: another token puts it right."""
    for wrong, right in INSTEAD:
        if place.token.type == wrong and place.works(place.i, right, cut=1):
            here = {"COMPARE": "=="}.get(right) or _text(right)
            return Diagnostic(
                "N006",
                f"`{place.token.text}` stands where `{here}` is meant",
                place.token.span,
                helps=(f"write `{here}`",),
                edits=(Edit(place.token.span, here),),
                sure=True,
            )
    return None


INSTEAD = (
    ("EQUAL", "COMPARE"),
    ("COMPARE", "EQUAL"),
    ("COLON", "EQUAL"),
    ("EQUAL", "COLON"),
    ("SEMICOLON", "COMMA"),
    ("COLON", "THEN"),
    ("RPAR", "RSQB"),
    ("RSQB", "RPAR"),
    ("MINUS", "ARROW"),
    ("COMPARE", "ARROW"),
    ("DOT", "ARROW"),
)


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
    return CLASSES[terminal] if terminal in CLASSES else f"`{_text(terminal)}`"


def _text(terminal: str) -> str:
    return TEXTS.get(terminal, terminal.lower())


MISTAKES: tuple[Callable[[Place], Diagnostic | None], ...] = (
    *FOREIGN,
    keyword_as_name,
    surplus_close,
    run_together,
    unopened,
    unclosed,
    missing_arrow,
    missing_equals,
    no_value_name,
    ends_early,
    missing_token,
    wrong_token,
    surplus_token,
    outside,
    unexpected,
)
