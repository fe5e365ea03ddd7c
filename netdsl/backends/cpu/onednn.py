"""Convolutions by oneDNN with packed weights and a sum in the same pass, and large linear maps.

The operators are torch's own, for its compiler's use. They work in channels_last, whatever the
layout of the image. An activation stays a step of its own, in place: their `relu` turns NaN into 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

from netdsl.backend import Decline, Kernel, Packed
from netdsl.backends.cpu.unfolded import unfolds
from netdsl.fusions.region import Fused
from netdsl.ir import Input
from netdsl.lazy import torch
from netdsl.op import Type
from netdsl.ops.arithmetic import Add
from netdsl.ops.conv import Conv
from netdsl.ops.linear import Linear

BLOCK = 8  # channels of input; a small image of fewer is unfolded
ROWS, WORK = 8, 1 << 23  # of a linear map: below, MKL is as fast or faster

OTHERWISE = Decline("oneDNN has no such kernel")


def conv(
    op: Conv, operands: tuple[Type, ...], shared: Collection[int], position: int | None, dtype: Any
) -> Packed | Decline:
    """The weight packed for the size of the image: for another size it would be packed anew at
    every call, which takes ten times as long as the convolution."""
    if 1 not in shared or not _takes(op, operands, dtype):
        return OTHERWISE
    kernel = torch.ops.mkldnn._convolution_pointwise.default
    geometry = _geometry(op)

    def run(x: Any, w: Any, b: Any = None) -> Any:
        return kernel(x, w, b, *geometry, "none", [], "")

    return Packed(run, 1, _pack(op, operands[0]))


def conv_sum(
    op: Fused, operands: tuple[Type, ...], shared: Collection[int], position: int | None, dtype: Any
) -> Packed | Decline:
    """conv(x, w, b) + y of a body that is no more than that, in the memory of y where it may."""
    found = _conv_sum(op)
    if found is None:
        return OTHERWISE
    conv, places, y = found
    x, w, *b = places
    if w not in shared or not _takes(conv, tuple(operands[i] for i in places), dtype):
        return OTHERWISE
    geometry = (*_geometry(conv), "add", 1.0, None, [], None)
    fresh = torch.ops.mkldnn._convolution_pointwise.binary
    inplace = torch.ops.mkldnn._convolution_pointwise_.binary

    def run(*tensors: Any) -> Any:
        bias = tensors[b[0]] if b else None
        return fresh(tensors[x], tensors[y], tensors[w], bias, *geometry)

    def write(*tensors: Any) -> Any:
        bias = tensors[b[0]] if b else None
        return inplace(tensors[y], tensors[x], tensors[w], bias, *geometry)

    return Packed(write if position == y else run, w, _pack(conv, operands[x]))


def linear(
    op: Linear, operands: tuple[Type, ...], used: tuple[bool, ...], dtype: Any
) -> Kernel | Decline:
    x, weight, *_ = operands
    rows: Any = math.prod(x.shape[:-1])
    work: Any = rows * math.prod(weight.shape)
    full = dtype is torch.float32 and {t.dtype for t in operands} == {"float"}
    if not full or rows < ROWS or work < WORK or not _there():
        return Decline("MKL is as fast")
    kernel = torch.ops.mkldnn._linear_pointwise.default
    return lambda x, w, b=None: kernel(x, w, b, "none", [], "")


def _there() -> bool:
    return bool(torch._C._has_mkldnn and torch.backends.mkldnn.enabled)


def _takes(op: Conv, operands: tuple[Type, ...], dtype: Any) -> bool:
    """Whether oneDNN's convolution is right and the fastest for these types."""
    x, weight, *_ = operands
    low = {t.dtype for t in operands} == {"bfloat16"}
    known = low or (
        dtype in (torch.float32, torch.bfloat16) and {t.dtype for t in operands} == {"float"}
    )
    even = all(before == after for before, after in op.pad)
    few = weight.shape[1] < BLOCK and unfolds(op, operands)  # type: ignore[operator]
    there = 0 not in (*x.shape, *weight.shape)
    return _there() and type(op) is Conv and known and even and there and not few


def _pack(op: Conv, image: Type) -> Callable[[Any], Any]:
    reorder = torch.ops.mkldnn._reorder_convolution_weight.default
    geometry, size = _geometry(op), list(image.shape)

    def pack(weight: Any) -> Any:
        return reorder(weight.contiguous(memory_format=torch.channels_last), *geometry, size)

    return pack


def _geometry(op: Conv) -> tuple[Any, ...]:
    return [before for before, _ in op.pad], list(op.stride), list(op.dilation), op.groups


def _conv_sum(op: Fused) -> tuple[Conv, list[int], int] | None:
    """The convolution of such a body, where its operands are among those of the region, and y."""
    position = {n: i for i, (n, _) in enumerate(op.body.sources(Input))}
    inner = [n for n, _ in op.body.items if n not in position]
    if len(inner) != 2:
        return None
    conv, add = (op.body.node(n).op for n in inner)
    if not (isinstance(conv, Conv) and isinstance(add, Add)):
        return None
    (y,) = (v for v in op.body.operands(inner[1]) if v.node != inner[0])
    if y.type != op.body.node(inner[0]).types[0] or y.node not in position:
        return None
    return conv, [position[v.node] for v in op.body.operands(inner[0])], position[y.node]
