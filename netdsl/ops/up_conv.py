"""Transposed convolution over images, signals and volumes, and its gradient.

y[n, o, stride p + dilation q - pad] = b[o] + Σ_{c, p, q} W[c, o, q] x[n, c, p], c in the group of
o: the gradient of a convolution by its input, as a layer that goes up in size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.errors import Problem
from netdsl.initial import Initial, bias_init, weight_init
from netdsl.kinds import Flag, Int, Padding, Shape, Spatial
from netdsl.lazy import torch
from netdsl.op import Build, Example, Gradients, Op, Param, Type, Value, Values, hyper, op
from netdsl.ops.arithmetic import Add, Mul
from netdsl.ops.conv import group_problem, known_channels
from netdsl.ops.padding import Pairs
from netdsl.ops.shape import Reshape
from netdsl.shapes import axis_name, checked_images
from netdsl.sizes import Poly, Size

if TYPE_CHECKING:
    from torch import Tensor


@op("up_conv")
class UpConv(Op):
    """Each pixel of x adds W times itself to a window of y. As torch.nn.ConvTranspose2d.

    x [N, C, H, W], weight [C, c/groups, kh, kw], bias [c] -> y [N, c, H', W'],
    H' = stride (H - 1) + dilation (kh - 1) + 1 - 2 pad + out_pad
    `pad` takes rows away at both sides, `out_pad` adds some at the bottom and the right.
    """

    per_example = (0,)
    autocast = "low"
    spatial: ClassVar[int] = 2

    c: int = hyper(Int())
    k: tuple[int, ...] = hyper(Spatial())
    stride: tuple[int, ...] = hyper(Spatial(), 1)
    pad: Pairs = hyper(Padding(), 0)
    out_pad: tuple[int, ...] = hyper(Spatial(low=0), 0)
    dilation: tuple[int, ...] = hyper(Spatial(), 1)
    groups: int = hyper(Int(), 1)
    bias: bool = hyper(Flag(), True)
    init: Any = hyper(Initial(), "torch")
    bias_init: Any = hyper(Initial(vector=True, optional=True), None)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sides(self.name, self.pad)
        _check_out_pad(self)
        if self.c % self.groups:
            raise group_problem(self.name, self.groups, f"c={self.c}")

    def infer(self, x: Type, *_: Type) -> Type:
        checked_images(self.name, x, self.spatial)
        if isinstance(x.shape[1], int) and x.shape[1] % self.groups:
            raise group_problem(self.name, self.groups, f"{x} with {x.shape[1]} channels")
        return x.with_shape(x.shape[0], self.c, *self._extents(x))

    def _extents(self, x: Type) -> list[Size]:
        extents: list[Size] = []
        geometry = zip(
            x.shape[2:], self.k, self.stride, self.pad, self.out_pad, self.dilation, strict=True
        )
        for i, (n, k, stride, pad, extra, dilation) in enumerate(geometry):
            extent = stride * (n - 1) + dilation * (k - 1) + 1 - sum(pad) + extra
            if not isinstance(extent, Poly) and extent < 1:
                raise Problem(
                    "N207",
                    f"`{self.name}` would pad its whole result away",
                    label=f"{axis_name(i, self.spatial)}: {extent + sum(pad)} - {sum(pad)}",
                    helps=(
                        "`pad` takes rows away from the result here: a smaller one leaves some",
                    ),
                )
            extents.append(extent)
        return extents

    def params(self, x: Type) -> tuple[Param, ...]:
        each = self.c // self.groups
        channels = known_channels(self.name, x, x.shape[1], each, *self.k)
        area = math.prod(self.k)
        fans = each * area, channels * area  # as torch.nn.init reads the axes of this weight
        weight = Param("weight", (channels, each, *self.k), weight_init(self.init, *fans))
        bias = Param("bias", (self.c,), bias_init(self.bias_init, self.init, *fans))
        return (weight, bias) if self.bias else (weight,)

    def counterpart(self, x: Type, *_: Type) -> tuple[str, dict[str, Any]] | None:
        arguments = {
            "in_channels": x.shape[1],
            "out_channels": self.c,
            "kernel_size": self.k,
            "stride": self.stride,
            "padding": tuple(before for before, _ in self.pad),
            "output_padding": self.out_pad,
            "dilation": self.dilation,
            "groups": self.groups,
            "bias": self.bias,
        }
        return f"ConvTranspose{self.spatial}d", arguments

    def reference(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return torch.convolution(x, weight, bias, *_geometry(self))

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, weight, *bias = xs
        geometry = (self.stride, self.pad, self.out_pad, self.dilation, self.groups)
        return b.all(UpConvGrad(*geometry, bool(bias)), x, dys[0], weight)

    def absorb_affine(self, b: Build, xs: Values, scale: Value, shift: Value) -> Value | None:
        x, weight, *bias = xs
        shape = weight.type.shape
        grouped = (self.groups, shape[0] // self.groups, *shape[1:])
        factor = b(Reshape((self.groups, 1, shape[1], *(1 for _ in self.k))), scale)
        weight = b(Reshape(shape), b(Mul(), b(Reshape(grouped), weight), factor))
        shift = b(Add(), b(Mul(), bias[0], scale), shift) if bias else shift
        return b(self.replace(bias=True), x, weight, shift)

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        return operands[0].numel * (self.c // self.groups) * math.prod(self.k)


@op("up_conv1d")
class UpConv1d(UpConv):
    """Each step of x adds W times itself to a window of y. As torch.nn.ConvTranspose1d.

    x [N, C, L], weight [C, c/groups, k], bias [c] -> y [N, c, L']
    """

    spatial = 1


@op("up_conv3d")
class UpConv3d(UpConv):
    """Each voxel of x adds W times itself to a window of y. As torch.nn.ConvTranspose3d.

    x [N, C, D, H, W], weight [C, c/groups, kd, kh, kw], bias [c] -> y [N, c, D', H', W']
    """

    spatial = 3


@op("up_conv_grad")
class UpConvGrad(Op):
    """dx = W * dy, dw = Σ over images and places of x dy, db = Σ dy.

    x [N, C, H, W], dy [N, c, H', W'], weight [C, c/groups, kh, kw] -> dx, dw, db
    """

    per_example = (0, 1)
    summed = (1, 2)
    layer = False
    tensors = ("x", "dy", "weight")
    results = ("dx", "dw", "db")
    stride: tuple[int, ...] = hyper(Shape(low=1))
    pad: Pairs = hyper(Padding())
    out_pad: tuple[int, ...] = hyper(Spatial(low=0))
    dilation: tuple[int, ...] = hyper(Spatial())
    groups: int = hyper(Int())
    bias: bool = hyper(Flag(), True)

    @property
    def spatial(self) -> int:
        return len(self.stride)

    def infer(self, x: Type, dy: Type, weight: Type) -> tuple[Type, ...]:
        return (x, weight, dy.with_shape(dy.shape[1]))[: 2 + self.bias]

    def reference(self, x: Tensor, dy: Tensor, weight: Tensor) -> Any:
        return self.kernel((), (True, True, self.bias))(x, dy, weight)

    def kernel(self, operands: tuple[Type, ...], used: tuple[bool, ...]) -> Callable[..., Any]:
        geometry, mask = _geometry(self), [*used, False][:3]

        def up_conv_grad(x: Tensor, dy: Tensor, weight: Tensor) -> tuple[Tensor | None, ...]:
            found = torch.ops.aten.convolution_backward.default(
                dy, x, weight, [dy.shape[1]], *geometry, mask
            )
            return tuple(found[: 2 + self.bias])

        return up_conv_grad

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        x, _, weight = operands
        return 2 * x.numel * math.prod(weight.shape[1:])


def _check_sides(name: str, pad: Pairs) -> None:
    """N106 where the sides of an axis differ, which torch has no such layer for."""
    for first, last in pad:
        if first != last:
            raise Problem(
                "N106",
                f"`{name}` pads both sides of an axis alike, not {first} and {last}",
                helps=("`out_pad` makes the result larger at the bottom and the right",),
            )


def _check_out_pad(op: UpConv) -> None:
    """N106 where `out_pad` is not smaller than the stride or the dilation, as torch demands."""
    for extra, stride, dilation in zip(op.out_pad, op.stride, op.dilation, strict=True):
        if extra >= max(stride, dilation):
            raise Problem(
                "N106",
                f"`out_pad` of `{op.name}` is less than its stride or its dilation",
                label=f"out_pad={extra}, stride={stride}, dilation={dilation}",
                helps=("it chooses among the sizes that a convolution of that stride makes one",),
            )


def _geometry(op: UpConv | UpConvGrad) -> tuple[Any, ...]:
    """The arguments of ATen's convolution after its tensors."""
    pad = [before for before, _ in op.pad]
    return list(op.stride), pad, list(op.dilation), True, list(op.out_pad), op.groups


_IMAGE = Type((3, 4, 5, 6))
UpConv.examples = (
    Example(UpConv(3, 2, stride=2), (_IMAGE,)),
    Example(UpConv(6, 3, stride=2, pad=1, out_pad=1, groups=2), (_IMAGE,)),
    Example(UpConv(5, (1, 4), stride=(1, 3), pad=(0, 2), bias=False, init="he"), (_IMAGE,)),
    Example(UpConv(33, 3, dilation=2, out_pad=(0, 1)), (Type((1, 3, 2, 1)),)),
)
UpConv1d.examples = (
    Example(UpConv1d(4, 3), (Type((3, 2, 7)),)),
    Example(UpConv1d(6, 4, stride=3, pad=1, groups=2), (Type((2, 4, 5)),)),
)
UpConv3d.examples = (
    Example(UpConv3d(2, (1, 2, 3), stride=2, pad=(0, 0, 1)), (Type((2, 3, 2, 3, 2)),)),
)
UpConvGrad.examples = (
    Example(
        UpConvGrad((2, 1), 1, (1, 0), 1, 2),
        (_IMAGE, Type((3, 6, 10, 6)), Type((4, 3, 3, 3))),
    ),
    Example(
        UpConvGrad((3,), 0, 0, 1, 1, bias=False),
        (Type((2, 2, 4)), Type((2, 3, 11)), Type((2, 3, 2))),
    ),
)
