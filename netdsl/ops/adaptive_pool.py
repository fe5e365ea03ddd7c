"""Pooling to a wished size, over images, signals and volumes.

Window i of `size` covers the places floor(i n / size) … ceil((i + 1) n / size) - 1 of an axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from netdsl.kinds import Shape, Spatial
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op
from netdsl.ops.aten import blank, kernel, kernels
from netdsl.ops.windows import image, unimage
from netdsl.shapes import checked_images

if TYPE_CHECKING:
    from torch import Tensor


class AdaptivePool(Op):
    """One result for each of `size` windows; a subclass gives the function of a window."""

    per_example = (0,)
    spatial: ClassVar[int] = 2
    size: tuple[int, ...] = hyper(Spatial())

    def infer(self, x: Type) -> Type:
        checked_images(self.name, x, self.spatial)
        return x.with_shape(*x.shape[:2], *self.size)


@op("adaptive_avg_pool")
class AdaptiveAvgPool(AdaptivePool):
    """The mean of each window. As torch.nn.AdaptiveAvgPool2d.

    x [N, C, H, W] -> y [N, C, *size]
    """

    size: tuple[int, ...] = hyper(Spatial())

    def reference(self, x: Tensor) -> Tensor:
        axes, size = _planar(self.size)
        return unimage(kernel(f"adaptive_avg_pool{axes}d")(image(x), size), x)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(AdaptiveAvgPoolGrad(xs[0].type.shape[2:]), dys[0]),)


@op("adaptive_avg_pool1d")
class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """The mean of each window. As torch.nn.AdaptiveAvgPool1d.

    x [N, C, L] -> y [N, C, size]
    """

    spatial = 1


@op("adaptive_avg_pool3d")
class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """The mean of each window. As torch.nn.AdaptiveAvgPool3d.

    x [N, C, D, H, W] -> y [N, C, *size]
    """

    autocast = "float32"
    autocast_cuda = "promote"
    spatial = 3


@op("adaptive_avg_pool_grad")
class AdaptiveAvgPoolGrad(Op):
    """dx: each dy shared among its window; `size` is the spatial size of x.

    dy [N, C, H', W'] -> dx [N, C, *size]
    """

    per_example = (0,)
    layer = False
    tensors = ("dy",)
    results = ("dx",)
    size: tuple[int, ...] = hyper(Shape())

    def infer(self, dy: Type) -> Type:
        return dy.with_shape(*dy.shape[:2], *self.size)

    def reference(self, dy: Tensor) -> Tensor:
        axes, size = _planar(self.size)
        x = blank((*dy.shape[:2], *size), image(dy))
        return unimage(kernel(f"_adaptive_avg_pool{axes}d_backward")(image(dy), x), dy)


@op("adaptive_max_pool")
class AdaptiveMaxPool(AdaptivePool):
    """The largest element of each window, NaN if there is one. As torch.nn.AdaptiveMaxPool2d.

    x [N, C, H, W] -> y [N, C, *size]
    """

    exact = True
    size: tuple[int, ...] = hyper(Spatial())

    def reference(self, x: Tensor) -> Tensor:
        return AdaptiveMaxPoolIndices(self.size).reference(x)[0]

    def differentiable_form(self) -> Op:
        return AdaptiveMaxPoolIndices(self.size)


@op("adaptive_max_pool1d")
class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """The largest element of each window. As torch.nn.AdaptiveMaxPool1d.

    x [N, C, L] -> y [N, C, size]
    """

    spatial = 1


@op("adaptive_max_pool3d")
class AdaptiveMaxPool3d(AdaptiveMaxPool):
    """The largest element of each window. As torch.nn.AdaptiveMaxPool3d.

    x [N, C, D, H, W] -> y [N, C, *size]
    """

    autocast = "float32"
    autocast_cuda = "promote"
    spatial = 3


@op("adaptive_max_pool_indices")
class AdaptiveMaxPoolIndices(Op):
    """adaptive_max_pool, and where in its plane the maximum (the first of equals) was found.

    x [N, C, …] -> y [N, C, *size], indices int like y
    """

    per_example = (0,)
    layer = False
    exact = True
    results = ("y", "indices")
    size: tuple[int, ...] = hyper(Shape(low=1))

    def infer(self, x: Type) -> tuple[Type, Type]:
        y = x.with_shape(*x.shape[:2], *self.size)
        return y, Type(y.shape, "int")

    def reference(self, x: Tensor) -> tuple[Tensor, ...]:
        axes, size = _planar(self.size)
        y, indices = kernels(f"adaptive_max_pool{axes}d")(image(x), size)
        return unimage(y, x), unimage(indices, x)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(AdaptiveMaxPoolGrad(xs[0].type.shape[2:]), dys[0], ys[1]),)


@op("adaptive_max_pool_grad")
class AdaptiveMaxPoolGrad(Op):
    """dx: each dy added where its maximum was found; `size` is the spatial size of x.

    dy [N, C, H', W'], indices int like dy -> dx [N, C, *size]
    """

    per_example = (0, 1)
    layer = False
    tensors = ("dy", "indices")
    results = ("dx",)
    size: tuple[int, ...] = hyper(Shape())

    def infer(self, dy: Type, indices: Type) -> Type:
        return dy.with_shape(*dy.shape[:2], *self.size)

    def reference(self, dy: Tensor, indices: Tensor) -> Tensor:
        axes, size = _planar(self.size)
        plane, found = image(dy), image(indices)
        x = blank((*dy.shape[:2], *size), plane, found)
        return unimage(kernel(f"adaptive_max_pool{axes}d_backward")(plane, x, found), dy)


def _planar(size: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """The spatial axes of ATen's kernel, and the size for it: a signal is an image of one row."""
    return max(len(size), 2), (1, *size) if len(size) == 1 else size


_SIGNAL, _IMAGE, _VOLUME = Type((3, 2, 9)), Type((3, 2, 7, 8)), Type((2, 2, 4, 3, 5))
_POOLED = Type((3, 2, 3, 2))
for _pool in (AdaptiveAvgPool, AdaptiveMaxPool):
    _pool.examples = (Example(_pool(1), (_IMAGE,)), Example(_pool((3, 10)), (_IMAGE,)))
for _pool in (AdaptiveAvgPool1d, AdaptiveMaxPool1d):
    _pool.examples = (Example(_pool(1), (_SIGNAL,)), Example(_pool(4), (_SIGNAL,)))
for _pool in (AdaptiveAvgPool3d, AdaptiveMaxPool3d):
    _pool.examples = (Example(_pool(1), (_VOLUME,)), Example(_pool((3, 1, 7)), (_VOLUME,)))
AdaptiveMaxPoolIndices.examples = (
    Example(AdaptiveMaxPoolIndices((3, 10)), (_IMAGE,)),
    Example(AdaptiveMaxPoolIndices((4,)), (_SIGNAL,)),
)
AdaptiveAvgPoolGrad.examples = (
    Example(AdaptiveAvgPoolGrad((7, 8)), (_POOLED,)),
    Example(AdaptiveAvgPoolGrad((9,)), (Type((3, 2, 4)),)),
    Example(AdaptiveAvgPoolGrad((4, 3, 5)), (Type((2, 2, 3, 1, 7)),)),
)
AdaptiveMaxPoolGrad.examples = (
    Example(AdaptiveMaxPoolGrad((7, 8)), (_POOLED, Type(_POOLED.shape, "int"))),
    Example(AdaptiveMaxPoolGrad((9,)), (Type((3, 2, 4)), Type((3, 2, 4), "int"))),
)
