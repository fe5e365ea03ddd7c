"""Relatives of relu: relu6, hardtanh, leaky_relu, elu, softplus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netdsl.errors import Problem
from netdsl.kinds import Number
from netdsl.lazy import F
from netdsl.op import Build, Example, Gradients, Type, Values, hyper, op
from netdsl.ops.activation import Activation, ActivationGrad
from netdsl.ops.aten import kernel

if TYPE_CHECKING:
    from torch import Tensor

POSITIVE = Number(low=0, rule="is a number from 0")


@op("relu6")
class Relu6(Activation):
    """y = min(max(x, 0), 6). As torch.nn.functional.relu6."""

    exact = True

    def reference(self, x: Tensor) -> Tensor:
        return F.relu6(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return kernel("hardtanh", "out")(*operands, 0, 6, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Relu6Grad(), ys[0], dys[0]),)


@op("relu6_grad")
class Relu6Grad(ActivationGrad):
    """dx = dy where 0 < y < 6, else 0."""

    exact = True
    tensors = ("y", "dy")
    aten = "hardtanh_backward"

    def numbers(self) -> tuple[Any, ...]:
        return 0, 6


@op("hardtanh")
class Hardtanh(Activation):
    """y = min(max(x, min), max). As torch.nn.functional.hardtanh."""

    exact = True
    min: float = hyper(Number(), -1)
    max: float = hyper(Number(), 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min >= self.max:
            raise Problem(
                "N106",
                f"`min` of `{self.name}` is less than `max`, not {self.min:g} beside {self.max:g}",
            )

    def reference(self, x: Tensor) -> Tensor:
        return F.hardtanh(x, self.min, self.max)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return kernel("hardtanh", "out")(*operands, self.min, self.max, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(HardtanhGrad(self.min, self.max), xs[0], dys[0]),)


@op("hardtanh_grad")
class HardtanhGrad(ActivationGrad):
    """dx = dy where min < x < max, else 0."""

    exact = True
    min: float = hyper(Number())
    max: float = hyper(Number())
    aten = "hardtanh_backward"

    def numbers(self) -> tuple[Any, ...]:
        return self.min, self.max


@op("leaky_relu")
class LeakyRelu(Activation):
    """y = x where x > 0, else slope x. As torch.nn.functional.leaky_relu."""

    slope: float = hyper(Number(), 0.01)

    def reference(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return kernel("leaky_relu", "out")(*operands, self.slope, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(LeakyReluGrad(self.slope), xs[0], dys[0]),)


@op("leaky_relu_grad")
class LeakyReluGrad(ActivationGrad):
    """dx = dy where x > 0, else slope dy."""

    slope: float = hyper(Number())
    aten = "leaky_relu_backward"

    def numbers(self) -> tuple[Any, ...]:
        return self.slope, False


@op("elu")
class Elu(Activation):
    """y = x where x > 0, else alpha (e^x - 1), alpha >= 0. As torch.nn.functional.elu."""

    alpha: float = hyper(POSITIVE, 1)

    def reference(self, x: Tensor) -> Tensor:
        return F.elu(x, self.alpha)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return kernel("elu", "out")(*operands, self.alpha, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(EluGrad(self.alpha), xs[0], dys[0]),)


@op("elu_grad")
class EluGrad(ActivationGrad):
    """dx = dy where x > 0, else dy alpha e^x."""

    alpha: float = hyper(POSITIVE)
    aten = "elu_backward"

    def reference(self, x: Tensor, dy: Tensor) -> Tensor:
        return kernel(self.aten)(dy, self.alpha, 1, 1, False, x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        x, dy = operands
        return kernel(self.aten, "grad_input")(dy, self.alpha, 1, 1, False, x, grad_input=out)


@op("softplus")
class Softplus(Activation):
    """y = log(1 + e^x), x itself where x > 20. As torch.nn.functional.softplus."""

    autocast_cuda = "float32"

    def reference(self, x: Tensor) -> Tensor:
        return F.softplus(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return kernel("softplus", "out")(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(SoftplusGrad(), xs[0], dys[0]),)


@op("softplus_grad")
class SoftplusGrad(ActivationGrad):
    """dx = dy / (1 + e^-x)."""

    aten = "softplus_backward"

    def numbers(self) -> tuple[Any, ...]:
        return 1, 20


for _activation in (
    *(Relu6(), Hardtanh(), Hardtanh(-0.5, 7), LeakyRelu(), LeakyRelu(-0.5)),
    *(Elu(), Elu(0.3), Softplus()),
):
    type(_activation).examples += (
        Example(_activation, (Type((3, 5)),)),
        Example(_activation, (Type((2, 3, 5)),), (-30, 30)),
    )
for _gradient in (
    *(Relu6Grad(), HardtanhGrad(-1, 3), LeakyReluGrad(0.2), EluGrad(1), SoftplusGrad()),
):
    type(_gradient).examples = (Example(_gradient, (Type((3, 5)), Type((3, 5))), (-0.9, 9)),)
