"""Linear maps over the last axis, and the matrix products their gradients are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.errors import Problem
from netdsl.initial import Initial, bias_init, weight_init
from netdsl.kinds import Flag, Int
from netdsl.lazy import F, torch
from netdsl.op import (
    Batched,
    Build,
    Example,
    Gradients,
    Joined,
    Op,
    Param,
    Places,
    Type,
    Value,
    Values,
    hyper,
    op,
    rank_problem,
)
from netdsl.ops.arithmetic import Add, Mul
from netdsl.ops.shape import Reshape
from netdsl.sizes import Poly, Size

if TYPE_CHECKING:
    from torch import Tensor


@op("linear")
class Linear(Op):
    """y = x Wᵀ + b over the last axis. As torch.nn.Linear.

    `bias_init=none`: torch's initial values where the weight's are, else zeros.
    x [..., D], weight [d, D], bias [d] -> y [..., d]
    """

    autocast = "low"
    per_example = (0,)
    d: int = hyper(Int())
    bias: bool = hyper(Flag(), True)
    init: Any = hyper(Initial(), "torch")
    bias_init: Any = hyper(Initial(vector=True, optional=True), None)

    def infer(self, x: Type, *_: Type) -> Type:
        if x.rank < 2:
            raise rank_problem(self.name, x, "[N, …, D]")
        return x.with_shape(*x.shape[:-1], self.d)

    def params(self, x: Type) -> tuple[Param, ...]:
        features = x.shape[-1]
        if isinstance(features, Poly):
            raise Problem(
                "N210",
                f"the weight of `linear` would have the symbolic size [{self.d}, {features}]",
                helps=("give the input a fixed size, or pool it to one first (`global_avg_pool`)",),
            )
        fans = features, self.d
        weight = Param("weight", (self.d, features), weight_init(self.init, *fans))
        bias = Param("bias", (self.d,), bias_init(self.bias_init, self.init, *fans))
        return (weight, bias) if self.bias else (weight,)

    def counterpart(self, x: Type, *_: Type) -> tuple[str, dict[str, Any]] | None:
        features = {"in_features": x.shape[-1], "out_features": self.d}
        return "Linear", {**features, "bias": self.bias}

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return axes[0] if axes[0] != operands[0].rank - 1 else None

    def reference(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.linear(x, weight, bias)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, weight, *bias = xs
        dx = b(MatMul(), dys[0], weight)
        return (dx, *b.all(LinearWeightGrad(bool(bias)), x, dys[0]))

    def contraction(self, operands: tuple[Type, ...]) -> tuple[int, int] | None:
        return operands[0].rank - 1, 1

    def unbiased(self) -> Op:
        return self.replace(bias=False)

    def joined(self, others: Sequence[Op]) -> Joined | None:
        same = all(isinstance(op, Linear) and op.bias == self.bias for op in others)
        total = self.d + sum(op.d for op in others if isinstance(op, Linear))
        return Joined(self.replace(d=total), (0, 0)[: 1 + self.bias], -1) if same else None

    def absorb_affine(self, b: Build, xs: Values, scale: Value, shift: Value) -> Value | None:
        x, weight, *bias = xs
        if x.type.rank != 2:  # the channels of [N, T, D] are not the last axis
            return None
        weight = b(Mul(), weight, b(Reshape((self.d, 1)), scale))
        shift = b(Add(), b(Mul(), bias[0], scale), shift) if bias else shift
        return b(self.replace(bias=True), x, weight, shift)

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        return results[0].numel * operands[0].shape[-1]


@op("linear_weight_grad")
class LinearWeightGrad(Op):
    """dW = Σ dyᵀ x, db = Σ dy, over all leading axes.

    x [..., D], dy [..., d] -> dw [d, D], db [d]
    """

    layer = False
    tensors = ("x", "dy")
    results = ("dw", "db")
    per_example = (0, 1)
    summed = (0, 1)
    bias: bool = hyper(Flag(), True)

    def infer(self, x: Type, dy: Type) -> tuple[Type, ...]:
        dw, db = dy.with_shape(dy.shape[-1], x.shape[-1]), dy.with_shape(dy.shape[-1])
        return (dw, db) if self.bias else (dw,)

    def reference(self, x: Tensor, dy: Tensor) -> Any:
        return self.kernel((), ())(x, dy)

    def kernel(self, operands: tuple[Type, ...], used: tuple[bool, ...]) -> Callable[..., Any]:
        if not self.bias:
            return lambda x, dy: torch.mm(_rows(dy).t(), _rows(x))

        def linear_weight_grad(x: Tensor, dy: Tensor) -> tuple[Tensor, ...]:
            rows = _rows(dy)
            return torch.mm(rows.t(), _rows(x)), rows.sum(0)

        return linear_weight_grad

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        return operands[1].numel * operands[0].shape[-1]


@op("matmul")
class MatMul(Op):
    """z = x y. As torch.matmul.

    x [..., M, K], y [K, N] or [..., K, N] with the leading axes of x -> z [..., M, N]
    """

    autocast = "low"
    tensors = ("x", "y")
    results = ("z",)

    def infer(self, x: Type, y: Type) -> Type:
        matrices = x.rank > 1 and (y.rank == 2 or x.shape[:-2] == y.shape[:-2])
        if not matrices or x.shape[-1] != y.shape[-2]:
            sizes = f"{x.shape[-1]} columns, {y.shape[-2]} rows" if matrices else ""
            why = sizes or "[…, M, K] and [K, N], or the same axes before both"
            raise Problem("N206", f"cannot multiply {x} by {y}", label=why)
        return x.with_shape(*x.shape[:-1], y.shape[-1])

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if set(each) == ({0} if operands[1].rank == 2 else {0, 1}) else None

    def contraction(self, operands: tuple[Type, ...]) -> tuple[int, int] | None:
        return (operands[0].rank - 1, 0) if operands[1].rank == 2 else None

    def joined(self, others: Sequence[Op]) -> Joined | None:
        return Joined(self, (1,), -1) if all(op == self for op in others) else None

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        rank = operands[0].rank
        apart = axes[1] is None or (axes[0] == axes[1] and axes[1] < rank - 2)
        return axes[0] if apart and axes[0] != rank - 1 else None

    def reference(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.matmul(x, y)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, y = xs
        dx = b(MatMul(), dys[0], b(Transposed(), y))
        if y.type.rank == 2:
            return dx, b(LinearWeightGrad(False), dys[0], x)
        return dx, b(MatMul(), b(Transposed(), x), dys[0])

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        return results[0].numel * operands[0].shape[-1]


@op("transposed")
class Transposed(Op):
    """yᵀ of a matrix, the last two axes."""

    layer = False
    view = True
    exact = True

    def infer(self, x: Type) -> Type:
        return x.with_shape(*x.shape[:-2], x.shape[-1], x.shape[-2])

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self) if operands[0].rank > 2 else None

    def reference(self, x: Tensor) -> Tensor:
        return x.mT

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Transposed(), dys[0]),)


def _rows(x: Tensor) -> Tensor:
    """All leading axes as one."""
    return x if x.dim() == 2 else x.reshape(-1, x.shape[-1])


Linear.examples = (
    Example(Linear(4), (Type((3, 5)),)),
    Example(Linear(1, bias=False), (Type((2, 3, 7)),)),
)
LinearWeightGrad.examples = (Example(LinearWeightGrad(), (Type((2, 3, 5)), Type((2, 3, 4)))),)
MatMul.examples = (
    Example(MatMul(), (Type((3, 5)), Type((5, 2)))),
    Example(MatMul(), (Type((2, 3, 5)), Type((5, 1)))),
    Example(MatMul(), (Type((2, 3, 5)), Type((2, 5, 4)))),
)
Transposed.examples = (
    Example(Transposed(), (Type((3, 5)),)),
    Example(Transposed(), (Type((2, 3, 5)),)),
)
