"""Functions, element by element: exp, log, sqrt, abs, minimum, maximum, clamp, where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.errors import Problem
from netdsl.kinds import Number
from netdsl.lazy import torch
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op
from netdsl.ops.arithmetic import Binary, Div, Mul, sum_to
from netdsl.shapes import broadcast, checked_float, promoted

if TYPE_CHECKING:
    from torch import Tensor


class Function(Op):
    """y = f(x), elementwise; a subclass gives f."""

    pointwise = True
    writes = True
    overwrites = (0,)

    def infer(self, x: Type) -> Type:
        checked_float(self.name, x)
        return x


@op("exp")
class Exp(Function):
    """y = e^x."""

    autocast_cuda = "float32"

    def reference(self, x: Tensor) -> Tensor:
        return torch.exp(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.exp(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Mul(), dys[0], ys[0]),)


@op("log")
class Log(Function):
    """y = ln x."""

    autocast_cuda = "float32"

    def reference(self, x: Tensor) -> Tensor:
        return torch.log(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.log(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Div(), dys[0], xs[0]),)


@op("sqrt")
class Sqrt(Function):
    """y = √x."""

    def reference(self, x: Tensor) -> Tensor:
        return torch.sqrt(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.sqrt(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Div(), b(Mul(), dys[0], b.constant(0.5)), ys[0]),)


@op("abs")
class Abs(Function):
    """y = |x|."""

    exact = True

    def reference(self, x: Tensor) -> Tensor:
        return torch.abs(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.abs(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Mul(), dys[0], b(Sign(), xs[0])),)


@op("sign")
class Sign(Function):
    """-1, 0 or 1, the derivative of |x|."""

    layer = False
    exact = True

    def reference(self, x: Tensor) -> Tensor:
        return torch.sign(x)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.sign(*operands, out=out)


@op("maximum")
class Maximum(Binary):
    """z = max(x, y), NaN where one is; equal operands share the gradient. As torch.maximum."""

    exact = True

    def reference(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.maximum(x, y)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.maximum(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, y = xs
        dx, dy = b(LargerGrad(), x, y, dys[0]), b(LargerGrad(), y, x, dys[0])
        return sum_to(b, dx, x.type), sum_to(b, dy, y.type)


@op("minimum")
class Minimum(Binary):
    """z = min(x, y), NaN where one is; equal operands share the gradient. As torch.minimum."""

    exact = True

    def reference(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.minimum(x, y)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.minimum(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, y = xs
        dx, dy = b(LargerGrad(), y, x, dys[0]), b(LargerGrad(), x, y, dys[0])
        return sum_to(b, dx, x.type), sum_to(b, dy, y.type)


@op("larger_grad")
class LargerGrad(Op):
    """dz where x > y, dz / 2 where they are equal, else 0."""

    layer = False
    tensors = ("x", "y", "dz")
    results = ("dx",)
    pointwise = True

    def infer(self, x: Type, y: Type, dz: Type) -> Type:
        return dz

    def reference(self, x: Tensor, y: Tensor, dz: Tensor) -> Tensor:
        return torch.where(x == y, dz / 2, dz).masked_fill_(x < y, 0)


@op("clamp")
class Clamp(Function):
    """y = x within [min, max]. As torch.clamp."""

    exact = True
    min: float | None = hyper(Number(optional=True), None)
    max: float | None = hyper(Number(optional=True), None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min is None and self.max is None:
            raise Problem("N106", f"`{self.name}` needs `min`, `max` or both")

    def reference(self, x: Tensor) -> Tensor:
        return torch.clamp(x, self.min, self.max)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.clamp(operands[0], self.min, self.max, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(ClampGrad(self.min, self.max), xs[0], dys[0]),)


@op("clamp_grad")
class ClampGrad(Op):
    """dy where min <= x <= max, else 0."""

    layer = False
    tensors = ("x", "dy")
    results = ("dx",)
    pointwise = True
    exact = True
    min: float | None = hyper(Number(optional=True), None)
    max: float | None = hyper(Number(optional=True), None)

    def infer(self, x: Type, dy: Type) -> Type:
        return dy

    def reference(self, x: Tensor, dy: Tensor) -> Tensor:
        low = float("-inf") if self.min is None else self.min
        high = float("inf") if self.max is None else self.max
        return dy.where((x >= low) & (x <= high), 0)


@op("where")
class Where(Op):
    """z = x where the condition is true, else y, broadcast. As torch.where."""

    tensors = ("condition", "x", "y")
    results = ("z",)
    pointwise = True
    exact = True

    def infer(self, condition: Type, x: Type, y: Type) -> Type:
        floats = x.floating and y.floating
        if condition.dtype != "bool" or not (floats or x.dtype == y.dtype):
            raise Problem(
                "N213",
                f"`{self.name}` needs a bool condition and two tensors of one type",
                label=f"{condition}, {x} and {y}",
            )
        both = Type(broadcast(self.name, x, y), promoted(x, y) if floats else x.dtype)
        return both.with_shape(*broadcast(self.name, condition, both))

    def reference(self, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return torch.where(condition, x, y)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        condition, x, y = xs
        dx = b(Where(), condition, dys[0], b.constant(0.0))
        dy = b(Where(), condition, b.constant(0.0), dys[0])
        return None, sum_to(b, dx, x.type), sum_to(b, dy, y.type)


for _function in (Exp, Abs, Sign):
    _function.examples = (Example(_function(), (Type((3, 5)),)),)
for _positive in (Log, Sqrt):
    _positive.examples = (Example(_positive(), (Type((3, 5)),), (0.5, 3)),)
for _choice in (Minimum, Maximum):
    _choice.examples = (
        Example(_choice(), (Type((3, 5)), Type((3, 5)))),
        Example(_choice(), (Type((2, 3, 5)), Type((3, 1)))),
    )
LargerGrad.examples = (Example(LargerGrad(), (Type((3, 5)), Type((5,)), Type((3, 5)))),)
Clamp.examples = (
    Example(Clamp(-0.5, 1), (Type((3, 5)),)),
    Example(Clamp(max=0.2), (Type((3, 5)),)),
)
ClampGrad.examples = (Example(ClampGrad(-0.5, 1), (Type((3, 5)), Type((3, 5)))),)
Where.examples = (
    Example(Where(), (Type((3, 5), "bool"), Type((3, 5)), Type((5,)))),
    Example(Where(), (Type((2, 1), "bool"), Type((3,)), Type(()))),
)
