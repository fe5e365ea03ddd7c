"""Pooling to a wished size, over images.

Window i of `size` covers the places floor(i n / size) … ceil((i + 1) n / size) - 1 of an axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from netdsl.kinds import Shape, Spatial
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op
from netdsl.ops.aten import blank, kernel, kernels
from netdsl.shapes import checked_images

if TYPE_CHECKING:
    from torch import Tensor


class AdaptivePool(Op):
    """One result for each of `size` windows; a subclass gives the function of a window."""

    spatial: ClassVar[int] = 2
    size: tuple[int, ...]

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
        return kernel("adaptive_avg_pool2d")(x, self.size)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(AdaptiveAvgPoolGrad(xs[0].type.shape[2:]), dys[0]),)


@op("adaptive_avg_pool_grad")
class AdaptiveAvgPoolGrad(Op):
    """dx: each dy shared among its window; `size` is the spatial size of x.

    dy [N, C, H', W'] -> dx [N, C, *size]
    """

    layer = False
    tensors = ("dy",)
    results = ("dx",)
    size: tuple[int, ...] = hyper(Shape())

    def infer(self, dy: Type) -> Type:
        return dy.with_shape(*dy.shape[:2], *self.size)

    def reference(self, dy: Tensor) -> Tensor:
        x = blank((*dy.shape[:2], *self.size), dy)
        return kernel("_adaptive_avg_pool2d_backward")(dy, x)


@op("adaptive_max_pool")
class AdaptiveMaxPool(AdaptivePool):
    """The largest element of each window, NaN if there is one. As torch.nn.AdaptiveMaxPool2d.

    x [N, C, H, W] -> y [N, C, *size]
    """

    exact = True
    size: tuple[int, ...] = hyper(Spatial())

    def reference(self, x: Tensor) -> Tensor:
        return kernels("adaptive_max_pool2d")(x, self.size)[0]

    def differentiable_form(self) -> Op:
        return AdaptiveMaxPoolIndices(self.size)


@op("adaptive_max_pool_indices")
class AdaptiveMaxPoolIndices(Op):
    """adaptive_max_pool, and where in its plane the maximum (the first of equals) was found.

    x [N, C, H, W] -> y [N, C, *size], indices int like y
    """

    layer = False
    exact = True
    results = ("y", "indices")
    spatial: ClassVar[int] = 2
    size: tuple[int, ...] = hyper(Spatial())

    def infer(self, x: Type) -> tuple[Type, Type]:
        y = x.with_shape(*x.shape[:2], *self.size)
        return y, Type(y.shape, "int")

    def reference(self, x: Tensor) -> tuple[Tensor, ...]:
        return kernels("adaptive_max_pool2d")(x, self.size)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(AdaptiveMaxPoolGrad(xs[0].type.shape[2:]), dys[0], ys[1]),)


@op("adaptive_max_pool_grad")
class AdaptiveMaxPoolGrad(Op):
    """dx: each dy added where its maximum was found; `size` is the spatial size of x.

    dy [N, C, H', W'], indices int like dy -> dx [N, C, *size]
    """

    layer = False
    tensors = ("dy", "indices")
    results = ("dx",)
    size: tuple[int, ...] = hyper(Shape())

    def infer(self, dy: Type, indices: Type) -> Type:
        return dy.with_shape(*dy.shape[:2], *self.size)

    def reference(self, dy: Tensor, indices: Tensor) -> Tensor:
        x = blank((*dy.shape[:2], *self.size), dy, indices)
        return kernel("adaptive_max_pool2d_backward")(dy, x, indices)


_IMAGE, _POOLED = Type((3, 2, 7, 8)), Type((3, 2, 3, 2))
for _pool in (AdaptiveAvgPool, AdaptiveMaxPool, AdaptiveMaxPoolIndices):
    _pool.examples = (Example(_pool(1), (_IMAGE,)), Example(_pool((3, 10)), (_IMAGE,)))
AdaptiveAvgPoolGrad.examples = (Example(AdaptiveAvgPoolGrad((7, 8)), (_POOLED,)),)
AdaptiveMaxPoolGrad.examples = (
    Example(AdaptiveMaxPoolGrad((7, 8)), (_POOLED, Type(_POOLED.shape, "int"))),
)
