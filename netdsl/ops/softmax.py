"""Probabilities along an axis (1 of images, the last of [N, D]), and their logarithm."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from netdsl.kinds import Axis
from netdsl.lazy import torch
from netdsl.op import Batched, Build, Example, Gradients, Op, Places, Type, Values, hyper, op
from netdsl.ops.aten import kernel
from netdsl.shapes import checked_float, implied_axis
from netdsl.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor


class AlongAxis(Op):
    """A map of the elements along `axis` to as many; a subclass gives it."""

    axis: int | None

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if self.axis is None or self.axis % operands[0].rank else None

    def infer(self, x: Type) -> Type:
        checked_float(self.name, x)
        implied_axis(self.name, self.axis, x)
        return x

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return axes[0] if axes[0] != implied_axis(self.name, self.axis, operands[0]) else None


class AlongAxisGrad(Op):
    """dx from the result y and dy."""

    layer = False
    tensors = ("y", "dy")
    results = ("dx",)
    axis: int

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if self.axis % operands[0].rank and len(each) == 2 else None

    def infer(self, y: Type, dy: Type) -> Type:
        return dy


@op("softmax")
class Softmax(AlongAxis):
    """y = e^x / Σ e^x. As torch.softmax."""

    autocast_cuda = "float32"
    axis: int | None = hyper(Axis(optional=True), None)

    def reference(self, x: Tensor) -> Tensor:
        return torch.softmax(x, 1 if self.axis is None else self.axis)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        axis = implied_axis(self.name, self.axis, xs[0].type)
        return (b(SoftmaxGrad(axis), ys[0], dys[0]),)


@op("softmax_grad")
class SoftmaxGrad(AlongAxisGrad):
    """dx = y (dy - Σ dy y)."""

    axis: int = hyper(Axis())

    def reference(self, y: Tensor, dy: Tensor) -> Tensor:
        return kernel("_softmax_backward_data")(dy, y, self.axis, dy.dtype)


@op("log_softmax")
class LogSoftmax(AlongAxis):
    """y = x - log Σ e^x. As torch.log_softmax."""

    autocast_cuda = "float32"
    axis: int | None = hyper(Axis(optional=True), None)

    def reference(self, x: Tensor) -> Tensor:
        return torch.log_softmax(x, 1 if self.axis is None else self.axis)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        axis = implied_axis(self.name, self.axis, xs[0].type)
        return (b(LogSoftmaxGrad(axis), ys[0], dys[0]),)


@op("log_softmax_grad")
class LogSoftmaxGrad(AlongAxisGrad):
    """dx = dy - e^y Σ dy."""

    axis: int = hyper(Axis())

    def reference(self, y: Tensor, dy: Tensor) -> Tensor:
        return kernel("_log_softmax_backward_data")(dy, y, self.axis, dy.dtype)


for _softmax in (Softmax, LogSoftmax):
    _softmax.examples = (
        Example(_softmax(), (Type((3, 5)),)),
        Example(_softmax(), (Type((2, 3, 4, 5)),)),
        Example(_softmax(axis=-1), (Type((2, 3, 5)),)),
    )
for _gradient in (SoftmaxGrad, LogSoftmaxGrad):
    _gradient.examples = (Example(_gradient(1), (Type((2, 3, 5)), Type((2, 3, 5)))),)
