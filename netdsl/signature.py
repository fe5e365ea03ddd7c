"""Matching tensors against a net's signature: names of sizes bind, everything else must agree."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.errors import NetError, Problem
from netdsl.ir import Input
from netdsl.op import Type
from netdsl.sizes import Poly, Size, names, solve, substitute


def bind(inputs: Sequence[Input], types: Sequence[Type]) -> dict[str, int]:
    """The number of every size name; raises `NetError` that names the input, expected and got."""
    bindings: dict[str, Size] = {}
    try:
        for declared, got in zip(inputs, types, strict=True):
            _match(declared, got, bindings)
    except Problem as problem:
        raise NetError((problem.at(None),)) from None
    return {name: size for name, size in bindings.items() if isinstance(size, int)}


def _match(declared: Input, got: Type, bindings: dict[str, Size]) -> None:
    if declared.type.dtype != got.dtype:
        raise _misfit(declared, got, f"{declared.type.dtype} expected, {got.dtype} given")
    if declared.type.rank != got.rank:
        raise _misfit(declared, got, f"rank {declared.type.rank} expected, rank {got.rank} given")
    for axis, (pattern, size) in enumerate(zip(declared.type.shape, got.shape, strict=True)):
        wanted = substitute(pattern, bindings)
        if isinstance(wanted, Poly) and len(names(wanted)) == 1:
            solved = solve(wanted, size)
            if solved is None:
                raise _misfit(declared, got, f"axis {axis}: {size} is not of the form {pattern}")
            bindings[solved[0]] = solved[1]
        elif wanted != size:
            known = f" (= {wanted})" if isinstance(pattern, Poly) else ""
            raise _misfit(declared, got, f"axis {axis}: {pattern}{known} expected, {size} given")


def _misfit(declared: Input, got: Type, why: str) -> Problem:
    return Problem(
        "N202",
        f"input `{declared.key}` does not fit the signature: {why}",
        notes=(f"expected {declared.type}", f"got {got}"),
    )
