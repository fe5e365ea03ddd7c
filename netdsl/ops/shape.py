"""The same numbers under another shape: identity, flatten, reshape, transpose, expand."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from netdsl.errors import Problem
from netdsl.kinds import Axes, Axis, Shape
from netdsl.lazy import torch
from netdsl.op import Batched, Build, Example, Gradients, Op, Places, Type, Values, hyper, op
from netdsl.shapes import checked_axis
from netdsl.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor


@op("identity")
class Identity(Op):
    """y = x."""

    exact = True
    per_example = (0,)
    view = True

    def infer(self, x: Type) -> Type:
        return x

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return axes[0]

    def reference(self, x: Tensor) -> Tensor:
        return x.view(x.shape)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (dys[0],)


@op("flatten")
class Flatten(Op):
    """The axes after `from` as one, x [N, C, H, W] -> y [N, C·H·W]. As torch.flatten."""

    exact = True
    view = True
    from_: int = hyper(Axis(), 1)

    def infer(self, x: Type) -> Type:
        first = checked_axis(self.name, self.from_, x)
        return x.with_shape(*x.shape[:first], x.with_shape(*x.shape[first:]).numel)

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if self.from_ % operands[0].rank else None

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        axis = axes[0]
        return axis if axis is not None and axis < self.from_ % operands[0].rank else None

    def reference(self, x: Tensor) -> Tensor:
        return x.flatten(self.from_)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Reshape(xs[0].type.shape), dys[0]),)


@op("reshape")
class Reshape(Op):
    """The numbers of x in row-major order under `shape`, of as many elements. As torch.reshape."""

    exact = True
    view = True
    shape: tuple[int, ...] = hyper(Shape())

    def infer(self, x: Type) -> Type:
        y = x.with_shape(*self.shape)
        if x.numel != y.numel:
            raise Problem(
                "N206",
                f"cannot reshape {x} to {y.with_shape(*self.shape)}",
                label=f"{x.numel} elements and {y.numel}",
            )
        return y

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        same = self.shape[:1] == operands[0].shape[:1]
        return Batched(Reshape((count, *self.shape[1:]))) if same else None

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        shape, axis = operands[0].shape, axes[0] or 0
        before = Type(shape[:axis]).numel
        places = [i for i, size in enumerate(self.shape) if size == shape[axis]]
        return next((i for i in places if Type(self.shape[:i]).numel == before), None)

    def reference(self, x: Tensor) -> Tensor:
        return x.reshape(self.shape)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Reshape(xs[0].type.shape), dys[0]),)


@op("transpose")
class Transpose(Op):
    """Axis i of y is axis `axes[i]` of x. As torch.permute."""

    exact = True
    view = True
    axes: tuple[int, ...] = hyper(Axes())

    def infer(self, x: Type) -> Type:
        axes = [checked_axis(self.name, axis, x) for axis in self.axes]
        if sorted(axes) != list(range(x.rank)):
            raise Problem(
                "N201",
                f"`{self.name}` must name every axis of {x} once",
                label=f"{len(self.axes)} of {x.rank} axes",
            )
        return x.with_shape(*(x.shape[axis] for axis in axes))

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if self.axes[0] % operands[0].rank == 0 else None

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        rank = operands[0].rank
        return [axis % rank for axis in self.axes].index(axes[0] or 0)

    def reference(self, x: Tensor) -> Tensor:
        return x.permute(self.axes)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        rank = xs[0].type.rank
        axes = [axis % rank for axis in self.axes]
        return (b(Transpose(tuple(axes.index(i) for i in range(rank))), dys[0]),)


@op("expand")
class Expand(Op):
    """x repeated along its axes of size 1 and new leading ones, as memory of its own."""

    layer = False
    exact = True
    shape: tuple[int, ...] = hyper(Shape())

    def infer(self, x: Type) -> Type:
        return x.with_shape(*self.shape)

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        x = operands[0]
        same = x.rank == len(self.shape) and x.shape[:1] == self.shape[:1]
        return Batched(Expand((count, *self.shape[1:]))) if same else None

    def reference(self, x: Tensor) -> Tensor:
        return x.expand(self.shape).clone(memory_format=torch.contiguous_format)


@op("zeros")
class Zeros(Op):
    """Zeros of the dtype and on the device of x, whose numbers do not count."""

    autocast = "keep"
    layer = False
    exact = True
    shape: tuple[int, ...] = hyper(Shape())

    def infer(self, x: Type) -> Type:
        return x.with_shape(*self.shape)

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        same = self.shape[:1] == operands[0].shape[:1]
        return Batched(Zeros((count, *self.shape[1:]))) if same else None

    def reference(self, x: Tensor) -> Tensor:
        return x.new_zeros(self.shape)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (None,)


Identity.examples = (Example(Identity(), (Type((2, 3)),)),)
Flatten.examples = (
    Example(Flatten(), (Type((3, 2, 5, 4)),)),
    Example(Flatten(-2), (Type((3, 2, 5)),)),
)
Reshape.examples = (
    Example(Reshape((2, 6)), (Type((3, 4)),)),
    Example(Reshape((3, 2, 1, 2)), (Type((3, 4)),)),
)
Transpose.examples = (
    Example(Transpose((0, 2, 3, 1)), (Type((2, 3, 4, 5)),)),
    Example(Transpose((-1, 0)), (Type((3, 5)),)),
)
Expand.examples = (
    Example(Expand((2, 3, 4)), (Type((3, 1)),)),
    Example(Expand((2, 3)), (Type(()),)),
)
Zeros.examples = (Example(Zeros((2, 3)), (Type((4,)),)),)
