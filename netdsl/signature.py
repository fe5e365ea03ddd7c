"""Matching tensors against a net's signature: names of sizes bind, everything else must agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netdsl.errors import NetError, Problem
from netdsl.ir import Input
from netdsl.lazy import torch
from netdsl.sizes import Poly, Size, names, solve, substitute

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {"int": "int64", "bool": "bool"}


def bind(
    inputs: Sequence[Input], tensors: Sequence[Tensor], like: Tensor | None = None
) -> dict[str, int]:
    """The number of every size name. Floating inputs have the dtype of `like`, a parameter, and all
    are on its device (None: the net has none); under autocast they may have any floating dtype.

    Raises `TypeError` for anything but the right number of tensors, `NetError` that names input,
    expected and got for a tensor that does not fit.
    """
    if len(tensors) != len(inputs):
        expected = ", ".join(f"{declared.key}: {declared.type}" for declared in inputs)
        raise TypeError(f"the net takes ({expected}), but {len(tensors)} tensors were given")
    bindings: dict[str, Size] = {}
    try:
        for declared, x in zip(inputs, tensors, strict=True):
            if not hasattr(x, "is_floating_point"):
                raise TypeError(f"input `{declared.key}` is a {type(x).__name__}, not a tensor")
            if like is None and x.is_floating_point():
                like = x
            _match_kind(declared, x, like)
            _match_shape(declared, x, bindings)
    except Problem as problem:
        raise NetError((problem.at(None),)) from None
    return {name: size for name, size in bindings.items() if isinstance(size, int)}


def autocasts(x: Tensor) -> bool:
    """Whether torch.autocast is on where the tensor is."""
    kind = x.device.type
    return kind != "meta" and torch.is_autocast_enabled(kind)


def _match_kind(declared: Input, x: Tensor, like: Tensor | None) -> None:
    dtype, expected = _name(x), DTYPES.get(declared.type.dtype)
    if expected is None:
        expected = "a float" if like is None else _name(like)
        if x.is_floating_point() and autocasts(x):
            expected = dtype
    if dtype != expected:
        raise _misfit(declared, x, f"{expected} expected, {dtype} given")
    if like is not None and x.device != like.device:
        raise _misfit(declared, x, f"a tensor on {like.device} expected, one on {x.device} given")


def _match_shape(declared: Input, x: Tensor, bindings: dict[str, Size]) -> None:
    if declared.type.rank != x.dim():
        raise _misfit(declared, x, f"rank {declared.type.rank} expected, rank {x.dim()} given")
    for axis, (pattern, size) in enumerate(zip(declared.type.shape, x.shape, strict=True)):
        wanted = substitute(pattern, bindings)
        if isinstance(wanted, Poly) and len(names(wanted)) == 1:
            solved = solve(wanted, size)
            if solved is None:
                raise _misfit(declared, x, f"axis {axis}: {size} is not of the form {pattern}")
            bindings[solved[0]] = solved[1]
        elif wanted != size:
            known = f" (= {wanted})" if isinstance(pattern, Poly) else ""
            raise _misfit(declared, x, f"axis {axis}: {pattern}{known} expected, {size} given")


def _misfit(declared: Input, x: Tensor, why: str) -> Problem:
    return Problem(
        "N202",
        f"input `{declared.key}` does not fit the signature: {why}",
        notes=(f"expected {declared.type}", f"got {_name(x)}{list(x.shape)}"),
    )


def _name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
