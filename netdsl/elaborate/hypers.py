"""What is wrong with a call's hyper-parameters, unknown, missing, too many, and what is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.elaborate.remedies.site import with_argument, without_argument
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.signature import Signature
from netdsl.elaborate.values import LAYERS, Bundle, is_tensor
from netdsl.errors import Edit, Problem, Span
from netdsl.op import OPS, Value
from netdsl.spelling import (
    UNNEEDED,
    closest,
    did_you_mean,
    hyper_spelling,
    layer_spelling,
)

# (layer, hyper-parameter) -> what is usual, where something is
USUAL = {
    ("conv", "k"): "3",
    ("conv1d", "k"): "3",
    ("conv3d", "k"): "3",
    ("max_pool", "k"): "2",
    ("max_pool1d", "k"): "2",
    ("max_pool3d", "k"): "2",
    ("avg_pool", "k"): "2",
    ("avg_pool1d", "k"): "2",
    ("avg_pool3d", "k"): "2",
    ("adaptive_avg_pool", "size"): "1",
    ("adaptive_max_pool", "size"): "1",
    ("linear", "d"): "classes",
}


def unknown(signature: Signature, name: str, argument: Span | None, call: Span | None) -> Problem:
    """N103 for `name=…` at `argument` of `call` (None: the name comes from outside)."""
    message = f"`{signature.name}` has no hyper-parameter `{name}`"
    notes = (f"the signature is `{signature.text}`",)
    if argument is None:
        close = closest(name, _known(signature))
        helps = (f"did you mean `{close}`?",) if close else ()
        return Problem("N103", message, notes=notes, helps=helps)
    word = Span(argument.source, argument.start, argument.start + len(name))
    here = hyper_spelling(name)
    known = _known(signature)
    if here in known:
        return Problem(
            "N103",
            message,
            notes=notes,
            helps=(f"it is called `{here}` here",),
            edits=(Edit(word, str(here)),),
            sure=True,
        )
    if name in UNNEEDED:
        return Problem(
            "N103",
            message,
            notes=notes,
            helps=(f"leave it out: {UNNEEDED[name]}",),
            edits=(without_argument(argument),),
            sure=True,
        )
    if name in ("activation", "act") and call is not None:
        return _activation(message, argument, call)
    return Problem("N103", message, notes=notes, **did_you_mean(word, known))


def _known(signature: Signature) -> list[str]:
    return [*signature.hypers, *signature.tensors[1:]]


def _activation(message: str, argument: Span, call: Span) -> Problem:
    """`Dense(64, activation="relu")`."""
    word = argument.text.partition("=")[2].strip().strip('"')
    here = layer_spelling(word) or word
    if here not in OPS:
        return Problem("N103", message, helps=("an activation is a layer of its own: `-> relu`",))
    behind = Span(call.source, call.end, call.end)
    return Problem(
        "N103",
        message,
        helps=(f"an activation is a layer of its own: `-> {here}`",),
        edits=(without_argument(argument), Edit(behind, f" -> {here}")),
        sure=True,
    )


def missing(signature: Signature, names: Sequence[str], call: Span, scope: Scope) -> Problem:
    """N105, with what is usual or what has the same name where the call stands."""
    proposed = [_proposal(signature, name, scope) for name in names]
    helps: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    texts = [text for text in proposed if text is not None]
    if len(texts) == len(names):
        positional = list(signature.hypers)[-len(names) :] == list(names)
        shown = [
            text if positional or "=" not in call.text else f"{name}={text}"
            for name, text in zip(names, texts, strict=True)
        ]
        edit = with_argument(call, ", ".join(shown))
        at = edit.span.start - call.start
        helps = (f"perhaps `{call.text[:at]}{edit.text}{call.text[at:]}`",)
        edits = (edit,)
    return Problem(
        "N105",
        f"`{signature.name}` needs {' and '.join(f'`{n}`' for n in names)}",
        notes=(f"the signature is `{signature.text}`",),
        helps=helps,
        edits=edits,
    )


def _proposal(signature: Signature, name: str, scope: Scope) -> str | None:
    usual = USUAL.get((signature.name, name))
    for known in (name, usual):
        found = None if known is None else scope.find(known)
        if found is not None and not is_tensor(found.value) and not isinstance(found.value, LAYERS):
            return known
    return usual if usual is not None and usual.isdigit() else None


def twice(
    signature: Signature, name: str, named: Binding, positional: Sequence[Binding], piped: Any
) -> Problem:
    """N104 for `conv(3, 16, k=3)`: PyTorch says the channels of the input first; or one goes."""
    message = f"`{name}` of `{signature.name}` is given twice"
    first = positional[0]
    if len(positional) > 1 and is_features(first.value, piped):
        help = f"the input's channels are known: leave `{first.span.text}` out"
        edits = (without_argument(first.span),)
        return Problem("N104", message, helps=(help,), edits=edits, sure=True)
    edits = (without_argument(named.span),)
    return Problem("N104", message, helps=("one of them goes",), edits=edits)


def is_features(value: Any, x: Any) -> bool:
    """Whether a number is that of the channels or features of a tensor."""
    if isinstance(x, Bundle):
        x = x.first
    if not isinstance(x, Value) or not isinstance(value, int) or x.type.rank < 2:
        return False
    return value in (x.type.shape[1], x.type.shape[-1])


def surplus(signature: Signature, positional: Sequence[Binding]) -> Problem:
    """N110 for a tensor, N104 for a value that there is no place for."""
    first = positional[len(signature.hypers)]
    notes = (f"the signature is `{signature.text}`",)
    edits = (without_argument(first.span),)
    helps = (f"without `{first.span.text}` it can be read",)
    if is_tensor(first.value):
        count = len(signature.tensors)
        message = f"`{signature.name}` takes {count} tensor{'s' * (count != 1)}"
        code = "N110"
    else:
        count = len(signature.hypers)
        message = f"`{signature.name}` has {count} hyper-parameter{'s' * (count != 1)}"
        code = "N104"
    message += f"; `{first.span.text}` is one more"
    if (whole := _in_brackets(signature, positional)) is not None:
        helps = (f"`{next(iter(signature.hypers))}` is a list: `{whole.text}`",)
        return Problem(code, message, notes=notes, helps=helps, edits=(whole,), sure=True)
    return Problem(code, message, notes=notes, helps=helps, edits=edits)


def _in_brackets(signature: Signature, positional: Sequence[Binding]) -> Edit | None:
    """`reshape(N, 64)`, where the only hyper-parameter takes a list: the edit to `[N, 64]`."""
    span = positional[0].span.to(positional[-1].span)
    op, names = OPS.get(signature.name), list(signature.hypers)
    if op is None or len(names) != 1 or list(op.schema()) != names:  # a block may have its name
        return None
    try:
        op.of(**{names[0]: tuple(b.value for b in positional)})
    except Problem:
        return None
    return Edit(span, f"[{span.text}]")
