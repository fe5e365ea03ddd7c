"""Group and instance normalisation: groups of the channels of one example to mean 0, variance 1.

y = (x - mean) / sqrt(var + eps) · weight + bias, mean and variance over the pixels and the channels
of a group (Wu & He 2018); with a group for every channel it is instance normalisation.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from netdsl.errors import Problem
from netdsl.initial import ONES, ZEROS
from netdsl.kinds import Flag, Int, Number
from netdsl.op import (
    Batched,
    Build,
    Example,
    Gradients,
    Op,
    Param,
    Type,
    Types,
    Values,
    hyper,
    op,
    rank_problem,
)
from netdsl.ops.aten import kernels, memory_format
from netdsl.shapes import checked_float
from netdsl.sizes import Poly, Size

if TYPE_CHECKING:
    from torch import Tensor

EPS = Number(low=0, rule="is a number from 0")


class ByGroup(Op):
    """What the forms share; `groups` of None is a group for every channel."""

    per_example = (0,)
    groups: int | None
    eps: float
    affine: bool

    def infer(self, x: Type, *_: Type) -> Types:
        if x.rank < 2:
            raise rank_problem(self.name, x, "channels, [N, C, …]")
        checked_float(self.name, x)
        if self.groups is not None and x.shape[1] % self.groups != 0:
            raise Problem(
                "N211",
                f"`{self.name}` of {self.groups} groups needs channels divisible by {self.groups}",
                label=f"{x} has {x.shape[1]}",
            )
        return x

    def params(self, x: Type) -> tuple[Param, ...]:
        c = x.shape[1]
        if not self.affine:
            return ()
        if isinstance(c, Poly):
            raise Problem(
                "N210",
                f"the weight of `{self.name}` would have the symbolic size [{c}]",
                helps=("give the channels a number in the signature, or write `affine=false`",),
            )
        return Param("weight", (c,), ONES), Param("bias", (c,), ZEROS)

    def reference(self, x: Tensor, *owned: Tensor) -> Any:
        return self.normalised(x, *owned)[0]

    def normalised(self, x: Tensor, *owned: Tensor) -> tuple[Tensor, ...]:
        """y, mean and 1 / sqrt(var + eps)."""
        weight, bias = (*(p.contiguous() for p in owned), None, None)[:2]
        sizes = _sizes(x, self.groups)
        return kernels("native_group_norm")(_dense(x), weight, bias, *sizes, self.eps)

    def differentiable_form(self) -> Op:
        return GroupNorm(self.groups, self.eps, self.affine)


@op("gn")
class GN(ByGroup):
    """Normalises `groups` equal groups of channels of each example. As torch.nn.GroupNorm.

    x [N, C, …], weight, bias [C] -> y like x
    """

    autocast = "keep"
    autocast_cuda = "float32"
    groups: int | None = hyper(Int())
    eps: float = hyper(EPS, 1e-5)
    affine: bool = hyper(Flag(), True)

    def counterpart(self, x: Type, *_: Type) -> tuple[str, dict[str, Any]] | None:
        if not self.affine:
            return None
        groups = {"num_groups": self.groups, "num_channels": x.shape[1]}
        return "GroupNorm", {**groups, "eps": self.eps}


@op("instance_norm")
class InstanceNorm(ByGroup):
    """Normalises each channel of each example (Ulyanov et al. 2016). As torch.nn.InstanceNorm.

    x [N, C, …], weight, bias [C] -> y like x
    """

    autocast = "keep"
    groups = None
    eps: float = hyper(EPS, 1e-5)
    affine: bool = hyper(Flag(), False)

    def infer(self, x: Type, *_: Type) -> Types:
        if x.rank < 3:
            raise rank_problem(self.name, x, "pixels or steps, [N, C, …]")
        if x.with_shape(*x.shape[2:]).numel == 1:
            raise Problem(
                "N207",
                f"`{self.name}` of one pixel is zero whatever it was, but its input is {x}",
            )
        return super().infer(x)


@op("group_norm")
class GroupNorm(ByGroup):
    """gn or instance_norm, and what its gradient needs.

    x [N, C, …], weight, bias [C] -> y like x, mean, rstd [N, groups], rstd = 1 / sqrt(var + eps)
    """

    layer = False
    results = ("y", "mean", "rstd")
    groups: int | None = hyper(Int(optional=True))
    eps: float = hyper(EPS)
    affine: bool = hyper(Flag())

    def infer(self, x: Type, *owned: Type) -> tuple[Type, ...]:
        groups = x.shape[1] if self.groups is None else self.groups
        statistics = (*owned, x)[0].with_shape(x.shape[0], groups)  # x may be of lower precision
        return x, statistics, statistics

    def reference(self, x: Tensor, *owned: Tensor) -> tuple[Tensor, ...]:
        y, mean, rstd = self.normalised(x, *owned)
        return y, mean.detach(), rstd.detach()  # ATen would go back through them, too

    def differentiable_form(self) -> Op:
        return self

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        grad = GroupNormGrad(self.groups, self.affine)
        return b.all(grad, dys[0], xs[0], *ys[1:], *xs[1:2])


@op("group_norm_grad")
class GroupNormGrad(Op):
    """With x̂ = (x - mean) rstd, g = dy weight and E over a group: dw = Σ dy x̂ and db = Σ dy over
    examples and pixels, dx = rstd (g - E[g] - x̂ E[g x̂]).

    dy, x [N, C, …], mean, rstd [N, groups], weight [C] -> dx like x, dw, db [C]
    """

    layer = False
    tensors = ("dy", "x", "mean", "rstd", "weight")
    results = ("dx", "dw", "db")
    optional = 1
    groups: int | None = hyper(Int(optional=True))
    affine: bool = hyper(Flag(), True)

    def infer(self, dy: Type, x: Type, mean: Type, rstd: Type, *weight: Type) -> tuple[Type, ...]:
        return (x, *weight, *weight)

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        return Batched(self, (1, 2)[: 2 * self.affine]) if set(each) == {0, 1, 2, 3} else None

    def reference(self, dy: Tensor, x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        # ATen reads the statistics and the weight as dense whatever they are
        mean, rstd, *owned = (v.contiguous() for v in others)
        weight = owned[0] if owned else None
        wanted = [True, self.affine, self.affine]
        found = kernels("native_group_norm_backward")(
            dy.contiguous(memory_format=memory_format(x)),
            _dense(x),
            mean,
            rstd,
            weight,
            *_sizes(x, self.groups),
            wanted,
        )
        return tuple(found[: sum(wanted)])


def _sizes(x: Tensor, groups: int | None) -> tuple[int, ...]:
    """Examples, channels, pixels and groups, as ATen's kernels take them."""
    return x.shape[0], x.shape[1], x.shape[2:].numel(), x.shape[1] if groups is None else groups


