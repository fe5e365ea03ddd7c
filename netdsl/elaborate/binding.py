"""Signature sizes (language.md §4): names bind to the sizes of what is given, the rest agrees.

`16*h` binds h and demands that the size is a multiple of 16.
"""

from __future__ import annotations

from typing import Any

from netdsl.elaborate.facts import known
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import describe, is_number, is_whole
from netdsl.elaborate.walk import evaluate
from netdsl.errors import Problem
from netdsl.kinds import MAX_SIZE
from netdsl.op import Type, Value
from netdsl.shapes import check_extent
from netdsl.sizes import Poly, Size, atom, solve
from netdsl.syntax import Expression, Name, TensorType, names_in

DTYPES = ("float", "int", "bool")


def declared_type(written: TensorType, scope: Scope) -> Any:
    """The type as written; names without a value become symbolic sizes. For inputs of a net."""
    for size in written.sizes:
        for name in _free(size, scope):
            scope.define(name, known(name.text, scope))
    return known_type(written, scope)


def known_type(written: TensorType, scope: Scope) -> Any:
    """The type as written, every name in it having a value."""
    sizes = [evaluate(size, scope) for size in written.sizes]
    if any(size is UNKNOWN for size in sizes):
        return UNKNOWN
    for node, size in zip(written.sizes, sizes, strict=True):
        if (problem := _no_size(size)) is not None:
            return scope.report(problem, node.span)
    return check_extent(Type(tuple(sizes), _dtype(written)))


def _no_size(value: Any) -> Problem | None:
    if isinstance(value, Poly) or (is_whole(value) and 0 <= value <= MAX_SIZE):
        return None
    return Problem("N106", f"a size is a whole number from 0 to 2^31 - 1, not {describe(value)}")


def _dtype(written: TensorType) -> str:
    if written.dtype is None:
        return "float"
    if written.dtype.text not in DTYPES:
        raise Problem(
            "N213", f"`{written.dtype.text}` is no type", helps=("int or bool, else float",)
        )
    return written.dtype.text


def match(written: TensorType, value: Any, what: str, scope: Scope) -> None:
    """Bind the free names of a written type to the sizes of `value`; N201–N203, N213.

    `what` says in a message whose type it is: "`x` of `Bottleneck`".
    """
    if not isinstance(value, Value):
        for size in written.sizes:
            for name in _free(size, scope):
                scope.define(name, UNKNOWN)
        return
    got = value.type
    if got.dtype != _dtype(written):
        raise _misfit(written, got, what, f"{_dtype(written)} and {got.dtype}", "N213")
    if got.rank != len(written.sizes):
        ranks = f"rank {len(written.sizes)} and rank {got.rank}"
        raise _misfit(written, got, what, ranks, "N201")
    pairs = list(zip(written.sizes, got.shape, strict=True))
    for node, actual in pairs:  # plain names first: 2*d may use a d that comes later
        if isinstance(node, Name) and _free(node, scope):
            scope.names[node.text] = Binding(actual, node.span)
    for axis, (node, actual) in enumerate(pairs):
        _match_size(axis, node, actual, written, got, what, scope)


def _match_size(
    axis: int,
    node: Expression,
    actual: Size,
    written: TensorType,
    got: Type,
    what: str,
    scope: Scope,
) -> None:
    free = _free(node, scope)
    if not free:
        wanted = evaluate(node, scope)
        if wanted is not UNKNOWN and wanted != actual:
            raise _misfit(written, got, what, f"axis {axis}: {wanted} and {actual}", "N202")
        return
    inner = scope.inner({n.text: Binding(atom(f"{n.text}'"), n.span) for n in free})
    pattern = evaluate(node, inner)
    if pattern is UNKNOWN:
        return
    try:
        solved = solve(pattern, actual)
    except ValueError:
        problem = Problem("N203", "a size binds one new name, times a number plus a number")
        scope.report(problem, node.span)
        return
    if solved is None:
        why = f"axis {axis}: {actual} is not of the form {node.span.text}"
        raise _misfit(written, got, what, why, "N203")
    scope.names[free[0].text] = Binding(solved[1], free[0].span)


def _free(node: Expression, scope: Scope) -> list[Name]:
    """The names in a size that have no value yet: no hyper-parameter, size or number."""
    return [n for n in names_in(node) if not _has_value(n, scope)]


def _has_value(name: Name, scope: Scope) -> bool:
    found = scope.find(name.text)
    if found is None:
        return False
    here = name.text in scope.names
    return here or is_number(found.value) or isinstance(found.value, (Poly, tuple, dict))


def _misfit(written: TensorType, got: Type, what: str, label: str, code: str) -> Problem:
    return Problem(
        code,
        f"{what} is {written.span.text}, but this is {got}",
        label=label,
        others=((written.span, "declared here"),),
    )
