"""Matching tensors against a net's signature: names of sizes bind, everything else must agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

from netdsl.errors import InputError, Problem
from netdsl.ir import Graph, Input
from netdsl.lazy import torch
from netdsl.op import Type
from netdsl.sizes import Poly, Size, names, solve, substitute

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {"int": "int64", "bool": "bool"}
# a dtype by name -> the method of a tensor that gives it
CASTS = {
    "float32": ".float()",
    "float64": ".double()",
    "float16": ".half()",
    "bfloat16": ".bfloat16()",
    "int64": ".long()",
    "bool": ".bool()",
    "a float": ".float()",
}


def bind(
    graph: Graph, tensors: Sequence[Tensor], like: Tensor | None = None, any_float: bool = False
) -> dict[str, int]:
    """The number of every size name, of a graph's inputs. Floating inputs have the dtype of `like`,
    a parameter, and all are on its device (None: the net has none); under autocast, and with
    `any_float`, they may have any floating dtype.

    Raises `TypeError` for anything but the right number of tensors, `InputError` that shows the
    signature and names input, expected, got and a repair for a tensor that does not fit.
    """
    inputs = graph.inputs
    if len(tensors) != len(inputs):
        expected = ", ".join(f"{declared.key}: {declared.type}" for declared in inputs)
        raise TypeError(f"the net takes ({expected}), but {len(tensors)} tensors were given")
    bindings: dict[str, Size] = {}
    for (n, declared), x in zip(graph.sources(Input), tensors, strict=True):
        if not hasattr(x, "is_floating_point"):
            raise TypeError(f"input `{declared.key}` is a {type(x).__name__}, not a tensor")
        if like is None and x.is_floating_point():
            like = x
        try:
            _match_kind(declared, x, like, any_float)
            _match_shape(declared, x, bindings)
        except Problem as problem:
            raise InputError((problem.at(graph.node(n).span),)) from None
    return {name: size for name, size in bindings.items() if not isinstance(size, Poly)}


def size_names(inputs: Sequence[Input]) -> tuple[str, ...]:
    """The names of sizes that a signature binds, sorted."""
    return tuple(sorted({name for op in inputs for size in op.type.shape for name in names(size)}))


def by_position(
    inputs: Sequence[Input], tensors: Sequence[Tensor], named: Mapping[str, Tensor]
) -> tuple[Tensor, ...]:
    """The tensors of a call in the order of the signature; those without a value are left out.

    Raises `TypeError` for a name that the signature lacks or that has a value already.
    """
    order = [declared.key for declared in inputs]
    rest = order[len(tensors) :]
    for name in named:
        if name not in rest:
            why = "was given twice" if name in order else f"is none of {', '.join(order)}"
            raise TypeError(f"input `{name}` {why}")
    return (*tensors, *[named[name] for name in rest if name in named])


def autocasts(x: Tensor) -> bool:
    """Whether torch.autocast is on where the tensor is."""
    kind = x.device.type
    return kind != "meta" and torch.is_autocast_enabled(kind)


def transformed() -> bool:
    """Whether a transform of torch.func (grad, vmap, jvp, …) or forward-mode differentiation is
    on; what it does to a call it can do node by node only."""
    if torch.compiler.is_compiling():
        return False
    on: bool = torch._C._are_functorch_transforms_active()
    return on or torch.autograd.forward_ad._current_level >= 0


def _match_kind(declared: Input, x: Tensor, like: Tensor | None, any_float: bool) -> None:
    dtype, expected = _name(x), DTYPES.get(declared.type.dtype)
    if expected is None:
        expected = "a float" if like is None else _name(like)
        if x.is_floating_point() and (any_float or autocasts(x)):
            expected = dtype
    if dtype != expected:
        cast = f"`{declared.key}{CASTS[expected]}`" if expected in CASTS else f"a {expected}"
        raise _misfit(declared, x, f"{expected} expected, {dtype} given", cast)
    if like is not None and x.device != like.device:
        why = f"a tensor on {like.device} expected, one on {x.device} given"
        raise _misfit(declared, x, why, f'`{declared.key}.to("{like.device}")`')


def _match_shape(declared: Input, x: Tensor, bindings: dict[str, Size]) -> None:
    before = dict(bindings)
    why = _mismatch(declared.type, tuple(x.shape), bindings)
    if why is not None:
        known = [f"{n} = {before[n]}" for n in sorted(before) if _mentions(declared.type, n)]
        notes = (f"bound by the inputs before it: {', '.join(known)}",) if known else ()
        repair = next(_repairs(declared, tuple(x.shape), before), None)
        raise _misfit(declared, x, why, repair, notes)


def _mismatch(type: Type, shape: tuple[int, ...], bindings: dict[str, Size]) -> str | None:
    """Why a shape is not of the type; None where it is, and the names in the type are bound."""
    if type.rank != len(shape):
        return f"rank {type.rank} expected, rank {len(shape)} given"
    for axis, (pattern, size) in enumerate(zip(type.shape, shape, strict=True)):
        wanted = substitute(pattern, bindings)
        if isinstance(wanted, Poly) and len(names(wanted)) == 1:
            solved = solve(wanted, size)
            if solved is None:
                return f"axis {axis}: {size} is not of the form {pattern}"
            bindings[solved[0]] = solved[1]
        elif wanted != size:
            known = f" (= {wanted})" if isinstance(pattern, Poly) else ""
            return f"axis {axis}: {pattern}{known} expected, {size} given"
    return None


def _mentions(type: Type, name: str) -> bool:
    return any(name in names(size) for size in type.shape)


def _repairs(declared: Input, shape: tuple[int, ...], known: Mapping[str, Size]) -> Iterator[str]:
    """What a tensor of this shape may be turned into, by a call that fits; the likeliest first."""
    key, type = declared.key, declared.type

    def fits(changed: Sequence[int]) -> bool:
        return _mismatch(type, tuple(changed), dict(known)) is None

    if len(shape) == type.rank <= 5:
        orders = [p for p in permutations(range(type.rank)) if p[0] == 0]
        for order in (o for o in orders if fits([shape[i] for i in o])):
            what = "images are [N, C, H, W] here: " if order == (0, 3, 1, 2) else ""
            yield f"{what}`{key}.permute({', '.join(map(str, order))})`"
    for axis in range(type.rank if len(shape) == type.rank - 1 else 0):
        if fits((*shape[:axis], 1, *shape[axis:])):
            missing = {0: "the batch axis is missing: ", 1: "the axis of channels is missing: "}
            yield f"{missing.get(axis, '')}`{key}.unsqueeze({axis})`"
    if len(shape) == type.rank - 2 and fits((1, 1, *shape)):
        yield f"the axes of batch and channels are missing: `{key}[None, None]`"
    for axis in [i for i, n in enumerate(shape) if n == 1 and len(shape) == type.rank + 1]:
        if fits((*shape[:axis], *shape[axis + 1 :])):
            yield f"`{key}.squeeze({axis})`"
    for axis in range(1, len(shape) - 1):
        product = 1
        for size in shape[axis:]:
            product *= size
        if fits((*shape[:axis], product)):
            yield f"`{key}.flatten({axis})`"
    if len(shape) == type.rank == 4:
        yield from _image_repairs(declared, shape, known)


def _image_repairs(
    declared: Input, shape: tuple[int, ...], known: Mapping[str, Size]
) -> Iterator[str]:
    """Colours from grey, grey from colours, and another size."""
    key, type = declared.key, declared.type
    n, c, *image = shape
    wanted = [substitute(size, known) for size in type.shape]

    def fits(changed: Sequence[int]) -> bool:
        return _mismatch(type, tuple(changed), dict(known)) is None

    if c == 1 and isinstance(wanted[1], int) and fits((n, wanted[1], *image)):
        yield f"one grey channel as {wanted[1]}: `{key}.expand(-1, {wanted[1]}, -1, -1)`"
    if wanted[1] == 1 and fits((n, 1, *image)):
        yield f"the channels as one grey channel: `{key}.mean(1, keepdim=True)`"
    size = [_nearest(pattern, given) for pattern, given in zip(wanted[2:], image, strict=True)]
    if fits((n, c, *size)):
        height, width = (s - given for s, given in zip(size, image, strict=True))
        if height == width and 0 < height <= 8 and height % 2 == 0:
            half = height // 2
            sides = ", ".join([str(half)] * 4)
            yield f"zeros around it: `torch.nn.functional.pad({key}, ({sides}))`"
        shown = ", ".join(map(str, size))
        yield f"another size: `torch.nn.functional.interpolate({key}, ({shown}))`"


def _nearest(pattern: Size, given: int) -> int:
    """The nearest size of a form, not smaller than `given` where there is a choice."""
    if isinstance(pattern, int):
        return pattern
    for size in range(given, given + 4096):
        if len(names(pattern)) == 1 and solve(pattern, size) is not None:
            return size
    return given


def _misfit(
    declared: Input, x: Tensor, why: str, repair: str | None, notes: tuple[str, ...] = ()
) -> Problem:
    return Problem(
        "N202",
        f"input `{declared.key}` does not fit the signature: {why}",
        notes=(f"expected {declared.type}", f"got {_name(x)}{list(x.shape)}", *notes),
        helps=(repair,) if repair else (),
    )


def _name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
