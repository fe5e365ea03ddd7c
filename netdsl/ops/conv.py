"""Convolution over images, signals and volumes, and its gradient.

y[n, o, p] = b[o] + Σ_{c, q} W[o, c, q] x[n, c, stride p + dilation q - pad], c in the group of o.
What x is outside, `mode` says: zeros, or pixels of its own as `pad` takes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.errors import Problem
from netdsl.initial import Initial, bias_init, weight_init
from netdsl.kinds import Flag, Int, Padding, Shape, Spatial
from netdsl.lazy import torch
from netdsl.op import Build, Example, Gradients, Joined, Op, Param, Type, Value, Values, hyper, op
from netdsl.ops.arithmetic import Add, Mul
from netdsl.ops.padding import MODES, Pad, Pad1d, Pad3d, Pairs, check_edges, padded
from netdsl.ops.shape import Reshape
from netdsl.shapes import axis_name, checked_images, window
from netdsl.sizes import Poly, Size

if TYPE_CHECKING:
    from torch import Tensor


@op("conv")
class Conv(Op):
    """y = W * x + b. As torch.nn.Conv2d; `pad=half` is dilation (k - 1) / 2.

    `bias_init=none`: torch's initial values where the weight's are, else zeros.
    x [N, C, H, W], weight [c, C/groups, kh, kw], bias [c] -> y [N, c, H', W']
    """

    autocast = "low"
    per_example = (0,)
    spatial: ClassVar[int] = 2
    edges: ClassVar[type[Pad]] = Pad

    c: int = hyper(Int())
    k: tuple[int, ...] = hyper(Spatial())
    stride: tuple[int, ...] = hyper(Spatial(), 1)
    pad: Pairs = hyper(Padding(half=True), "half")
    dilation: tuple[int, ...] = hyper(Spatial(), 1)
    groups: int = hyper(Int(), 1)
    bias: bool = hyper(Flag(), True)
    mode: str = hyper(MODES, "zeros")
    init: Any = hyper(Initial(), "torch")
    bias_init: Any = hyper(Initial(vector=True, optional=True), None)

    def __post_init__(self) -> None:
        super().__post_init__()
        pad: Any = self.pad
        if pad == "half":
            object.__setattr__(self, "pad", _half(self.name, self.k, self.dilation))
        if self.c % self.groups:
            raise group_problem(self.name, self.groups, f"c={self.c}")

    def infer(self, x: Type, *_: Type) -> Type:
        checked_images(self.name, x, self.spatial)
        if isinstance(x.shape[1], int) and x.shape[1] % self.groups:
            raise group_problem(self.name, self.groups, f"{x} with {x.shape[1]} channels")
        check_edges(self.name, x, self.pad, self.mode)
        geometry = zip(x.shape[2:], self.k, self.stride, self.pad, self.dilation, strict=True)
        extents = (
            window(self.name, axis_name(i, self.spatial), n, k, stride, pad, dilation)
            for i, (n, k, stride, pad, dilation) in enumerate(geometry)
        )
        return x.with_shape(x.shape[0], self.c, *extents)

    def params(self, x: Type) -> tuple[Param, ...]:
        channels = known_channels(self.name, x, self.c, x.shape[1], *self.k)
        area = math.prod(self.k)
        fan_in, fan_out = channels // self.groups * area, self.c * area
        shape = (self.c, channels // self.groups, *self.k)
        weight = Param("weight", shape, weight_init(self.init, fan_in, fan_out))
        bias = Param("bias", (self.c,), bias_init(self.bias_init, self.init, fan_in, fan_out))
        return (weight, bias) if self.bias else (weight,)

    def counterpart(self, x: Type, *_: Type) -> tuple[str, dict[str, Any]] | None:
        if not _even(self.pad):
            return None
        arguments = {
            "in_channels": x.shape[1],
            "out_channels": self.c,
            "kernel_size": self.k,
            "stride": self.stride,
            "padding": tuple(before for before, _ in self.pad),
            "dilation": self.dilation,
            "groups": self.groups,
            "bias": self.bias,
            "padding_mode": self.mode,
        }
        return f"Conv{self.spatial}d", arguments

    def reference(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        y: Tensor = self.kernel((), ())(x, weight, bias)
        return y

    def kernel(self, operands: tuple[Type, ...], used: tuple[bool, ...]) -> Callable[..., Any]:
        geometry = _geometry(self)
        if self.mode == "zeros" and _even(self.pad):
            return lambda x, w, b=None: torch.convolution(x, w, b, *geometry)
        pad, mode = self.pad, self.mode
        return lambda x, w, b=None: torch.convolution(padded(x, pad, mode), w, b, *geometry)

    def expand(self, b: Build, xs: Values) -> Values | None:
        if self.mode == "zeros":
            return None
        edges, inner = self._parts()
        return b.all(inner, b(edges, xs[0]), *xs[1:])

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, *weights = xs
        if self.mode != "zeros":
            edges, inner = self._parts()
            whole = b(edges, x)
            dwhole, *others = inner.vjp(b, (whole, *weights), ys, dys)
            assert dwhole is not None, "a convolution has a gradient for its operand"
            return (*edges.vjp(b, (x,), (whole,), (dwhole,)), *others)
        geometry = (self.stride, self.pad, self.dilation, self.groups)
        return b.all(ConvGrad(*geometry, len(weights) > 1), x, dys[0], weights[0])

    def _parts(self) -> tuple[Pad, Conv]:
        """The edges, and the convolution of what has them."""
        return self.edges(self.pad, self.mode), self.replace(pad=0, mode="zeros")

    def contraction(self, operands: tuple[Type, ...]) -> tuple[int, int] | None:
        return (1, 1) if self.groups == 1 else None

    def unbiased(self) -> Op:
        return self.replace(bias=False)

    def joined(self, others: Sequence[Op]) -> Joined | None:
        alike = self.groups == 1 and all(
            isinstance(op, Conv) and type(op) is type(self) and self._like(op) == self
            for op in others
        )
        total = self.c + sum(op.c for op in others if isinstance(op, Conv))
        return Joined(self.replace(c=total), (0, 0)[: 1 + self.bias], 1) if alike else None

    def _like(self, other: Conv) -> Op:
        """Another one with this one's channels and initial values."""
        return other.replace(c=self.c, init=self.init, bias_init=self.bias_init)

    def absorb_affine(self, b: Build, xs: Values, scale: Value, shift: Value) -> Value | None:
        x, weight, *bias = xs
        weight = b(Mul(), weight, b(Reshape((self.c,) + (1,) * (1 + self.spatial)), scale))
        shift = b(Add(), b(Mul(), bias[0], scale), shift) if bias else shift
        return b(self.replace(bias=True), x, weight, shift)

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        return results[0].numel * (operands[0].shape[1] // self.groups) * math.prod(self.k)


@op("conv1d")
class Conv1d(Conv):
    """y = W * x + b. As torch.nn.Conv1d.

    x [N, C, L], weight [c, C/groups, k], bias [c] -> y [N, c, L']
    """

    spatial = 1
    edges = Pad1d


@op("conv3d")
class Conv3d(Conv):
    """y = W * x + b. As torch.nn.Conv3d.

    x [N, C, D, H, W], weight [c, C/groups, kd, kh, kw], bias [c] -> y [N, c, D', H', W']
    """

    spatial = 3
    edges = Pad3d


@op("conv_grad")
class ConvGrad(Op):
    """dx = dy through the transposed convolution, dw = Σ over images and places of dy x, db = Σ dy.

    x [N, C, H, W], dy [N, c, H', W'], weight [c, C/groups, kh, kw] -> dx, dw, db
    """

    layer = False
    tensors = ("x", "dy", "weight")
    results = ("dx", "dw", "db")
    per_example = (0, 1)
    summed = (1, 2)
    stride: tuple[int, ...] = hyper(Shape(low=1))
    pad: Pairs = hyper(Padding())
    dilation: tuple[int, ...] = hyper(Spatial())
    groups: int = hyper(Int())
    bias: bool = hyper(Flag(), True)

    @property
    def spatial(self) -> int:
        return len(self.stride)

    def infer(self, x: Type, dy: Type, weight: Type) -> tuple[Type, ...]:
        db = weight.with_shape(weight.shape[0])
        return (x, weight, db) if self.bias else (x, weight)

    def reference(self, x: Tensor, dy: Tensor, weight: Tensor) -> Any:
        return self.kernel((), (True, True, self.bias))(x, dy, weight)

    def kernel(self, operands: tuple[Type, ...], used: tuple[bool, ...]) -> Callable[..., Any]:
        geometry, even = _geometry(self), _even(self.pad)
        mask = [*used, False][:3]
        results = 3 if self.bias else 2

        def conv_grad(x: Tensor, dy: Tensor, weight: Tensor) -> tuple[Tensor | None, ...]:
            found = torch.ops.aten.convolution_backward.default(
                dy, x if even else padded(x, self.pad), weight, [weight.shape[0]], *geometry, mask
            )
            dx = found[0]
            if not even and dx is not None:
                for axis, (before, _) in enumerate(self.pad):
                    dx = dx.narrow(2 + axis, before, x.shape[2 + axis])
            return (dx, *found[1:])[:results]

        return conv_grad

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        _, dy, weight = operands
        return 2 * dy.numel * math.prod(weight.shape[1:])


def _half(name: str, k: tuple[int, ...], dilation: tuple[int, ...]) -> Pairs:
    """Padding by half a window; N208 where the window has no middle."""
    both = [d * (n - 1) for n, d in zip(k, dilation, strict=True)]
    if any(total % 2 for total in both):
        even = next(n for n, total in zip(k, both, strict=True) if total % 2)
        raise Problem(
            "N208",
            f"`{name}` with an even window must say its padding",
            label=f"k={even} has no middle, so `pad=half` would be {even - 1}/2",
            helps=("write `pad=0`, or both sides of every axis: `pad=(top, bottom, left, right)`",),
        )
    return tuple((total // 2, total // 2) for total in both)


def known_channels(name: str, x: Type, *weight: Size) -> int:
    """The channels of x; N210 where they are no number, which the shape of the weight needs."""
    channels = x.shape[1]
    if isinstance(channels, Poly):
        raise Problem(
            "N210",
            f"the weight of `{name}` would have the symbolic size [{', '.join(map(str, weight))}]",
            helps=("give the channels a number in the signature",),
        )
    return channels


def group_problem(name: str, groups: int, what: str) -> Problem:
    """N211 where `what` does not divide into the groups."""
    return Problem(
        "N211",
        f"`{name}` with groups={groups} needs channels divisible by {groups}",
        label=f"{what} is not",
        helps=("`groups` must divide the channels of the input and `c`",),
    )


def _even(pad: Pairs) -> bool:
    """Whether both sides of every axis have the same padding, which ATen adds itself."""
    return all(before == after for before, after in pad)


def _geometry(op: Conv | ConvGrad) -> tuple[Any, ...]:
    """The arguments of ATen's convolution after its tensors; it adds even padding of zeros itself,
    any other was added before."""
    zeros = _even(op.pad) and (isinstance(op, ConvGrad) or op.mode == "zeros")
    pad = [before if zeros else 0 for before, _ in op.pad]
    return list(op.stride), pad, list(op.dilation), False, [0] * op.spatial, op.groups


_IMAGE = Type((3, 4, 9, 8))
Conv.examples = (
    Example(Conv(6, 3), (_IMAGE,)),
    Example(Conv(5, (1, 3), stride=2, bias=False, init="he"), (_IMAGE,)),
    Example(Conv(6, 4, stride=3, pad=(1, 2), groups=2), (_IMAGE,)),
    Example(Conv(8, 2, pad=(0, 1, 1, 0), groups=4, stride=(1, 2)), (_IMAGE,)),
    Example(Conv(33, 3, pad=0, dilation=2, stride=2), (Type((1, 3, 10, 11)),)),
    Example(Conv(6, 3, pad=(2, 1), stride=2, mode="reflect"), (_IMAGE,)),
    Example(Conv(6, 2, pad=(0, 1, 3, 0), groups=2, bias=False, mode="replicate"), (_IMAGE,)),
    Example(Conv(3, 5, dilation=2, mode="circular"), (_IMAGE,)),
)
Conv1d.examples = (
    Example(Conv1d(4, 3), (Type((3, 2, 7)),)),
    Example(Conv1d(6, 2, stride=2, pad=(2, 1), groups=2), (Type((2, 4, 8)),)),
    Example(Conv1d(3, 3, pad=(0, 5), mode="circular"), (Type((2, 2, 6)),)),
)
Conv3d.examples = (
    Example(Conv3d(3, 3), (Type((2, 2, 4, 3, 5)),)),
    Example(Conv3d(2, (1, 2, 3), stride=2, pad=(0, 0, 1, 0, 1, 1)), (Type((1, 2, 3, 4, 5)),)),
    Example(Conv3d(2, (3, 1, 2), pad=(1, 1, 0, 2, 2, 0), mode="reflect"), (Type((2, 2, 3, 3, 4)),)),
)
ConvGrad.examples = (
    Example(
        ConvGrad((2, 3), ((1, 1), (0, 0)), (1, 1), 2),
        (_IMAGE, Type((3, 6, 5, 2)), Type((6, 2, 3, 4))),
    ),
    Example(
        ConvGrad((1,), ((1, 0),), (1,), 1, bias=False),
        (Type((2, 2, 4)), Type((2, 3, 4)), Type((3, 2, 2))),
    ),
)
