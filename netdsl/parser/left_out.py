"""What was left out, run together or put in the place of something else: one token repairs it."""

from __future__ import annotations

from netdsl.errors import Diagnostic, Edit, Span
from netdsl.kinds import REQUIRED
from netdsl.op import OPS
from netdsl.parser.place import EXPRESSION_STARTS, Place, text_of

# What is often left out, in the order in which it is tried.
LEFT_OUT = (
    *("COMMA", "ARROW", "EQUAL", "LPAR", "RPAR", "LBRACE", "RBRACE", "LSQB", "RSQB", "COLON"),
    *("SEMICOLON", "IN", "THEN", "ELSE", "AS", "DOTDOT", "FOR", "LET"),
)
# what may stand behind an argument
BEHIND_ARGUMENT = {"RPAR", "RSQB", "LSQB", "EQUAL", "COMMA", "COLON", "SEMICOLON", "TIMES", "PLUS"}
GIVES = {"COLON", "EQUAL"}  # what a value stands behind
BACK = 3  # tokens before the mistake where it may have been left out


def missing_arrow(place: Place) -> Diagnostic | None:
    """`x -> conv(8, 3) relu`: the name was taken for the start of a statement."""
    name = place.before
    if name is None or name.type != "NAME" or "EQUAL" not in place.accepts or place.i < 2:
        return None
    earlier = place.tokens[place.i - 2]
    ends = earlier.type in {"NAME", "RPAR", "RBRACE", "BRACKETS", "INT", "STRING"}
    same_line = earlier.span.line == name.span.line
    deeper = not same_line and place.is_deeper(place.i - 1)
    if (
        not ends
        or not (same_line or deeper)
        or not place.works(place.i - 1, "ARROW", goal=place.near)
    ):
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
    if (in_call and not _is_option(place)) or not place.works(place.i, "EQUAL", goal=place.near):
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
    token, text = place.tokens[at], text_of(terminal)
    end = token.type == "$END"
    before = place.tokens[at - 1]
    behind = terminal in {"RPAR", "RSQB", "RBRACE", "EQUAL"}
    behind = behind or (terminal == "LBRACE" and place.first_on_line(at))
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
    if place.token.type not in BEHIND_ARGUMENT:
        return None
    known = {t.text for t in place.tokens if t.type == "NAME"} | set(OPS)
    for at in range(place.i, max(place.i - 1 - 2 * BACK, 0), -1):
        token = place.tokens[at]
        if token.type != "NAME":
            continue
        for cut in range(len(token.text) - 1, 0, -1):
            head, tail = token.text[:cut], token.text[cut:]
            kind = "INT" if tail.isdigit() else "NAME"
            if head not in known - {token.text} or not (kind == "INT" or tail in known):
                continue
            for opening in ("LPAR", "LSQB"):
                if place.works(at, "NAME", opening, kind, cut=1):
                    here = token.span.start + cut
                    return Diagnostic(
                        "N005",
                        f"missing `{text_of(opening)}` in `{token.text}`",
                        token.span,
                        helps=(f"write `{head}{text_of(opening)}{tail}`",),
                        edits=(Edit(Span(token.span.source, here, here), text_of(opening)),),
                    )
    return None


def wrong_token(place: Place) -> Diagnostic | None:
    """`if s = 1 then`, `y == x -> relu`, `y: x`: another token puts it right."""
    for wrong, right in INSTEAD:
        if place.token.type == wrong and place.works(place.i, right, cut=1):
            here = {"COMPARE": "=="}.get(right) or text_of(right)
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
