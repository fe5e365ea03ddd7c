"""max_pool over images, signals and volumes: y[p] = max_q x[stride p + dilation q - pad].

Padding is never the maximum. With `ceil` a last window may hang over the end; it starts inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from netdsl.kinds import Flag, Padding, Shape, Spatial
from netdsl.lazy import torch
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op
from netdsl.ops.aten import blank, kernel, kernels
from netdsl.ops.windows import (
    Pairs,
    PoolForm,
    check_pad,
    image,
    on_planes,
    planar,
    pooled,
    unimage,
    window_spans,
)

if TYPE_CHECKING:
    from torch import Tensor


@op("max_pool")
class MaxPool(Op):
    """The largest element of each window, NaN if there is one. As torch.nn.MaxPool2d.

    x [N, C, H, W] -> y [N, C, H', W']
    """

    per_example = (0,)
    exact = True
    spatial: ClassVar[int] = 2

    k: tuple[int, ...] = hyper(Spatial())
    stride: tuple[int, ...] = hyper(Spatial(like="k"), "k")
    pad: Pairs = hyper(Padding(), 0)
    dilation: tuple[int, ...] = hyper(Spatial(), 1)
    ceil: bool = hyper(Flag(), False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pad(self.name, self.pad, self.k)

    def infer(self, x: Type) -> Type:
        spans = window_spans(self.k, self.dilation)
        return pooled(self.name, x, spans, self.stride, self.pad, self.ceil)

    def reference(self, x: Tensor) -> Tensor:
        axes, geometry = planar(self.k, self.stride, self.pad, self.dilation)
        pool = {2: torch.max_pool2d, 3: torch.max_pool3d}[axes]
        return on_planes(pool, self.spatial, *geometry, self.ceil)(x)

    def differentiable_form(self) -> Op:
        return MaxPoolIndices(self.k, self.stride, self.pad, self.dilation, self.ceil)


@op("max_pool1d")
class MaxPool1d(MaxPool):
    """The largest element of each window. As torch.nn.MaxPool1d.

    x [N, C, L] -> y [N, C, L']
    """

    spatial = 1


@op("max_pool3d")
class MaxPool3d(MaxPool):
    """The largest element of each window. As torch.nn.MaxPool3d.

    x [N, C, D, H, W] -> y [N, C, D', H', W']
    """

    autocast = "float32"
    autocast_cuda = "promote"
    spatial = 3


@op("max_pool_indices")
class MaxPoolIndices(PoolForm):
    """max_pool, and where in its plane the maximum (the first of equals) was found.

    x [N, C, …] -> y [N, C, …], indices int like y
    """

    per_example = (0,)
    exact = True
    results = ("y", "indices")
    k: tuple[int, ...] = hyper(Shape(low=1))
    stride: tuple[int, ...] = hyper(Spatial())
    pad: Pairs = hyper(Padding())
    dilation: tuple[int, ...] = hyper(Spatial())
    ceil: bool = hyper(Flag())

    def infer(self, x: Type) -> tuple[Type, ...]:
        spans = window_spans(self.k, self.dilation)
        layer = ("max_pool1d", "max_pool", "max_pool3d")[self.spatial - 1]  # as files call it
        y = pooled(layer, x, spans, self.stride, self.pad, self.ceil)
        return y, Type(y.shape, "int")

    def reference(self, x: Tensor) -> tuple[Tensor, ...]:
        axes, geometry = planar(self.k, self.stride, self.pad, self.dilation)
        pool = kernels(f"max_pool{axes}d_with_indices")
        y, indices = pool(image(x), *geometry, self.ceil)
        return unimage(y, x), unimage(indices, x)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        size = xs[0].type.shape[2:]
        grad = MaxPoolGrad(size, self.k, self.stride, self.pad, self.dilation, self.ceil)
        return (b(grad, dys[0], ys[1]),)


@op("max_pool_grad")
class MaxPoolGrad(PoolForm):
    """dx: each dy added where its maximum was found; `size` is the spatial size of x.

    dy [N, C, …], indices int like dy -> dx [N, C, *size]
    """

    per_example = (0, 1)
    tensors = ("dy", "indices")
    results = ("dx",)
    size: tuple[int, ...] = hyper(Shape())
    k: tuple[int, ...] = hyper(Shape(low=1))
    stride: tuple[int, ...] = hyper(Spatial())
    pad: Pairs = hyper(Padding())
    dilation: tuple[int, ...] = hyper(Spatial())
    ceil: bool = hyper(Flag())

    def infer(self, dy: Type, indices: Type) -> Type:
        return dy.with_shape(*dy.shape[:2], *self.size)

    def reference(self, dy: Tensor, indices: Tensor) -> Tensor:
        x = blank((*dy.shape[:2], *self.size), dy, indices)
        axes, geometry = planar(self.k, self.stride, self.pad, self.dilation)
        grad = kernel(f"max_pool{axes}d_with_indices_backward")
        return unimage(grad(image(dy), image(x), *geometry, self.ceil, image(indices)), dy)


_IMAGE = Type((3, 2, 7, 8))
_CASES = {
    MaxPool: (
        (MaxPool(2), _IMAGE),
        (MaxPool(3, stride=2, pad=1), _IMAGE),
        (MaxPool((2, 3), stride=(3, 1), pad=(1, 0), dilation=(1, 2), ceil=True), _IMAGE),
    ),
    MaxPool1d: ((MaxPool1d(3, stride=2, ceil=True), Type((2, 3, 8))),),
    MaxPool3d: ((MaxPool3d((1, 2, 2), stride=2, pad=(0, 1, 0)), Type((2, 2, 3, 4, 5))),),
}
for _pool, _cases in _CASES.items():
    _pool.examples = tuple(Example(application, (x,)) for application, x in _cases)
MaxPoolIndices.examples = tuple(
    Example(application.differentiable_form(), (x,))
    for case in _CASES.values()
    for application, x in case
)
MaxPoolGrad.examples = (
    Example(
        MaxPoolGrad((7, 8), (3, 3), 2, 1, 1, False),
        (Type((3, 2, 4, 4)), Type((3, 2, 4, 4), "int")),
    ),
    Example(MaxPoolGrad((8,), (3,), 2, 0, 1, True), (Type((2, 3, 4)), Type((2, 3, 4), "int"))),
)
