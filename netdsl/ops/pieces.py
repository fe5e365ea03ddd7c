"""Tensors cut and joined along an axis: slice, split, concat, stack."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from netdsl.errors import Problem
from netdsl.kinds import Axis, Extent, Int, Shape
from netdsl.lazy import torch
from netdsl.op import Batched, Build, Example, Gradients, Op, Places, Type, Values, hyper, op
from netdsl.ops.aten import kernel
from netdsl.ops.shape import Reshape
from netdsl.shapes import checked_axis, implied_axis
from netdsl.sizes import Poly, Size, ceildiv

if TYPE_CHECKING:
    from torch import Tensor


@op("slice")
class Slice(Op):
    """The places from, from + step, … before `to` of an axis. As x[from:to:step]."""

    exact = True
    view = True
    axis: int = hyper(Axis())
    from_: int = hyper(Extent())
    to: int = hyper(Extent())
    step: int = hyper(Int(), 1)

    def infer(self, x: Type) -> Type:
        axis = checked_axis(self.name, self.axis, x)
        length, after = self.to - self.from_, x.shape[axis] - self.to
        if any(isinstance(n, int) and n < 0 for n in (length, after)):
            raise Problem(
                "N206",
                f"`{self.name}` from {self.from_} to {self.to} of axis {axis} of {x}",
                label=f"0 <= from <= to <= {x.shape[axis]}",
            )
        return x.with_shape(*x.shape[:axis], ceildiv(length, self.step), *x.shape[axis + 1 :])

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if self.axis % operands[0].rank else None

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return axes[0] if axes[0] != self.axis % operands[0].rank else None

    def reference(self, x: Tensor) -> Tensor:
        axis = self.axis % x.dim()
        return x[(slice(None),) * axis + (slice(self.from_, self.to, self.step),)]

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        axis = self.axis % xs[0].type.rank
        grad = SliceGrad(xs[0].type.shape[axis], axis, self.from_, self.to, self.step)
        return (b(grad, dys[0]),)


@op("slice_grad")
class SliceGrad(Op):
    """dx [..., size, ...]: dy at the places of the slice, zeros elsewhere."""

    layer = False
    exact = True
    tensors = ("dy",)
    results = ("dx",)
    size: int = hyper(Extent())
    axis: int = hyper(Axis())
    from_: int = hyper(Extent())
    to: int = hyper(Extent())
    step: int = hyper(Int(), 1)

    def infer(self, dy: Type) -> Type:
        return dy.with_shape(*dy.shape[: self.axis], self.size, *dy.shape[self.axis + 1 :])

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if self.axis else None

    def reference(self, dy: Tensor) -> Tensor:
        size = (*dy.shape[: self.axis], self.size, *dy.shape[self.axis + 1 :])
        return kernel("slice_backward")(dy, size, self.axis, self.from_, self.to, self.step)


@op("split")
class Split(Op):
    """Pieces of `sizes` along an axis, which they fill. As torch.split."""

    exact = True
    view = True
    sizes: tuple[int, ...] = hyper(Shape())
    axis: int | None = hyper(Axis(optional=True), None)

    def infer(self, x: Type) -> tuple[Type, ...]:
        axis = implied_axis(self.name, self.axis, x)
        total: Size = 0
        for size in self.sizes:
            total = total + size
        if total != x.shape[axis]:
            raise Problem(
                "N206",
                f"`{self.name}` into {self.sizes} along axis {axis} of {x}",
                label=f"the pieces have {total} places, the axis {x.shape[axis]}",
            )
        return tuple(x.with_shape(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in self.sizes)

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        axis = implied_axis(self.name, self.axis, operands[0])
        return Batched(self) if axis else None

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        along = implied_axis(self.name, self.axis, operands[0])
        return axes[0] if axes[0] != along else None

    def reference(self, x: Tensor) -> tuple[Tensor, ...]:
        return torch.split(x, list(self.sizes), _axis(self.axis, x))

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Concat(implied_axis(self.name, self.axis, xs[0].type)), *dys),)


@op("concat")
class Concat(Op):
    """The operands one after the other along an axis: 1 for images, the last for [N, D].

    As torch.cat.
    """

    exact = True
    variadic = True
    axis: int | None = hyper(Axis(optional=True), None)

    def infer(self, *xs: Type) -> Type:
        axis = implied_axis(self.name, self.axis, xs[0])
        for position, x in enumerate(xs[1:], start=2):
            _check_joined(self.name, axis, position, xs[0], x)
        total: Size = 0
        for x in xs:
            total = total + x.shape[axis]
        first = xs[0]
        return first.with_shape(*first.shape[:axis], total, *first.shape[axis + 1 :])

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        axis = implied_axis(self.name, self.axis, operands[0])
        return Batched(self) if axis and len(each) == len(operands) else None

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        along = implied_axis(self.name, self.axis, operands[0])
        return axes[0] if len({*axes}) == 1 and axes[0] != along else None

    def reference(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, _axis(self.axis, xs[0]))

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        axis = implied_axis(self.name, self.axis, xs[0].type)
        start: Size = 0
        dxs = []
        for x in xs:
            end = start + x.type.shape[axis]
            dxs.append(b(Slice(axis, start, end), dys[0]))
            start = end
        return tuple(dxs)


@op("stack")
class Stack(Op):
    """Operands of one shape along a new axis. As torch.stack."""

    exact = True
    variadic = True
    axis: int = hyper(Axis())

    def infer(self, *xs: Type) -> Type:
        first = xs[0]
        axis = checked_axis(self.name, self.axis, first.with_shape(1, *first.shape))
        for position, x in enumerate(xs[1:], start=2):
            _check_joined(self.name, None, position, first, x)
        return first.with_shape(*first.shape[:axis], len(xs), *first.shape[axis:])

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        inner = self.axis % (operands[0].rank + 1)
        return Batched(self) if inner and len(each) == len(operands) else None

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        axis = axes[0]
        if axis is None or len({*axes}) > 1:
            return None
        return axis + (self.axis % (operands[0].rank + 1) <= axis)

    def reference(self, *xs: Tensor) -> Tensor:
        return torch.stack(xs, self.axis)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        axis = self.axis % ys[0].type.rank
        pieces = (b(Slice(axis, i, i + 1), dys[0]) for i in range(len(xs)))
        return tuple(b(Reshape(xs[0].type.shape), piece) for piece in pieces)


def _axis(axis: int | None, x: Tensor) -> int:
    return 1 if axis is None else axis


def _check_joined(name: str, axis: int | None, position: int, first: Type, x: Type) -> None:
    """N212 where x, the operand at `position`, does not fit the first along every other axis."""
    along = "" if axis is None else f" along axis {axis}"
    if x.rank != first.rank or x.dtype != first.dtype:
        raise Problem(
            "N212",
            f"`{name}`{along}: operand {position} is {x}, the first is {first}",
        )
    for i, (m, n) in enumerate(zip(first.shape, x.shape, strict=True)):
        if i != axis and m != n:
            symbolic = isinstance(m - n, Poly)
            raise Problem(
                "N212",
                f"`{name}`{along}: operand {position} disagrees on axis {i}",
                label=f"{m} and {n}",
                helps=(f"{m} = {n} does not hold for every size",) if symbolic else (),
            )


_BATCH = Type((3, 4, 5))
Slice.examples = (
    Example(Slice(1, 1, 3), (_BATCH,)),
    Example(Slice(-1, 0, 4, step=3), (_BATCH,)),
    Example(Slice(0, 2, 2), (_BATCH,)),
)
SliceGrad.examples = (
    Example(SliceGrad(4, 1, 1, 3), (Type((3, 2, 5)),)),
    Example(SliceGrad(5, 2, 0, 4, step=3), (Type((3, 4, 2)),)),
)
Split.examples = (
    Example(Split((1, 3), axis=1), (_BATCH,)),
    Example(Split((2, 1)), (Type((4, 3)),)),
)
Concat.examples = (
    Example(Concat(), (Type((2, 3, 4, 5)), Type((2, 1, 4, 5)))),
    Example(Concat(), (Type((2, 3)), Type((2, 4)), Type((2, 1)))),
    Example(Concat(-1), (Type((2, 3, 1)), Type((2, 3, 4)))),
)
Stack.examples = (
    Example(Stack(1), (Type((2, 3)), Type((2, 3)))),
    Example(Stack(-1), (Type((2, 3)),) * 3),
)
