"""resize: images of another size by the nearest pixel or between four, and its gradient.

y[p] = x[floor(p / scale)], or linear between the pixels around (p + 1/2) / scale - 1/2 on each
axis, the edge repeated outside; scale = H' / H where a size is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netdsl.errors import Problem
from netdsl.kinds import Choice, Number, Shape
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op
from netdsl.ops.aten import kernel
from netdsl.shapes import axis_name, checked_images
from netdsl.sizes import Poly, Size

if TYPE_CHECKING:
    from fractions import Fraction

    from torch import Tensor

MODES = Choice(names=("nearest", "bilinear"))
SCALE = Number(0, rule="is a number above 0", optional=True)
FINEST = 64  # the largest denominator of a scale: floor(scale H) is exact, of symbols too


@op("resize")
class Resize(Op):
    """Images of `size`, a number or (H', W'), or `scale` times as large. As F.interpolate.

    x [N, C, H, W] -> y [N, C, H', W'], H' = floor(scale H)
    """

    per_example = (0,)
    autocast_cuda = "float32"
    size: tuple[Size, ...] | None = hyper(Shape(low=1, optional=True), None)
    scale: float | None = hyper(SCALE, None)
    mode: str = hyper(MODES, "nearest")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.size is None) == (self.scale is None):
            raise Problem(
                "N106",
                f"`{self.name}` needs `size` or `scale`, and one of them",
                helps=("`scale=2` makes an image twice as high and wide, `size=(H, W)` so large",),
            )
        if self.size is not None and len(self.size) == 1:
            object.__setattr__(self, "size", self.size * 2)
        if self.size is not None and len(self.size) != 2:
            raise Problem("N106", f"`size` of `{self.name}` is a number or two, height and width")
        if self.scale is not None:
            _ratio(self.name, self.scale)

    def infer(self, x: Type) -> Type:
        checked_images(self.name, x, 2)
        if self.size is not None:
            return x.with_shape(*x.shape[:2], *self.size)
        assert self.scale is not None
        ratio = _ratio(self.name, self.scale)
        size = [n * ratio.numerator // ratio.denominator for n in x.shape[2:]]
        for i, n in enumerate(size):
            if not isinstance(n, Poly) and n < 1:
                raise Problem(
                    "N207",
                    f"`{self.name}` by {self.scale:g} leaves nothing of {x}",
                    label=f"{axis_name(i, 2)}: {x.shape[2 + i]}",
                )
        return x.with_shape(*x.shape[:2], *size)

    def reference(self, x: Tensor) -> Tensor:
        size = self.infer(Type(tuple(x.shape))).shape[2:]
        scales = (self.scale, self.scale)
        return kernel(f"upsample_{self.mode}2d")(x, size, *_corners(self.mode), *scales)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(ResizeGrad(xs[0].type.shape[2:], self.scale, self.mode), dys[0]),)


@op("resize_grad")
class ResizeGrad(Op):
    """dx: every dy added to the pixels it was made of, by their weights; `size` is that of x.

    dy [N, C, H', W'] -> dx [N, C, *size]
    """

    per_example = (0,)
    layer = False
    tensors = ("dy",)
    results = ("dx",)
    size: tuple[Size, ...] = hyper(Shape())
    scale: float | None = hyper(SCALE, None)
    mode: str = hyper(MODES, "nearest")

    def infer(self, dy: Type) -> Type:
        return dy.with_shape(*dy.shape[:2], *self.size)

    def reference(self, dy: Tensor) -> Tensor:
        size, scales = (*dy.shape[:2], *self.size), (self.scale, self.scale)
        grad = kernel(f"upsample_{self.mode}2d_backward")
        return grad(dy, dy.shape[2:], size, *_corners(self.mode), *scales)


def _ratio(name: str, scale: float) -> Fraction:
    """The fraction that a scale stands for; N106 where it is none of small numbers."""
    from fractions import Fraction  # slow to import, and rarely needed

    ratio = Fraction(scale).limit_denominator(FINEST)
    if ratio <= 0 or abs(float(ratio) - scale) > 1e-12 * scale:
        raise Problem(
            "N106",
            f"`scale` of `{name}` is a whole number or a fraction as 1/2 or 3/4, not {scale:g}",
            helps=("`size` asks for any size",),
        )
    return ratio


def _corners(mode: str) -> tuple[Any, ...]:
    """`align_corners`, where ATen's kernel takes it: pixels are areas here, not points."""
    return (False,) if mode == "bilinear" else ()


_IMAGE = Type((2, 3, 4, 5))
Resize.examples = (
    Example(Resize(scale=2), (_IMAGE,)),
    Example(Resize(7, mode="bilinear"), (_IMAGE,)),
    Example(Resize((3, 11)), (_IMAGE,)),
    Example(Resize(scale=1.5, mode="bilinear"), (_IMAGE,)),
    Example(Resize(scale=0.5), (_IMAGE,)),
)
ResizeGrad.examples = (
    Example(ResizeGrad((4, 5), 2), (Type((2, 3, 8, 10)),)),
    Example(ResizeGrad((4, 5), None, "bilinear"), (Type((2, 3, 7, 7)),)),
)
