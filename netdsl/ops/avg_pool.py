"""avg_pool over images, signals and volumes: y[p] = mean_q x[stride p + q - pad].

With `ceil` a last window may hang over the end and averages fewer; it starts inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from netdsl.kinds import Flag, Padding, Shape, Spatial
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op
from netdsl.ops.aten import blank, kernel
from netdsl.ops.windows import (
    Pairs,
    PoolForm,
    check_pad,
    image,
    planar,
    pooled,
    unimage,
)

if TYPE_CHECKING:
    from torch import Tensor


@op("avg_pool")
class AvgPool(Op):
    """The mean of each window, with `count_pad` the zeros of the padding in it. As nn.AvgPool2d.

    x [N, C, H, W] -> y [N, C, H', W']
    """

    spatial: ClassVar[int] = 2

    k: tuple[int, ...] = hyper(Spatial())
    stride: tuple[int, ...] = hyper(Spatial(like="k"), "k")
    pad: Pairs = hyper(Padding(), 0)
    ceil: bool = hyper(Flag(), False)
    count_pad: bool = hyper(Flag(), True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pad(self.name, self.pad, self.k)

    def infer(self, x: Type) -> Type:
        return pooled(self.name, x, self.k, self.stride, self.pad, self.ceil)

    def reference(self, x: Tensor) -> Tensor:
        axes, geometry = planar(self.k, self.stride, self.pad)
        pool = kernel(f"avg_pool{axes}d")
        return unimage(pool(image(x), *geometry, self.ceil, self.count_pad), x)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        size = xs[0].type.shape[2:]
        grad = AvgPoolGrad(size, self.k, self.stride, self.pad, self.ceil, self.count_pad)
        return (b(grad, dys[0]),)


@op("avg_pool1d")
class AvgPool1d(AvgPool):
    """The mean of each window. As torch.nn.AvgPool1d.

    x [N, C, L] -> y [N, C, L']
    """

    spatial = 1


@op("avg_pool3d")
class AvgPool3d(AvgPool):
    """The mean of each window. As torch.nn.AvgPool3d.

    x [N, C, D, H, W] -> y [N, C, D', H', W']
    """

    spatial = 3


@op("avg_pool_grad")
class AvgPoolGrad(PoolForm):
    """dx: each dy shared among its window; `size` is the spatial size of x.

    dy [N, C, …] -> dx [N, C, *size]
    """

    tensors = ("dy",)
    results = ("dx",)
    size: tuple[int, ...] = hyper(Shape())
    k: tuple[int, ...] = hyper(Shape(low=1))
    stride: tuple[int, ...] = hyper(Spatial())
    pad: Pairs = hyper(Padding())
    ceil: bool = hyper(Flag())
    count_pad: bool = hyper(Flag())

    def infer(self, dy: Type) -> Type:
        return dy.with_shape(*dy.shape[:2], *self.size)

    def reference(self, dy: Tensor) -> Tensor:
        x = blank((*dy.shape[:2], *self.size), dy)
        axes, geometry = planar(self.k, self.stride, self.pad)
        grad = kernel(f"avg_pool{axes}d_backward")
        dx = grad(image(dy), image(x), *geometry, self.ceil, self.count_pad, None)
        return unimage(dx, dy)


_IMAGE = Type((3, 2, 7, 8))
AvgPool.examples = (
    Example(AvgPool(2), (_IMAGE,)),
    Example(AvgPool(3, stride=2, pad=1), (_IMAGE,)),
    Example(AvgPool((2, 3), stride=(3, 1), pad=1, ceil=True, count_pad=False), (_IMAGE,)),
    Example(AvgPool(3, stride=2, pad=1, ceil=True), (_IMAGE,)),
)
AvgPool1d.examples = (Example(AvgPool1d(3, stride=2, ceil=True), (Type((2, 3, 8)),)),)
AvgPool3d.examples = (
    Example(AvgPool3d((1, 2, 2), stride=2, pad=(0, 1, 0)), (Type((2, 2, 3, 4, 5)),)),
)
AvgPoolGrad.examples = (
    Example(AvgPoolGrad((7, 8), (3, 3), 2, 1, False, True), (Type((3, 2, 4, 4)),)),
    Example(AvgPoolGrad((8,), (3,), 2, 0, True, False), (Type((2, 3, 4)),)),
)
