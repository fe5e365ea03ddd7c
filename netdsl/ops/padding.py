"""Edges around images, signals and volumes, and pixels or channels left out or added."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from netdsl.errors import Problem
from netdsl.kinds import Choice, Int, Number, Padding, Shape, Spatial
from netdsl.lazy import F
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op
from netdsl.ops.aten import memory_format
from netdsl.ops.pieces import Slice
from netdsl.shapes import axis_name, checked_images
from netdsl.sizes import ceildiv

if TYPE_CHECKING:
    from torch import Tensor


Pairs = tuple[tuple[int, int], ...]

# What stands outside an image: zeros, its pixels mirrored at the edge pixel, the edge pixel itself,
# or the pixels of the other side.
MODES = Choice(names=("zeros", "reflect", "replicate", "circular"))


@op("pad")
class Pad(Op):
    """`value` around every image, or its own pixels by `mode`: a number for all sides, (rows,
    columns), or (top, bottom, left, right). As torch.nn.functional.pad.

    x [N, C, H, W] -> y [N, C, top + H + bottom, left + W + right]
    """

    per_example = (0,)
    exact = True
    autocast_cuda = "promote"
    spatial: ClassVar[int] = 2
    sizes: Pairs = hyper(Padding())
    mode: str = hyper(MODES, "zeros")
    value: float = hyper(Number(), 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value and self.mode != "zeros":
            raise Problem(
                "N106",
                f"`value` of `{self.name}` is for `mode=zeros`: {self.mode} takes x's own pixels",
                helps=(f"leave out `value` or `mode={self.mode}`",),
            )

    @property
    def autocast(self) -> str:  # type: ignore[override]
        float32 = self.mode == "replicate" or (self.mode == "reflect" and self.spatial < 3)
        return "float32" if float32 else "promote"

    def infer(self, x: Type) -> Type:
        checked_images(self.name, x, self.spatial)
        check_edges(self.name, x, self.sizes, self.mode)
        padded = (n + sum(sides) for n, sides in zip(x.shape[2:], self.sizes, strict=True))
        return x.with_shape(*x.shape[:2], *padded)

    def reference(self, x: Tensor) -> Tensor:
        return padded(x, self.sizes, self.mode, self.value)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        if self.mode != "zeros":
            return (b(PadGrad(xs[0].type.shape[2:], self.sizes, self.mode), dys[0]),)
        dx = dys[0]
        for axis, (before, after) in enumerate(self.sizes, start=2):
            if before or after:
                dx = b(Slice(axis, before, before + xs[0].type.shape[axis]), dx)
        return (dx,)


@op("pad1d")
class Pad1d(Pad):
    """`value` around every signal, or its own steps by `mode`: a number or (first, last).

    x [N, C, L] -> y [N, C, first + L + last]
    """

    spatial = 1


@op("pad3d")
class Pad3d(Pad):
    """`value` around every volume, or its own voxels by `mode`: a number, three, or two a side.

    x [N, C, D, H, W] -> y [N, C, D', H', W']
    """

    spatial = 3


@op("pad_grad")
class PadGrad(Op):
    """dx: the inner part of dy, and every element outside added to the pixel that it copied.

    dy [N, C, …] -> dx [N, C, *size]
    """

    per_example = (0,)
    layer = False
    tensors = ("dy",)
    results = ("dx",)
    size: tuple[int, ...] = hyper(Shape())
    sizes: Pairs = hyper(Padding())
    mode: str = hyper(MODES)

    @property
    def spatial(self) -> int:
        return len(self.size)

    def infer(self, dy: Type) -> Type:
        return dy.with_shape(*dy.shape[:2], *self.size)

    def reference(self, dy: Tensor) -> Tensor:
        dx = dy.clone()
        for axis, (before, after) in enumerate(self.sizes, start=2):
            n = dx.shape[axis] - before - after
            inner = dx.narrow(axis, before, n)
            for place in (*range(-before, 0), *range(n, n + after)):
                copied = inner.select(axis, _source(place, n, self.mode))
                copied += dx.select(axis, before + place)
            dx = inner
        return dx.contiguous(memory_format=memory_format(dy))


def padded(x: Tensor, sizes: Pairs, mode: str = "zeros", value: float = 0) -> Tensor:
    """x [N, C, …] with edges of these sizes, as torch.nn.functional.pad."""
    sides = [side for pair in reversed(sizes) for side in pair]
    return F.pad(x, sides, "constant" if mode == "zeros" else mode, value or None)


def check_edges(name: str, x: Type, sizes: Pairs, mode: str) -> None:
    """N207 where x has too few pixels to mirror or to go round."""
    most = {"reflect": -1, "circular": 0}.get(mode)
    if most is None:
        return
    for i, (n, sides) in enumerate(zip(x.shape[2:], sizes, strict=True)):
        if isinstance(n, int) and max(sides) > n + most:
            raise Problem(
                "N207",
                f"`{name}` with `mode={mode}` pads by at most {n + most} of {x}",
                label=f"{axis_name(i, len(sizes))}: {n} places, padding {max(sides)}",
                helps=("a smaller padding, or `mode=replicate`, which repeats the edge",),
            )


def _source(place: int, n: int, mode: str) -> int:
    """Which of n places stands at a place before 0 or from n on."""
    if mode == "circular":
        return place % n
    edge = 0 if place < 0 else n - 1
    return edge if mode == "replicate" else 2 * edge - place


@op("subsample")
class Subsample(Op):
    """Every s-th pixel, from the first: y = x[:, :, ::s, ::s].

    x [N, C, H, W] -> y [N, C, ceil(H / s), ceil(W / s)]
    """

    per_example = (0,)
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

    per_example = (0,)
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

    per_example = (0,)
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


_SIGNAL, _IMAGE, _VOLUME = Type((3, 2, 4)), Type((3, 2, 5, 6)), Type((2, 2, 2, 3, 4))
Pad.examples = (
    Example(Pad(1), (_IMAGE,)),
    Example(Pad((0, 2, 1, 0), value=-1.5), (_IMAGE,)),
    Example(Pad((4, 2, 0, 3), mode="reflect"), (_IMAGE,)),
    Example(Pad((7, 0, 1, 2), mode="replicate"), (_IMAGE,)),
    Example(Pad((5, 1, 0, 6), mode="circular"), (_IMAGE,)),
)
Pad1d.examples = (
    Example(Pad1d((2, 0)), (_SIGNAL,)),
    Example(Pad1d((3, 1), mode="reflect"), (_SIGNAL,)),
)
Pad3d.examples = (
    Example(Pad3d(1, value=2), (_VOLUME,)),
    Example(Pad3d((1, 0, 2, 1, 0, 3), mode="replicate"), (_VOLUME,)),
    Example(Pad3d((1, 2, 3), mode="circular"), (_VOLUME,)),
)
PadGrad.examples = (
    Example(PadGrad((5, 6), (4, 2, 0, 3), "reflect"), (Type((3, 2, 11, 9)),)),
    Example(PadGrad((5, 6), (5, 1, 0, 6), "circular"), (Type((3, 2, 11, 12)),)),
    Example(PadGrad((4,), (5, 1), "replicate"), (Type((3, 2, 10)),)),
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
