"""Arguments to parameters (language.md §2): which are tensors, which hyper-parameters.

With a pipe the positional arguments fill the remaining tensors, then the hyper-parameters; without
one all before the `;` are tensors. `;` separates them where both are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.signature import Signature
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import LAYERS, are_tensors, describe, is_number, is_tensor
from netdsl.elaborate.vocabulary import is_known
from netdsl.elaborate.walk import evaluate
from netdsl.errors import Edit, Problem, Span
from netdsl.kinds import REQUIRED
from netdsl.op import OPS
from netdsl.spelling import did_you_mean
from netdsl.syntax import Argument, Bare, Call, Keyword, Name


@dataclass(frozen=True)
class Written:
    """The arguments as they stand in the call, evaluated."""

    before: tuple[Binding, ...] = ()
    after: tuple[Binding, ...] = ()
    keywords: Mapping[str, Binding] = field(default_factory=dict)
    semicolon: bool = False


@dataclass(frozen=True)
class Arguments:
    """Tensors in order (numbers among them, where the signature takes these), and the
    hyper-parameters that are given, each with its place."""

    tensors: tuple[Any, ...]
    hypers: Mapping[str, Binding]


def read(call: Call, scope: Scope) -> Written:
    """Evaluate the arguments of a call."""
    keywords: dict[str, Binding] = {}
    after = call.after or ()
    for argument in (*call.before, *after):
        if isinstance(argument, Keyword):
            name = argument.name
            if name.text in keywords:
                problem = Problem("N104", f"`{name.text}` is given twice")
                scope.report(problem, name.span)
            value = _value(call, argument, scope)
            keywords[name.text] = Binding(value, argument.span)
    return Written(
        _positional(call.before, scope),
        _positional(after, scope),
        keywords,
        call.after is not None,
    )


def _value(call: Call, argument: Keyword, scope: Scope) -> Any:
    """The value of a named argument; N101 says the words that an op takes there."""
    value, op = argument.value, OPS.get(call.name.text)
    taken = op.schema().get(argument.name.text) if op is not None else None
    if taken is None or not isinstance(value, Name) or is_known(value, scope):
        return evaluate(value, scope)
    kind = taken.metadata["kind"]
    if not kind.words:
        return evaluate(value, scope)
    words = dict.fromkeys([kind.show(taken.default), *kind.words])
    meant = did_you_mean(value.span, words)
    helps = meant or {"helps": (f"`{argument.name.text}` is one of {', '.join(words)}",)}
    scope.report(Problem("N101", f"nothing here is called `{value.text}`", **helps), value.span)
    return UNKNOWN


def _positional(arguments: Iterable[Argument], scope: Scope) -> tuple[Binding, ...]:
    found = [a for a in arguments if not isinstance(a, Keyword)]
    return tuple([Binding(evaluate(a, scope), a.span) for a in found])


NOTHING = Written()


NO_PIPE = object()


@dataclass(frozen=True)
class Use:
    """One application as written: its arguments, and what the pipe brings (`NO_PIPE`: nothing)."""

    node: Call | Bare
    written: Written
    piped: Any

    @property
    def has_pipe(self) -> bool:
        return self.piped is not NO_PIPE


def bind(
    signature: Signature, use: Use, defaults: Mapping[str, Binding], scope: Scope
) -> Arguments:
    """Match what is written with the signature; raises `Problem`, N103-N105 and N110-N113."""
    written = use.written
    if use.has_pipe:
        tensors, positional = _after_pipe(signature, written, use.piped)
    else:
        tensors, positional = _without_pipe(signature, use), list(written.after)
    tensors = _with_named(signature, tensors, written.keywords)
    _check_count(signature, tensors, use.has_pipe)
    return Arguments(tuple(tensors), _hypers(signature, positional, use, defaults, scope))


def _after_pipe(
    signature: Signature, written: Written, piped: Any
) -> tuple[list[Any], list[Binding]]:
    tensors, rest = [piped], list(written.before)
    if written.semicolon:
        tensors += [_tensor(signature, b) for b in rest]
        return _flat(signature, tensors), list(written.after)
    while rest and _is_next_tensor(signature, len(tensors), rest[0].value):
        tensors.append(rest.pop(0).value)
    return _flat(signature, tensors), rest


def _is_next_tensor(signature: Signature, count: int, value: Any) -> bool:
    """Whether a positional argument behind `count` tensors is a tensor."""
    if is_tensor(value):
        return True
    room = signature.variadic or count < len(signature.tensors)
    if not room:
        return False
    if signature.variadic and are_tensors(value):
        return True
    needed = count < len(signature.tensors) - signature.optional
    return needed and (value is UNKNOWN or (signature.numbers and is_number(value)))


def _without_pipe(signature: Signature, use: Use) -> list[Any]:
    written, before = use.written, use.written.before
    wrong = next((b for b in before if not _stands_for_tensor(signature, b.value)), None)
    if wrong is not None and not written.semicolon and not isinstance(wrong.value, LAYERS):
        _refuse_mixed(signature, before, wrong, use.node.span)
    return _flat(signature, [_tensor(signature, b) for b in before])


def _stands_for_tensor(signature: Signature, value: Any) -> bool:
    return (
        is_tensor(value)
        or value is UNKNOWN
        or value is None
        or (signature.numbers and is_number(value))
        or (signature.variadic and are_tensors(value))
    )


def _refuse_mixed(
    signature: Signature, before: tuple[Binding, ...], wrong: Binding, span: Span
) -> None:
    """`conv(64, 3)` where a tensor is wanted; `conv(x, 64, 3)`."""
    i = before.index(wrong)
    if i == 0:
        raise Problem(
            "N111",
            f"`{signature.name}` is a layer, not a tensor",
            helps=(f"apply it: `x -> {span.text}`",),
        )
    gap = Span(span.source, before[i - 1].span.end, wrong.span.start)
    raise Problem(
        "N113",
        f"`{signature.name}` takes its tensors before a `;` and its hyper-parameters behind it",
        label=f"{describe(wrong.value)} is no tensor",
        helps=(f"write `{_with(span, gap, '; ')}`",),
        edits=(Edit(gap, "; "),),
        sure=True,
    )


def _with(span: Span, part: Span, text: str) -> str:
    """The text of a span, a part of it replaced."""
    whole = span.text
    return whole[: part.start - span.start] + text + whole[part.end - span.start :]


def _tensor(signature: Signature, argument: Binding) -> Any:
    value = argument.value
    if isinstance(value, LAYERS):
        raise Problem(
            "N111",
            f"`{value}` is a layer, not a tensor",
            helps=(f"apply it: `x -> {argument.span.text}`",),
        )
    if not _stands_for_tensor(signature, value):
        raise Problem("N113", f"`{signature.name}` takes tensors, not {describe(value)}")
    return value


def _flat(signature: Signature, tensors: list[Any]) -> list[Any]:
    """Lists of tensors opened, for `average([…])`."""
    if not signature.variadic:
        return tensors
    flat: list[Any] = []
    for value in tensors:
        flat += value if are_tensors(value) else [value]
    return flat


def _with_named(
    signature: Signature, tensors: list[Any], keywords: Mapping[str, Binding]
) -> list[Any]:
    """The tensors with those given by name, `lstm(64, h0=h)`, in their places."""
    named = {n: b for n, b in keywords.items() if n in signature.tensors}
    if not named:
        return tensors
    slots = dict(zip(signature.tensors, tensors, strict=False))
    for name, binding in named.items():
        if name in slots:
            raise Problem("N104", f"`{name}` is given twice")
        slots[name] = _tensor(signature, binding)
    ordered = [slots.get(name) for name in signature.tensors]
    while ordered and ordered[-1] is None:
        ordered.pop()
    return ordered


def _check_count(signature: Signature, tensors: list[Any], has_pipe: bool) -> None:
    most, given = len(signature.tensors), len(tensors)
    least = most - signature.optional
    while tensors and tensors[-1] is None and len(tensors) > least:
        tensors.pop()
    if least <= given and (given <= most or signature.variadic) and None not in tensors:
        return
    wanted = "1 tensor" if most == 1 else f"{most} tensors"
    if signature.variadic or least < most:
        wanted = f"{least} or more tensors" if signature.variadic else f"{least} to {most} tensors"
    raise Problem(
        "N110",
        f"`{signature.name}` takes {wanted} ({', '.join(signature.tensors)}), not {given}"
        + (": the pipe brings the first" if has_pipe and given > 1 else ""),
        notes=(f"the signature is `{signature.text}`",),
    )


def _hypers(
    signature: Signature,
    positional: list[Binding],
    use: Use,
    defaults: Mapping[str, Binding],
    scope: Scope,
) -> dict[str, Binding]:
    names = list(signature.hypers)
    if len(positional) > len(names) and not any(b.value is UNKNOWN for b in positional):
        from netdsl.elaborate import hypers  # needed for errors only

        raise hypers.surplus(signature, positional)
    given = dict(zip(names, positional, strict=False))
    unknown: Binding | None = None
    for name, binding in use.written.keywords.items():
        if name in signature.tensors:
            continue
        if name not in signature.hypers:
            from netdsl.elaborate import hypers  # needed for errors only
            from netdsl.spelling import hyper_spelling

            problem = hypers.unknown(signature, name, binding.span, use.node.span)
            scope.report(problem, binding.span)
            unknown = Binding(UNKNOWN, binding.span)
            meant = hyper_spelling(name)
            if meant is not None and meant in signature.hypers:  # so that the rest is checked too
                if meant in given:
                    problem = hypers.twice(signature, meant, binding, positional, use.piped)
                    scope.report(problem, use.node.span)
                given.setdefault(meant, binding)
        elif name in given:
            from netdsl.elaborate import hypers  # needed for errors only

            raise hypers.twice(signature, name, binding, positional, use.piped)
        else:
            given[name] = binding
    given = {**defaults, **given} if defaults else given
    missing = [n for n, d in signature.hypers.items() if d is REQUIRED and n not in given]
    if unknown is not None:  # it may be what is missing
        return {**given, **dict.fromkeys(missing, unknown)}
    if missing:
        from netdsl.elaborate import hypers  # needed for errors only

        raise hypers.missing(signature, missing, use.node.span, scope)
    return given
