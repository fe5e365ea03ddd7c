"""Activations of the form x times a gate: silu, gelu, hardswish, and the gate hardsigmoid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.kinds import Choice
from netdsl.lazy import F
from netdsl.op import Build, Example, Gradients, Type, Values, hyper, op
from netdsl.ops.activation import Activation, ActivationGrad
from netdsl.ops.aten import kernel

if TYPE_CHECKING:
    from torch import Tensor

APPROXIMATION = Choice(names=("tanh",), optional=True)


@op("silu")
class Silu(Activation):
    """y = x sigmoid(x). As torch.nn.functional.silu."""

    def reference(self, x: Tensor) -> Tensor:
        return F.silu(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return kernel("silu", "out")(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(SiluGrad(), xs[0], dys[0]),)


@op("silu_grad")
class SiluGrad(ActivationGrad):
    """dx = dy s (1 + x (1 - s)), s = sigmoid(x)."""

    aten = "silu_backward"


@op("gelu")
class Gelu(Activation):
    """y = x Φ(x), Φ the normal distribution function, or its approximation by tanh.

    As torch.nn.functional.gelu (Hendrycks & Gimpel 2016).
    """

    approx: str | None = hyper(APPROXIMATION, None)

    def reference(self, x: Tensor) -> Tensor:
        return F.gelu(x, approximate=self.approx or "none")

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return kernel("gelu", "out")(*operands, approximate=self.approx or "none", out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(GeluGrad(self.approx), xs[0], dys[0]),)


@op("gelu_grad")
class GeluGrad(ActivationGrad):
    """dx = dy (Φ(x) + x φ(x)), φ the normal density."""

    approx: str | None = hyper(APPROXIMATION)
    aten = "gelu_backward"

    def reference(self, x: Tensor, dy: Tensor) -> Tensor:
        return kernel(self.aten)(dy, x, approximate=self.approx or "none")

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        x, dy = operands
        return kernel(self.aten, "grad_input")(
            dy, x, approximate=self.approx or "none", grad_input=out
        )


@op("hardswish")
class Hardswish(Activation):
    """y = x min(max(x + 3, 0), 6) / 6. As torch.nn.functional.hardswish."""

    def reference(self, x: Tensor) -> Tensor:
        return F.hardswish(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return kernel("hardswish", "out")(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(HardswishGrad(), xs[0], dys[0]),)


@op("hardswish_grad")
class HardswishGrad(ActivationGrad):
    """dx = 0 where x <= -3, dy where x >= 3, else dy (x / 3 + 1/2)."""

    writes = False
    overwrites = ()  # ATen's kernel has no form that writes into a given tensor
    aten = "hardswish_backward"


@op("hardsigmoid")
class Hardsigmoid(Activation):
    """y = min(max(x + 3, 0), 6) / 6. As torch.nn.functional.hardsigmoid."""

    def reference(self, x: Tensor) -> Tensor:
        return F.hardsigmoid(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return kernel("hardsigmoid", "out")(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(HardsigmoidGrad(), xs[0], dys[0]),)


@op("hardsigmoid_grad")
class HardsigmoidGrad(ActivationGrad):
    """dx = dy / 6 where -3 < x < 3, else 0."""

    aten = "hardsigmoid_backward"


for _activation in (Silu(), Gelu(), Gelu("tanh"), Hardswish(), Hardsigmoid()):
    type(_activation).examples += (
        Example(_activation, (Type((3, 5)),)),
        Example(_activation, (Type((2, 3, 5)),), (-9, 9)),
    )
for _gradient in (SiluGrad(), GeluGrad(None), GeluGrad("tanh"), HardswishGrad()):
    type(_gradient).examples += (Example(_gradient, (Type((3, 5)), Type((3, 5))), (-4, 4)),)
HardsigmoidGrad.examples = (Example(HardsigmoidGrad(), (Type((3, 5)), Type((3, 5))), (-4, 4)),)
