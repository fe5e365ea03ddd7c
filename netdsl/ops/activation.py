"""Activations and their gradients, elementwise over any shape: relu, tanh, sigmoid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.lazy import F, torch
from netdsl.op import Build, Example, Gradients, Op, Type, Values, op
from netdsl.ops.aten import kernel
from netdsl.shapes import checked_float

if TYPE_CHECKING:
    from torch import Tensor


class Activation(Op):
    """y = f(x), elementwise; a subclass gives f, and its gradient from the operand or result."""

    pointwise = True
    writes = True
    overwrites = (0,)

    def infer(self, x: Type) -> Type:
        checked_float(self.name, x)
        return x


class ActivationGrad(Op):
    """dx from dy and the operand x or the result y, elementwise; may take the memory of dy.

    A subclass names ATen's kernel and the numbers that it takes.
    """

    layer = False
    tensors = ("x", "dy")
    results = ("dx",)
    pointwise = True
    writes = True
    overwrites: ClassVar[tuple[int, ...]] = (1,)
    aten: ClassVar[str]

    def numbers(self) -> tuple[Any, ...]:
        return ()

    def infer(self, x: Type, dy: Type) -> Type:
        return dy

    def reference(self, x: Tensor, dy: Tensor) -> Tensor:
        return kernel(self.aten)(dy, x, *self.numbers())

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        x, dy = operands
        return kernel(self.aten, "grad_input")(dy, x, *self.numbers(), grad_input=out)


@op("relu")
class Relu(Activation):
    """y = max(x, 0), NaN stays NaN. As torch.nn.functional.relu."""

    exact = True

    def reference(self, x: Tensor) -> Tensor:
        return F.relu(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.clamp_min(operands[0], 0, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(ReluGrad(), ys[0], dys[0]),)


@op("relu_grad")
class ReluGrad(ActivationGrad):
    """dx = dy where y > 0, else 0."""

    exact = True
    tensors = ("y", "dy")
    aten = "threshold_backward"

    def numbers(self) -> tuple[Any, ...]:
        return (0,)


@op("tanh")
class Tanh(Activation):
    """y = tanh(x)."""

    def reference(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.tanh(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(TanhGrad(), ys[0], dys[0]),)


@op("tanh_grad")
class TanhGrad(ActivationGrad):
    """dx = dy (1 - y²)."""

    tensors = ("y", "dy")
    aten = "tanh_backward"


@op("sigmoid")
class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x))."""

    def reference(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.sigmoid(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(SigmoidGrad(), ys[0], dys[0]),)


@op("sigmoid_grad")
class SigmoidGrad(ActivationGrad):
    """dx = dy y (1 - y)."""

    tensors = ("y", "dy")
    aten = "sigmoid_backward"


for _activation in (Relu, Tanh, Sigmoid):
    _activation.examples = (
        Example(_activation(), (Type((3, 5)),)),
        Example(_activation(), (Type((2, 3, 7, 5)),)),
    )
for _gradient in (ReluGrad, TanhGrad, SigmoidGrad):
    _gradient.examples = (Example(_gradient(), (Type((2, 3, 5)), Type((2, 3, 5)))),)
