"""Pooling of a channel to one number, x [N, C, …] -> y [N, C]."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from netdsl.kinds import Shape
from netdsl.lazy import torch
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op, rank_problem
from netdsl.shapes import checked_float

if TYPE_CHECKING:
    from torch import Tensor


class GlobalPool(Op):
    """One number a channel; a subclass gives the function."""

    per_example = (0,)

    def infer(self, x: Type) -> Type:
        if x.rank < 3:
            raise rank_problem(self.name, x, "an image [N, C, H, W], a signal or a volume")
        checked_float(self.name, x)
        return x.with_shape(*x.shape[:2])


@op("global_avg_pool")
class GlobalAvgPool(GlobalPool):
    """The mean of each channel. As torch.nn.AdaptiveAvgPool2d(1) without the two axes of size 1."""

    def reference(self, x: Tensor) -> Tensor:
        return x.mean(tuple(range(2, x.dim())))

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(GlobalAvgPoolGrad(), dys[0], xs[0]),)


@op("global_avg_pool_grad")
class GlobalAvgPoolGrad(Op):
    """dx = dy / places, in the layout of x, whose numbers are not read.

    dy [N, C], x [N, C, …] -> dx like x
    """

    per_example = (0, 1)
    layer = False
    tensors = ("dy", "x")
    results = ("dx",)

    def infer(self, dy: Type, x: Type) -> Type:
        return x

    def reference(self, dy: Tensor, x: Tensor) -> Tensor:
        share = dy / math.prod(x.shape[2:])
        return torch.empty_like(x).copy_(share.reshape(share.shape + (1,) * (x.dim() - 2)))


@op("global_max_pool")
class GlobalMaxPool(GlobalPool):
    """The largest element of each channel. As torch.nn.AdaptiveMaxPool2d(1) without its axes."""

    exact = True

    def reference(self, x: Tensor) -> Tensor:
        return x.amax(tuple(range(2, x.dim())))

    def differentiable_form(self) -> Op:
        return GlobalMaxPoolIndices()


@op("global_max_pool_indices")
class GlobalMaxPoolIndices(Op):
    """global_max_pool, and where the maximum (the first of equals) was found.

    x [N, C, …] -> y [N, C], indices int [N, C] into the channel's places in row-major order
    """

    per_example = (0,)
    layer = False
    exact = True
    results = ("y", "indices")

    def infer(self, x: Type) -> tuple[Type, Type]:
        return x.with_shape(*x.shape[:2]), Type(x.shape[:2], "int")

    def reference(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, indices = x.flatten(2).max(-1)
        return y, indices

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(GlobalMaxPoolGrad(xs[0].type.shape[2:]), dys[0], ys[1]),)


@op("global_max_pool_grad")
class GlobalMaxPoolGrad(Op):
    """dx: dy where the maximum was found, else 0.

    dy [N, C], indices int [N, C] -> dx [N, C, *size]
    """

    per_example = (0, 1)
    layer = False
    tensors = ("dy", "indices")
    results = ("dx",)
    size: tuple[int, ...] = hyper(Shape())

    def infer(self, dy: Type, indices: Type) -> Type:
        return dy.with_shape(*dy.shape, *self.size)

    def reference(self, dy: Tensor, indices: Tensor) -> Tensor:
        dx = dy.new_zeros((*dy.shape, math.prod(self.size)))
        dx.scatter_(2, indices.unsqueeze(2), dy.unsqueeze(2))
        return dx.reshape((*dy.shape, *self.size))


for _pool in (GlobalAvgPool, GlobalMaxPool, GlobalMaxPoolIndices):
    _pool.examples = (
        Example(_pool(), (Type((3, 2, 4, 5)),)),
        Example(_pool(), (Type((3, 33, 7)),)),
    )
GlobalAvgPoolGrad.examples = (Example(GlobalAvgPoolGrad(), (Type((3, 2)), Type((3, 2, 4, 5)))),)
GlobalMaxPoolGrad.examples = (
    Example(GlobalMaxPoolGrad((4, 5)), (Type((3, 2)), Type((3, 2), "int"))),
)
