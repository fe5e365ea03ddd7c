"""Zeros (or another number) around images, and pixels or channels left out or added."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from netdsl.errors import Problem
from netdsl.kinds import Int, Number, Padding, Shape, Spatial
from netdsl.lazy import F
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op
from netdsl.ops.aten import memory_format
from netdsl.ops.pieces import Slice
from netdsl.shapes import checked_images
from netdsl.sizes import ceildiv

if TYPE_CHECKING:
    from torch import Tensor


@op("pad")
class Pad(Op):
    """`value` around every image: a number for all sides, (rows, columns), or (top, bottom, left,
    right). As torch.nn.functional.pad.

    x [N, C, H, W] -> y [N, C, top + H + bottom, left + W + right]
    """

    exact = True
    spatial: ClassVar[int] = 2
    sizes: tuple[tuple[int, int], ...] = hyper(Padding())
    value: float = hyper(Number(), 0)

    def infer(self, x: Type) -> Type:
        checked_images(self.name, x, self.spatial)
        padded = (n + sum(sides) for n, sides in zip(x.shape[2:], self.sizes, strict=True))
        return x.with_shape(*x.shape[:2], *padded)

    def reference(self, x: Tensor) -> Tensor:
        sides = [side for pair in reversed(self.sizes) for side in pair]
        return F.pad(x, sides, value=self.value)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        dx = dys[0]
        for axis, (before, after) in enumerate(self.sizes, start=2):
            if before or after:
                dx = b(Slice(axis, before, before + xs[0].type.shape[axis]), dx)
        return (dx,)


@op("subsample")
class Subsample(Op):
    """Every s-th pixel, from the first: y = x[:, :, ::s, ::s].

    x [N, C, H, W] -> y [N, C, ceil(H / s), ceil(W / s)]
    """

    exact = True
    view = True
    spatial: ClassVar[int] = 2
    s: tuple[int, ...] = hyper(Spatial())

    def infer(self, x: Type) -> Type:
        checked_images(self.name, x, self.spatial)
        kept = (ceildiv(n, s) for n, s in zip(x.shape[2:], self.s, strict=True))
        return x.with_shape(*x.shape[:2], *kept)

    def reference(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.s[0], :: self.s[1]]

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(SubsampleGrad(xs[0].type.shape[2:], self.s), dys[0]),)


@op("subsample_grad")
class SubsampleGrad(Op):
    """dx: dy at the pixels kept, zeros elsewhere; `size` is the spatial size of x."""

    layer = False
    exact = True
    tensors = ("dy",)
    results = ("dx",)
    spatial: ClassVar[int] = 2
    size: tuple[int, ...] = hyper(Shape())
    s: tuple[int, ...] = hyper(Spatial())

    def infer(self, dy: Type) -> Type:
        return dy.with_shape(*dy.shape[:2], *self.size)

    def reference(self, dy: Tensor) -> Tensor:
        dx = dy.new_zeros(dy.shape[:2] + self.size).contiguous(memory_format=memory_format(dy))
        dx[:, :, :: self.s[0], :: self.s[1]] = dy
        return dx


@op("pad_channels")
class PadChannels(Op):
    """Channels of zeros behind those of x, `c` in all (He et al. 2015, the shortcut of option A).

    x [N, C, …] -> y [N, c, …]
    """

    exact = True
    c: int = hyper(Int())

    def infer(self, x: Type) -> Type:
        missing = self.c - x.shape[1] if x.rank > 1 else -1
        if not isinstance(missing, int) or missing < 0:
            raise Problem(
                "N211",
                f"`{self.name}` to {self.c} channels of {x}",
                label=f"it has {x.shape[1] if x.rank > 1 else 'no'} channels",
                helps=("`c` is the number of channels afterwards, at least those there are",),
            )
        return x.with_shape(x.shape[0], self.c, *x.shape[2:])

    def reference(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0) * (x.dim() - 2) + (0, self.c - x.shape[1]))

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Slice(1, 0, xs[0].type.shape[1]), dys[0]),)


_IMAGE = Type((3, 2, 5, 6))
Pad.examples = (
    Example(Pad(1), (_IMAGE,)),
    Example(Pad((0, 2, 1, 0), value=-1.5), (_IMAGE,)),
)
Subsample.examples = (
    Example(Subsample(2), (_IMAGE,)),
    Example(Subsample((3, 1)), (_IMAGE,)),
)
SubsampleGrad.examples = (Example(SubsampleGrad((5, 6), 2), (Type((3, 2, 3, 3)),)),)
PadChannels.examples = (
    Example(PadChannels(5), (_IMAGE,)),
    Example(PadChannels(3), (Type((4, 3)),)),
)
