"""Functions of all elements along some axes (of all where none is said), the mean of tensors."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import reduce
from typing import TYPE_CHECKING

from netdsl.errors import Problem
from netdsl.kinds import Axes, Axis, Flag, Number, Shape
from netdsl.lazy import torch
from netdsl.op import Batched, Build, Example, Gradients, Op, Places, Type, Values, hyper, op
from netdsl.ops.arithmetic import Mul
from netdsl.ops.aten import kernel
from netdsl.shapes import checked_axes, checked_axis, checked_float
from netdsl.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor


class Reduction(Op):
    """One element for all along `axis`, which with `keep` stays, of size 1. A subclass gives f."""

    axis: tuple[int, ...] | None
    keep: bool

    def infer(self, x: Type) -> Type:
        checked_float(self.name, x)
        return x.with_shape(*reduced(x, self.axes(x), self.keep))

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return None if 0 in self.axes(operands[0]) else Batched(self)

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return remaining(axes[0], self.axes(operands[0]), self.keep)

    def axes(self, x: Type) -> tuple[int, ...]:
        """The axes counted from the front, in order."""
        if self.axis is None:
            return tuple(range(x.rank))
        return tuple(sorted(checked_axes(self.name, self.axis, x)))


@op("sum")
class Sum(Reduction):
    """y = Σ x. As torch.sum."""

    autocast_cuda = "float32"
    axis: tuple[int, ...] | None = hyper(Axes(optional=True), None)
    keep: bool = hyper(Flag(), False)

    def reference(self, x: Tensor) -> Tensor:
        return x.sum(self.axis, self.keep)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x = xs[0].type
        return (b(SumGrad(x.shape, self.axes(x)), dys[0]),)


@op("mean")
class Mean(Reduction):
    """y = Σ x / n. As torch.mean."""

    axis: tuple[int, ...] | None = hyper(Axes(optional=True), None)
    keep: bool = hyper(Flag(), False)

    def reference(self, x: Tensor) -> Tensor:
        return x.mean(self.axis, self.keep)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x = xs[0].type
        return (b(SumGrad(x.shape, self.axes(x), mean=True), dys[0]),)


@op("sum_grad")
class SumGrad(Op):
    """dx [*shape]: dy, with `mean` divided by the number of elements, for all along the axes."""

    layer = False
    tensors = ("dy",)
    results = ("dx",)
    shape: tuple[int, ...] = hyper(Shape())
    axes: tuple[int, ...] = hyper(Axes(empty=True))
    mean: bool = hyper(Flag(), False)

    def infer(self, dy: Type) -> Type:
        return dy.with_shape(*self.shape)

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        shape = (count, *self.shape[1:])
        return None if 0 in self.axes else Batched(SumGrad(shape, self.axes, self.mean))

    def reference(self, dy: Tensor) -> Tensor:
        if self.mean:
            dy = dy / math.prod(self.shape[axis] for axis in self.axes)
        dx = _kept(dy, self.shape, self.axes).expand(self.shape)
        return dx.clone(memory_format=torch.contiguous_format)


@op("max")
class Max(Reduction):
    """y = max x, NaN if there is one; equal elements share the gradient. As torch.amax."""

    exact = True
    axis: tuple[int, ...] | None = hyper(Axes(optional=True), None)
    keep: bool = hyper(Flag(), False)

    def reference(self, x: Tensor) -> Tensor:
        return x.amax(self.axis or (), self.keep)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(ExtremeGrad(self.axes(xs[0].type)), xs[0], ys[0], dys[0]),)


@op("min")
class Min(Reduction):
    """y = min x, NaN if there is one; equal elements share the gradient. As torch.amin."""

    exact = True
    axis: tuple[int, ...] | None = hyper(Axes(optional=True), None)
    keep: bool = hyper(Flag(), False)

    def reference(self, x: Tensor) -> Tensor:
        return x.amin(self.axis or (), self.keep)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(ExtremeGrad(self.axes(xs[0].type)), xs[0], ys[0], dys[0]),)


@op("extreme_grad")
class ExtremeGrad(Op):
    """dx: dy shared by the elements along the axes that equal y, 0 for the others."""

    layer = False
    tensors = ("x", "y", "dy")
    results = ("dx",)
    axes: tuple[int, ...] = hyper(Axes(empty=True))

    def infer(self, x: Type, y: Type, dy: Type) -> Type:
        return x

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return None if 0 in self.axes or len(each) < 3 else Batched(self)

    def reference(self, x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
        found = x == _kept(y, x.shape, self.axes)
        return _kept(dy, x.shape, self.axes) * found / found.sum(self.axes, keepdim=True)


@op("norm")
class Norm(Reduction):
    """y = (Σ |x|^p)^(1/p), p >= 1. As torch.linalg.vector_norm."""

    autocast_cuda = "float32"
    p: float = hyper(Number(low=1, rule="is a number from 1"), 2)
    axis: tuple[int, ...] | None = hyper(Axes(optional=True), None)
    keep: bool = hyper(Flag(), False)

    def reference(self, x: Tensor) -> Tensor:
        return kernel("linalg_vector_norm")(x, self.p, self.axis, self.keep)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(NormGrad(self.p, self.axes(xs[0].type)), xs[0], ys[0], dys[0]),)


@op("norm_grad")
class NormGrad(Op):
    """dx = dy sign(x) (|x| / y)^(p-1), 0 where y = 0."""

    layer = False
    tensors = ("x", "y", "dy")
    results = ("dx",)
    p: float = hyper(Number(low=1))
    axes: tuple[int, ...] = hyper(Axes(empty=True))

    def infer(self, x: Type, y: Type, dy: Type) -> Type:
        return x

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return None if 0 in self.axes or len(each) < 3 else Batched(self)

    def reference(self, x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
        y, dy = _kept(y, x.shape, self.axes), _kept(dy, x.shape, self.axes)
        if self.p == 2:
            return (x * (dy / y)).masked_fill_(y == 0, 0)
        return (x.sgn() * (x.abs() / y).pow_(self.p - 1) * dy).masked_fill_(y == 0, 0)


@op("argmax")
class ArgMax(Op):
    """The place of the (first) maximum along an axis, or in row-major order. As torch.argmax."""

    axis: int | None = hyper(Axis(optional=True), None)
    keep: bool = hyper(Flag(), False)

    def infer(self, x: Type) -> Type:
        return Type(reduced(x, self.axes(x), self.keep), "int")

    def axes(self, x: Type) -> tuple[int, ...]:
        """The axis counted from the front, or all."""
        all_axes = tuple(range(x.rank))
        return all_axes if self.axis is None else (checked_axis(self.name, self.axis, x),)

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return remaining(axes[0], self.axes(operands[0]), self.keep)

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if self.axis is not None and self.axis % operands[0].rank else None

    def reference(self, x: Tensor) -> Tensor:
        return torch.argmax(x, self.axis, self.keep)


@op("average")
class Average(Op):
    """The mean of tensors of one shape: of the votes of several columns, say."""

    variadic = True

    def infer(self, *xs: Type) -> Type:
        checked_float(self.name, *xs)
        for x in xs[1:]:
            if x != xs[0]:
                raise Problem("N206", f"`{self.name}` of tensors of one shape, not {xs[0]} and {x}")
        return xs[0]

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if len(each) == len(operands) else None

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return axes[0] if len({*axes}) == 1 else None

    def reference(self, *xs: Tensor) -> Tensor:
        return reduce(torch.add, xs) / len(xs)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Mul(), dys[0], b.constant(1 / len(xs))),) * len(xs)


def reduced(x: Type, axes: tuple[int, ...], keep: bool) -> tuple[Size, ...]:
    """The shape of x without the axes, or with size 1 along them."""
    return tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes)


def remaining(axis: int | None, axes: tuple[int, ...], keep: bool) -> int | None:
    """Where an axis of x is in the shape without the axes; None where it is one of them."""
    if axis is None or axis in axes:
        return None
    return axis if keep else axis - sum(a < axis for a in axes)


def _kept(y: Tensor, shape: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    """A reduced tensor with its reduced axes, of size 1."""
    return y.reshape([1 if i in axes else n for i, n in enumerate(shape)])


_BATCH = Type((3, 4, 5))
for _reduction in (Sum, Mean, Max, Min, Norm):
    _reduction.examples = (
        Example(_reduction(), (_BATCH,)),
        Example(_reduction(axis=-1), (_BATCH,)),
        Example(_reduction(axis=(2, 0), keep=True), (_BATCH,)),
        Example(_reduction(), (Type(()),)),
    )
Norm.examples += (Example(Norm(p=3, axis=1), (_BATCH,)), Example(Norm(p=1), (_BATCH,)))
SumGrad.examples = (
    Example(SumGrad((3, 4, 5), (0, 2)), (Type((4,)),)),
    Example(SumGrad((3, 4), (1,), mean=True), (Type((3, 1)),)),
)
ExtremeGrad.examples = (Example(ExtremeGrad((1,)), (Type((3, 4)), Type((3,)), Type((3,)))),)
NormGrad.examples = (Example(NormGrad(2, (1,)), (Type((3, 4)), Type((3,)), Type((3,))), (0.5, 2)),)
ArgMax.examples = (
    Example(ArgMax(), (_BATCH,)),
    Example(ArgMax(axis=1), (_BATCH,)),
    Example(ArgMax(axis=-1, keep=True), (_BATCH,)),
)
Average.examples = (
    Example(Average(), (Type((3, 4)),) * 3),
    Example(Average(), (Type((3, 4)),)),
)
