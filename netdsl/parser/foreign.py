"""What Python, PyTorch and Keras write, and what it is here: `nn.Conv2d(…)`, `x += f`, `a ** b`."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.errors import Diagnostic, Edit
from netdsl.parser.place import Place
from netdsl.spelling import MODULES, layer_spelling

NET = "`net Name(x: [N, 3, H, W]) { return x -> … }`"
STATEMENTS = {
    "def": f"a function of tensors is {NET}, or `block`",
    "class": f"a model is {NET}; its layers stand where they are used",
    "lambda": "a function has a name here: `block f(x) { return … }`",
    "import": "a file says `from blocks import ConvBN`; layers need no import",
    "while": "a loop has its count: `repeat 3 { … }`, `for i in range(3) { … }`",
    "elif": "choices follow each other: `if a then x else if b then y else z`",
    "super": f"a model is {NET}; nothing is initialised by hand",
    "print": "`netdsl show` prints the shapes of every layer",
    "pass": "a body returns something: `return x`",
    "const": "a value of compile time is `let n = 3`",
    "var": "a value is `y = …`, one of compile time `let n = 3`",
    "fn": f"a function of tensors is {NET}, or `block`",
    "function": f"a function of tensors is {NET}, or `block`",
}


def statement_of_python(place: Place) -> Diagnostic | None:
    """`def forward(self, x):`."""
    for n in range(place.i, max(place.i - 3, -1), -1):
        token = place.tokens[n]
        if token.type not in {"NAME", "IMPORT"} or token.text not in STATEMENTS:
            continue
        if place.first_on_line(n) or token.text == "lambda":
            return Diagnostic(
                "N006",
                f"there is no `{token.text}` in the language",
                token.span,
                helps=(STATEMENTS[token.text],),
            )
    return None


def dotted_name(place: Place) -> Diagnostic | None:
    """`nn.Conv2d(64, 3)`, `F.relu(x)`, `self.conv1 = …`, `x.relu()`."""
    run = _dotted_run(place)
    if run is None:
        return None
    first, last = run
    tokens = place.tokens
    head, name = tokens[first], tokens[last]
    if head.text in MODULES:
        here = layer_spelling(name.text) or name.text
        whole = head.span.to(name.span)
        what = "there is no `self`" if head.text == "self" else f"`{head.text}.` is not needed"
        return Diagnostic(
            "N006",
            f"{what}: `{whole.text}` is called `{here}` here",
            whole,
            helps=(f"write `{here}`",),
            edits=(Edit(whole, here),),
            sure=True,
        )
    if place.kinds[last + 1] != "LPAR" or last != first + 2:
        return None
    here = layer_spelling(name.text) or name.text
    return Diagnostic(
        "N006",
        f"a tensor has no methods: `{head.text} -> {here}` applies a layer",
        head.span.to(name.span),
        helps=(f"write `{head.text} -> {here}`",),
        edits=(Edit(head.span.to(name.span), f"{head.text} -> {here}"),),
        sure=True,
    )


def _dotted_run(place: Place) -> tuple[int, int] | None:
    """The first and last token of the names with dots between that the token is in or behind."""
    kinds, i = place.kinds, place.i
    if kinds[i] not in {"DOT", "LPAR", "EQUAL"}:
        return None
    first = i if kinds[i] == "DOT" else i - 2
    last = i - 1
    while first > 0 and kinds[first] == "DOT" and kinds[first - 1] == "NAME":
        first -= 2
    first += 1
    while last + 2 < len(kinds) and kinds[last + 1] == "DOT" and kinds[last + 2] == "NAME":
        last += 2
    return (first, last) if 0 <= first < last and kinds[first] == "NAME" else None


def called_twice(place: Place) -> Diagnostic | None:
    """`Dense(10)(x)`, as Keras applies a layer."""
    kinds, i = place.kinds, place.i
    if kinds[i - 1 : i + 3] != ["RPAR", "LPAR", "NAME", "RPAR"]:
        return None
    depth, start = 0, i - 1
    while start > 0:
        depth += (kinds[start] == "RPAR") - (kinds[start] == "LPAR")
        if depth == 0:
            break
        start -= 1
    if start == 0 or kinds[start - 1] != "NAME":
        return None
    call = place.tokens[start - 1].span.to(place.tokens[i - 1].span)
    text = f"{place.tokens[i + 1].text} -> {call.text}"
    return Diagnostic(
        "N006",
        "a layer is applied by an arrow, not by a second call",
        call.to(place.tokens[i + 2].span),
        helps=(f"write `{text}`",),
        edits=(Edit(call.to(place.tokens[i + 2].span), text),),
        sure=True,
    )


def two_tokens(place: Place) -> Diagnostic | None:
    """`a ** b`, `x => relu`, `y := x`."""
    pair = next((p for p in (place.i - 1, place.i) if _pair(place, p) in PAIRS), None)
    if pair is None:
        return None
    here = PAIRS[_pair(place, pair)]
    whole = place.tokens[pair].span.to(place.tokens[pair + 1].span)
    return Diagnostic(
        "N006",
        f"`{whole.text}` is `{here}` here",
        whole,
        edits=(Edit(whole, here),),
        sure=True,
    )


def _pair(place: Place, i: int) -> str:
    """The text of token `i` and the next one, where they touch."""
    if not 0 <= i < len(place.tokens) - 1:
        return ""
    first, second = place.tokens[i : i + 2]
    return first.text + second.text if first.span.end == second.span.start else ""


PAIRS = {"**": "^", "=>": "->", ":=": "=", "->>": "->", "=>>": "->", "|>": "->", "===": "=="}


def update(place: Place) -> Diagnostic | None:
    """`x += f`."""
    token, name = place.token, place.before
    if name is None or token.text not in {"+", "-", "*", "/", "@"} or place.behind != "EQUAL":
        return None
    equal = place.tokens[place.i + 1]
    if equal.span.start != token.span.end:
        return None
    return Diagnostic(
        "N006",
        f"`{token.text}=` would change `{name.text}`, and a name keeps its value",
        token.span.to(equal.span),
        helps=(
            f"a new name for the new value: `{name.text}1 = {name.text} {token.text} …`, "
            f"and `{name.text}1` from here on",
        ),
        edits=(Edit(name.span.to(equal.span), f"{name.text}1 = {name.text} {token.text}"),),
    )


def comment(place: Place) -> Diagnostic | None:
    """`// text`."""
    token = place.token
    if token.text != "//":
        return None
    line = token.span.line
    rest = sum(t.span.line == line for t in place.tokens[place.i : -1])
    if not place.works(place.i, cut=rest):
        return None
    return Diagnostic(
        "N006",
        "a comment starts with `#`, not with `//`",
        token.span,
        edits=(Edit(token.span, "#"),),
        sure=True,
    )


def part_of_a_tensor(place: Place) -> Diagnostic | None:
    """`x[1:]`, `x[:, 0]`."""
    open = place.open
    if place.token.type != "COLON" or open is None or open.type != "LSQB":
        return None
    at = place.tokens.index(open)
    if place.kinds[at - 1] not in {"NAME", "RPAR", "RSQB"}:
        return None
    return Diagnostic(
        "N006",
        "a part of a tensor is not written with `:`",
        place.token.span,
        helps=("`slice(axis, from, to)` takes a part along an axis: `x -> slice(1, 0, 3)`",),
    )


def choice_of_python(place: Place) -> Diagnostic | None:
    """`a if c else b`."""
    i, kinds = place.i, place.kinds
    if kinds[i] != "IF" or place.before is None or "ELSE" not in kinds[i:]:
        return None
    other = i + kinds[i:].index("ELSE")
    start = i - 1
    whole: tuple[Edit, ...] = ()
    if kinds[start] in {"NAME", "INT"} and place.works(i, "THEN", cut=1) is False:
        end = other + 1
        if kinds[start - 1] in {"EQUAL", "RETURN", "COMMA", "LPAR"} and end < len(kinds):
            span = place.tokens[start].span.to(place.tokens[end].span)
            condition = place.tokens[i + 1].span.to(place.tokens[other - 1].span).text
            text = f"if {condition} then {place.before.text} else {place.tokens[end].text}"
            whole = (Edit(span, text),)
    if "THEN" in kinds[i:other]:
        return None
    return Diagnostic(
        "N006",
        "a choice says its condition first: `if c then a else b`",
        place.token.span,
        helps=(f"write `{whole[0].text}`",) if whole else (),
        edits=whole,
    )


FOREIGN: tuple[Callable[[Place], Diagnostic | None], ...] = (
    statement_of_python,
    dotted_name,
    called_twice,
    two_tokens,
    update,
    comment,
    part_of_a_tensor,
    choice_of_python,
)
