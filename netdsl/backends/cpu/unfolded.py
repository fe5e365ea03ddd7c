"""Small convolutions as one matrix product over the unfolded image (im2col), with ATen's own loops.

A oneDNN convolution costs 30 to 150 µs whatever its size, most of it before the first
multiplication, and fills its vectors with channels that an image of one or three does not have.
Measured on a grid of sizes: unfolding wins where the unfolded batch has less than 2^16 numbers,
LeNet's layers at batch 1 among them (3 to 7 times), and in the gradient of the operand for images
of few channels at any size.
"""

from __future__ import annotations

import math
from typing import Any

from netdsl.backend import Decline, Kernel
from netdsl.lazy import torch
from netdsl.op import Type
from netdsl.ops.aten import memory_format
from netdsl.ops.conv import Conv, ConvGrad

UNFOLDED = 1 << 16  # numbers of the unfolded batch
FEW = 3  # channels

DECLINED = Decline("oneDNN is faster from this size on")


def conv(
    op: Conv, operands: tuple[Type, ...], used: tuple[bool, ...], dtype: Any
) -> Kernel | Decline:
    geometry = _geometry(op, operands, dtype)
    if geometry is None or not unfolds(op, operands):
        return DECLINED
    kernel = torch.ops.aten._slow_conv2d_forward.default
    window, stride, pad = list(op.k), *geometry

    def run(x: Any, w: Any, b: Any = None) -> Any:
        x, w = _alike(x, w)
        return kernel(x, w, window, b, stride, pad)

    return run


def unfolds(op: Conv, operands: tuple[Type, ...]) -> bool:
    """Whether the image is small enough."""
    return _small(operands[1], op.infer(*operands))


def conv_grad(
    op: ConvGrad, operands: tuple[Type, ...], used: tuple[bool, ...], dtype: Any
) -> Kernel | Decline:
    geometry = _geometry(op, operands, dtype)
    x, dy, weight = operands
    few = used[0] and x.shape[1] in range(1, FEW + 1) and x.shape[0] != 0
    if geometry is None or not (few or _small(weight, dy)):
        return DECLINED
    kernel = torch.ops.aten._slow_conv2d_backward.output_mask
    window, mask, results = list(weight.shape[2:]), [*used, False][:3], 3 if op.bias else 2
    stride, pad = geometry

    def run(x: Any, dy: Any, w: Any) -> Any:
        x, dy, w = _alike(x, dy, w)
        return kernel(dy, x, w, window, stride, pad, mask)[:results]

    return run


def _alike(*tensors: Any) -> list[Any]:
    """The tensors in the layout that ATen's convolution takes for such, all in one."""
    layout = memory_format(tensors[0], tensors[-1])
    return [t.contiguous(memory_format=layout) for t in tensors]


def _small(weight: Type, y: Type) -> bool:
    """Whether the unfolded batch is small: a window of the image for each place of the result."""
    unfolded = y.shape[0] * math.prod((*weight.shape[1:], *y.shape[2:]))
    return 0 < unfolded < UNFOLDED  # type: ignore[operator]


def _geometry(
    op: Conv | ConvGrad, operands: tuple[Type, ...], dtype: Any
) -> tuple[list[int], list[int]] | None:
    """Stride and padding, where ATen's loops have the convolution."""
    full = dtype in (torch.float32, torch.float64) and {t.dtype for t in operands} == {"float"}
    plain = len(op.stride) == 2 and op.groups == 1 and set(op.dilation) == {1}
    if not (full and plain) or any(before != after for before, after in op.pad):
        return None
    return list(op.stride), [before for before, _ in op.pad]
