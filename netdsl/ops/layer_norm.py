"""Layer normalisation: the numbers of one example, or step of a sequence, to mean 0, variance 1.

y = (x - mean) / sqrt(var + eps) · weight + bias (Ba et al. 2016), mean and variance over `axes`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from netdsl.errors import Problem
from netdsl.initial import ONES, ZEROS
from netdsl.kinds import Axes, Flag, Number
from netdsl.op import (
    Batched,
    Build,
    Example,
    Gradients,
    Op,
    Param,
    Places,
    Type,
    Types,
    Values,
    hyper,
    op,
    rank_problem,
)
from netdsl.ops.aten import kernels
from netdsl.shapes import checked_axes, checked_float
from netdsl.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor

EPS = Number(low=0, rule="is a number from 0")


@op("ln")
class LN(Op):
    """Normalises D of [N, D] and [N, T, D], and C, H, W of an image; `axes` says others.

    As torch.nn.LayerNorm, weight and bias in the shape of the axes; x [N, …] -> y like x
    """

    autocast = "keep"
    autocast_cuda = "float32"
    eps: float = hyper(EPS, 1e-5)
    affine: bool = hyper(Flag(), True)
    bias: bool = hyper(Flag(), True)
    axes: tuple[int, ...] | None = hyper(Axes(optional=True), None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.affine:
            object.__setattr__(self, "bias", False)

    def infer(self, x: Type, *_: Type) -> Types:
        if x.rank < 2:
            raise rank_problem(self.name, x, "[N, …]")
        checked_float(self.name, x)
        checked_axes(self.name, self.axes or (), x)
        return x

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return (
            Batched(self)
            if set(each) == {0} and 0 not in _axes(self.axes, operands[0].rank)
            else None
        )

    def params(self, x: Type) -> tuple[Param, ...]:
        if not self.affine:
            return ()
        sizes = [x.shape[axis] for axis in _axes(self.axes, x.rank)]
        shape = tuple(n for n in sizes if isinstance(n, int))
        if len(shape) < len(sizes):
            listed = ", ".join(map(str, sizes))
            raise Problem(
                "N210",
                f"the weight of `{self.name}` would have the symbolic size [{listed}]",
                helps=("give these axes numbers in the signature, or say other `axes`",),
            )
        weight, bias = Param("weight", shape, ONES), Param("bias", shape, ZEROS)
        return (weight, bias) if self.bias else (weight,)

    def counterpart(self, x: Type, *_: Type) -> tuple[str, dict[str, Any]] | None:
        axes = _axes(self.axes, x.rank)
        if axes != tuple(range(x.rank - len(axes), x.rank)) or not self.affine:
            return None
        shape = [x.shape[axis] for axis in axes]
        return "LayerNorm", {"normalized_shape": shape, "eps": self.eps, "bias": self.bias}

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return axes[0] if axes[0] not in _axes(self.axes, operands[0].rank) else None

    def reference(self, x: Tensor, *owned: Tensor) -> Any:
        return self.normalised(x, *owned)[0]

    def normalised(self, x: Tensor, *owned: Tensor) -> tuple[Tensor, ...]:
        """y, mean and 1 / sqrt(var + eps)."""
        weight, bias = (*owned, None, None)[:2]
        axes = _axes(self.axes, x.dim())
        order = _behind(axes, x.dim())
        sizes = [x.shape[axis] for axis in axes]
        y, mean, rstd = kernels("native_layer_norm")(
            x.permute(order), sizes, weight, bias, self.eps
        )
        return y.permute(_inverse(order)), mean, rstd

    def differentiable_form(self) -> Op:
        return LayerNorm(*self.hypers().values())


@op("layer_norm")
class LayerNorm(LN):
    """ln, and what its gradient needs, with the axes behind the others and of size 1.

    x -> y like x, mean [N, …, 1], rstd [N, …, 1] = 1 / sqrt(var + eps)
    """

    layer = False
    results = ("y", "mean", "rstd")

    def infer(self, x: Type, *owned: Type) -> tuple[Type, ...]:
        axes = _axes(self.axes, x.rank)
        kept = [n for axis, n in enumerate(x.shape) if axis not in axes]
        # x may be of lower precision than what the layer owns
        statistics = (*owned, x)[0].with_shape(*kept, *(1 for _ in axes))
        return x, statistics, statistics

    def reference(self, x: Tensor, *owned: Tensor) -> tuple[Tensor, ...]:
        return self.normalised(x, *owned)

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return None  # mean and rstd have their axes in another order

    def differentiable_form(self) -> Op:
        return self

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        axes = _axes(self.axes, xs[0].type.rank)
        grad = LayerNormGrad(axes, self.affine, self.bias)
        return b.all(grad, dys[0], xs[0], *ys[1:], *xs[1:2])


@op("layer_norm_grad")
class LayerNormGrad(Op):
    """With x̂ = (x - mean) rstd, g = dy weight and E over the axes: dw = Σ dy x̂ and db = Σ dy over
    the examples, dx = rstd (g - E[g] - x̂ E[g x̂]).

    dy, x, mean, rstd [N, …, 1], weight -> dx like x, dw, db like weight
    """

    layer = False
    tensors = ("dy", "x", "mean", "rstd", "weight")
    results = ("dx", "dw", "db")
    optional = 1
    axes: tuple[int, ...] = hyper(Axes())
    affine: bool = hyper(Flag(), True)
    bias: bool = hyper(Flag(), True)

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return (
            Batched(self, (1, 2)[: self.affine + self.bias])
            if set(each) == {0, 1, 2, 3} and 0 not in self.axes
            else None
        )

    def infer(self, dy: Type, x: Type, mean: Type, rstd: Type, *weight: Type) -> tuple[Type, ...]:
        return (x, *weight, *weight)[: 1 + self.affine + self.bias]

    def reference(self, dy: Tensor, x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        mean, rstd, *owned = others
        weight = owned[0] if owned else None
        # ATen reads the statistics as dense whatever they are
        mean, rstd = mean.contiguous(), rstd.contiguous()
        order = _behind(self.axes, x.dim())
        sizes = [x.shape[axis] for axis in self.axes]
        dy, x = dy.permute(order), x.permute(order)
        wanted = [True, self.affine, self.bias]
        dx, *rest = kernels("native_layer_norm_backward")(
            dy, x, sizes, mean, rstd, weight, weight, wanted
        )
        return (dx.permute(_inverse(order)), *rest)[: sum(wanted)]


def _axes(axes: tuple[int, ...] | None, rank: int) -> tuple[int, ...]:
    """The axes to normalise, counted from the front: those of one example but time."""
    if axes is None:
        return (2,) if rank == 3 else tuple(range(1, rank))
    return tuple(axis % rank for axis in axes)


def _behind(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The order of all axes with these last."""
    return (*(axis for axis in range(rank) if axis not in axes), *axes)


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(axis) for axis in range(len(order)))


_ROWS, _STEPS, _IMAGE = Type((3, 5)), Type((2, 3, 33)), Type((3, 4, 2, 5))
for _form in (LN, LayerNorm):
    _form.examples = (
        Example(_form(), (_ROWS,)),
        Example(_form(eps=1e-3, bias=False), (_STEPS,)),
        Example(_form(affine=False), (_IMAGE,)),
        Example(_form(axes=1), (_IMAGE,)),
        Example(_form(axes=(-1, 1)), (_IMAGE,)),
    )
LayerNormGrad.examples = (
    Example(LayerNormGrad((1,)), (_ROWS, _ROWS, Type((3, 1)), Type((3, 1)), Type((5,))), (0.5, 2)),
    Example(
        LayerNormGrad((1,), bias=False),
        (_IMAGE, _IMAGE, Type((3, 2, 5, 1)), Type((3, 2, 5, 1)), Type((4,))),
        (0.5, 2),
    ),
)
