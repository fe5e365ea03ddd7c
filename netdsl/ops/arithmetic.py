"""Arithmetic with broadcasting (language.md §10), and the sum back to an operand's shape."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from netdsl.errors import Problem
from netdsl.kinds import Shape
from netdsl.lazy import torch
from netdsl.op import Batched, Build, Example, Gradients, Op, Type, Value, Values, hyper, op
from netdsl.shapes import broadcast, checked_float, promoted
from netdsl.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor


class Binary(Op):
    """z = f(x, y), elementwise, broadcast; a subclass gives f."""

    tensors = ("x", "y")
    results = ("z",)
    pointwise = True
    writes = True
    overwrites = (0, 1)

    def infer(self, x: Type, y: Type) -> Type:
        return Type(broadcast(self.name, x, y), _joint(self.name, x, y))


class FloatBinary(Binary):
    """z = f(x, y) of floating type; one operand at least must be."""

    def infer(self, x: Type, y: Type) -> Type:
        z = super().infer(x, y)
        checked_float(self.name, z)
        return z


@op("add")
class Add(Binary):
    """z = x + y."""

    def reference(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.add(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return tuple(sum_to(b, dys[0], x.type) for x in xs)


@op("sub")
class Sub(Binary):
    """z = x - y."""

    neutral = ((1, 0.0),)

    def reference(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.sub(*_counted(x, y))

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.sub(*_counted(*operands), out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, y = xs
        dy = sum_to(b, dys[0], y.type)
        return sum_to(b, dys[0], x.type), dy and b(Neg(), dy)


@op("mul")
class Mul(Binary):
    """z = x y."""

    neutral = ((0, 1.0), (1, 1.0))

    def reference(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.mul(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, y = xs
        return sum_to(b, b(Mul(), dys[0], y), x.type), sum_to(b, b(Mul(), dys[0], x), y.type)


@op("div")
class Div(FloatBinary):
    """z = x / y."""

    neutral = ((1, 1.0),)

    def reference(self, x: Tensor, y: Tensor) -> Tensor:
        return x / y

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.div(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, y = xs
        dx = b(Div(), dys[0], y)
        dy = sum_to(b, b(Mul(), dx, ys[0]), y.type)
        return sum_to(b, dx, x.type), dy and b(Neg(), dy)


@op("pow")
class Pow(FloatBinary):
    """z = x^y. As torch.pow."""

    autocast_cuda = "float32"
    neutral = ((1, 1.0),)

    def reference(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.pow(x, y)

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.pow(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        dx, dy = b.all(PowGrad(), *xs, ys[0], dys[0])
        return sum_to(b, dx, xs[0].type), sum_to(b, dy, xs[1].type)


@op("pow_grad")
class PowGrad(Op):
    """dx = dz y x^(y-1), 0 where y = 0; dy = dz z log x, 0 where x = 0 <= y. Both like dz."""

    layer = False
    tensors = ("x", "y", "z", "dz")
    results = ("dx", "dy")

    def infer(self, x: Type, y: Type, z: Type, dz: Type) -> tuple[Type, Type]:
        return dz, dz

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if len(each) == 4 else None

    def reference(self, x: Tensor, y: Tensor, z: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
        dx = torch.where(y == 0, 0.0, dz * (y * torch.pow(x, y - 1)))
        return dx, torch.where((x == 0) & (y >= 0), 0.0, dz * (z * torch.log(x)))


@op("neg")
class Neg(Op):
    """y = -x."""

    pointwise = True
    exact = True
    writes = True
    overwrites = (0,)

    def infer(self, x: Type) -> Type:
        if x.dtype == "bool":
            raise Problem("N213", f"`{self.name}` needs numbers, but its input is {x}")
        return x

    def reference(self, x: Tensor) -> Tensor:
        return -x

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.neg(*operands, out=out)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Neg(), dys[0]),)


@op("sum_to")
class SumTo(Op):
    """The sum over the axes along which `shape` was broadcast to x: broadcasting's gradient."""

    layer = False
    shape: tuple[int, ...] = hyper(Shape())

    def infer(self, x: Type) -> Type:
        return x.with_shape(*self.shape)

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        x = operands[0]
        if x.rank == len(self.shape) and x.shape[:1] == self.shape[:1]:
            return Batched(SumTo((count, *self.shape[1:])))
        return Batched(self, (0,))

    def reference(self, x: Tensor) -> Tensor:
        return x.sum_to_size(self.shape) if x.shape != self.shape else x.clone()


def sum_to(b: Build, value: Value, wanted: Type) -> Value | None:
    """The gradient of an operand of the wanted type: `value` summed to its shape; None for ints."""
    if not wanted.floating:
        return None
    return value if value.type.shape == wanted.shape else b(SumTo(wanted.shape), value)


def _joint(name: str, x: Type, y: Type) -> str:
    if x.dtype == y.dtype == "bool":
        raise Problem("N213", f"`{name}` needs numbers, but both operands are bool: {x} and {y}")
    floats = [t.dtype for t in (x, y) if t.floating]
    if len(floats) == 2:
        return promoted(x, y)
    return floats[0] if floats else "int"


def _counted(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A bool operand as 0 and 1, which torch does not subtract."""
    if x.dtype is torch.bool:
        return x.to(y.dtype), y
    return x, y.to(x.dtype) if y.dtype is torch.bool else y


_BROADCASTS = (
    (Type((2, 3, 5)), Type((2, 3, 5))),
    (Type((2, 3, 5)), Type((3, 1))),
    (Type(()), Type((3, 2))),
    (Type((3, 2)), Type((2,), "int")),
    (Type((3, 1), "bool"), Type((3, 2))),
)
for _binary in (Add, Sub, Mul):
    _binary.examples = tuple(Example(_binary(), operands) for operands in _BROADCASTS)
for _positive in (Div, Pow):
    _positive.examples = tuple(Example(_positive(), xs, (0.5, 2)) for xs in _BROADCASTS[:3])
PowGrad.examples = (Example(PowGrad(), (Type((3, 5)),) * 4, (0.5, 2)),)
Neg.examples = (Example(Neg(), (Type((3, 5)),)),)
SumTo.examples = (Example(SumTo((3, 1)), (Type((2, 3, 5)),)),)