def _dense(x: Tensor) -> Tensor:
    """x without gaps, in its own order of axes: the kernels read nothing else."""
    return x.contiguous(memory_format=memory_format(x))


_IMAGE, _ROWS, _SIGNAL = Type((3, 6, 4, 5)), Type((3, 8)), Type((2, 4, 7))
_CASES: dict[type[ByGroup], tuple[Example, ...]] = {
    GN: (
        Example(GN(3), (_IMAGE,)),
        Example(GN(2, eps=1e-3), (_ROWS,)),
        Example(GN(1, affine=False), (_SIGNAL,)),
    ),
    InstanceNorm: (
        Example(InstanceNorm(), (_IMAGE,)),
        Example(InstanceNorm(eps=1e-3, affine=True), (_SIGNAL,)),
        Example(InstanceNorm(), (Type((2, 3, 2, 3, 2)),)),
    ),
}
for _layer, _examples in _CASES.items():
    _layer.examples = _examples
GroupNorm.examples = tuple(
    Example(e.op.differentiable_form(), e.operands)
    for examples in _CASES.values()
    for e in examples
)
GroupNormGrad.examples = (
    Example(GroupNormGrad(3), (_IMAGE, _IMAGE, Type((3, 3)), Type((3, 3)), Type((6,))), (0.5, 2)),
    Example(GroupNormGrad(None, False), (_SIGNAL, _SIGNAL, *(Type((2, 4)),) * 2), (0.5, 2)),
)
