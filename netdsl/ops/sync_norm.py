"""Batch normalisation by the statistics of all processes' batches, as if they were one.

n = Σ n_r, mean = Σ n_r mean_r / n, var = Σ (n_r var_r + n_r (mean_r - mean)²) / n over the
processes r (Chan, Golub & LeVeque 1979, eq. 2.1), so batches of different sizes count by their
values. The means are summed before the squares are, which cancels nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.kinds import Flag, Kind, Number
from netdsl.lazy import torch
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op
from netdsl.ops.norm import EPS, BatchNorm

if TYPE_CHECKING:
    from torch import Tensor


class GroupName(Kind):
    """The name of a process group; "" is the default one."""

    def accept(self, value: Any, name: str, owner: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse(name, value, "is the name of a process group")
        return value


@op("all_reduce_sum")
class AllReduceSum(Op):
    """y = Σ x over the processes of a group (by its name, \"\" is the default one); x without one.

    Every process runs it in the same order.
    """

    layer = False
    group: str = hyper(GroupName(), "")

    def infer(self, x: Type) -> Type:
        return x

    def reference(self, x: Tensor) -> Tensor:
        from netdsl.collective import all_reduce_sum

        return all_reduce_sum(x, self.group)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(self, dys[0]),)


@op("sync_batch_norm")
class SyncBatchNorm(BatchNorm):
    """`batch_norm` over the batches of all processes of a group, each with its own x.

    x [N, C, …], weight, bias [C] and the buffers -> as `batch_norm`, then count int[], the values
    of a channel in all processes
    """

    results: ClassVar[tuple[str, ...]] = (*BatchNorm.results, "count")
    eps: float = hyper(EPS)
    momentum: float | None = hyper(Number(0, 1, optional=True))
    affine: bool = hyper(Flag(), True)
    track: bool = hyper(Flag(), True)
    group: str = hyper(GroupName(), "")

    @property
    def updates(self) -> int:  # type: ignore[override]
        return 0

    def infer(self, x: Type, *owned: Type) -> tuple[Type, ...]:
        return (*super().infer(x, *owned), Type((), "int"))

    def reference(self, x: Tensor, *owned: Tensor) -> tuple[Tensor, ...]:
        weight, bias = owned[:2] if self.affine else (None, None)
        wide = _wide(x)
        mean, var, count = self._statistics(wide)
        if count == 1:
            raise ValueError(
                "Expected more than 1 value per channel in all processes together when training, "
                f"got input size {x.shape}"
            )
        invstd = (var + self.eps).rsqrt()
        scale = invstd if weight is None else invstd * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        y = torch.addcmul(_spread(shift, x), wide, _spread(scale, x)).to(x.dtype)
        mean, var = mean.detach(), var.detach()  # as in `batch_norm`, y alone has a gradient
        dtype = (*owned, x)[0].dtype  # x may be of lower precision
        saved = mean.to(dtype), invstd.detach().to(dtype)
        return (y, *saved, *self._tracked(mean, var, count, owned), count)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, biased variance and count of each channel's values in all processes."""
        from netdsl.collective import all_reduce_sum

        n, axes = x.numel() // max(x.shape[1], 1), _axes(x)
        if n:
            own_var, own_mean = torch.var_mean(x, axes, correction=0)
        else:  # a process without examples: nothing, and autograd still passes through x
            own_var = own_mean = x.sum(axes)
        sums = all_reduce_sum(torch.cat([own_mean * n, own_mean.new_full((1,), n)]), self.group)
        count = sums[-1].detach().long()
        mean = sums[:-1] / count.clamp(min=1)
        squares = n * (own_var + (own_mean - mean).square())
        return mean, all_reduce_sum(squares, self.group) / count.clamp(min=1), count

    def _tracked(
        self, mean: Tensor, var: Tensor, count: Tensor, owned: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The buffers after this batch; they have no gradient."""
        if not self.track:
            return ()
        before_mean, before_var, batches = owned[-3], owned[-2], owned[-1] + 1
        if not count:  # no example in any process
            return before_mean.clone(), before_var.clone(), batches
        momentum = 1 / int(batches) if self.momentum is None else self.momentum
        unbiased = var * count / (count - 1)
        return (
            before_mean.lerp(mean.to(before_mean.dtype), momentum),
            before_var.lerp(unbiased.to(before_var.dtype), momentum),
            batches,
        )

    def again(self, xs: Values, ys: Values) -> tuple[Op, Values] | None:
        return None  # other kernels, other bits

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, mean, invstd, count = xs[0], ys[1], ys[2], ys[-1]
        own = b(SyncBatchNormSums(), dys[0], x, mean, invstd)
        total = b(AllReduceSum(self.group), own)
        weight = xs[1:2] if self.affine else ()
        grad = SyncBatchNormGrad(self.affine)
        dxs = b.all(grad, dys[0], x, mean, invstd, count, own, total, *weight)
        return (*dxs, *(None for _ in xs[len(dxs) :]))


@op("sync_batch_norm_sums")
class SyncBatchNormSums(Op):
    """Σ dy and Σ dy x̂ over each channel's values of this process, x̂ = (x - mean) invstd.

    dy, x [N, C, …], mean, invstd [C] -> sums [2, C]
    """

    layer = False
    tensors = ("dy", "x", "mean", "invstd")
    results = ("sums",)

    def infer(self, dy: Type, x: Type, mean: Type, invstd: Type) -> Type:
        return mean.with_shape(2, *mean.shape)

    def reference(self, dy: Tensor, x: Tensor, mean: Tensor, invstd: Tensor) -> Tensor:
        dy, wide = _wide(dy), _wide(x)
        product = (dy * (wide - _spread(mean, x))).sum(_axes(x)) * invstd
        return torch.stack([dy.sum(_axes(x)), product]).to(mean.dtype)


@op("sync_batch_norm_grad")
class SyncBatchNormGrad(Op):
    """dx = weight invstd (dy - Σ dy / n - x̂ Σ dy x̂ / n), the sums and n of all processes;
    dw = Σ dy x̂ and db = Σ dy of this process alone, whose gradients are averaged by who trains.

    dy, x [N, C, …], mean, invstd [C], count int[], own, total [2, C], weight [C]
    -> dx, dw [C], db [C]
    """

    layer = False
    tensors = ("dy", "x", "mean", "invstd", "count", "own", "total", "weight")
    results = ("dx", "dw", "db")
    optional = 1
    affine: bool = hyper(Flag(), True)

    def infer(self, dy: Type, x: Type, mean: Type, *_: Type) -> tuple[Type, ...]:
        return (x, mean, mean) if self.affine else (x,)

    def reference(
        self,
        dy: Tensor,
        x: Tensor,
        mean: Tensor,
        invstd: Tensor,
        count: Tensor,
        own: Tensor,
        total: Tensor,
        weight: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        sum_dy, sum_product = _wide(total) / count.clamp(min=1)
        scale = invstd if weight is None else invstd * weight
        slope = -invstd * sum_product * scale
        shift = -sum_dy * scale - mean * slope
        dx = torch.addcmul(_spread(shift, x), _wide(x), _spread(slope, x))
        dx = dx.addcmul_(_wide(dy), _spread(scale, x)).to(x.dtype)
        return (dx, own[1].clone(), own[0].clone()) if self.affine else (dx,)


def _wide(x: Tensor) -> Tensor:
    """In float32 at least, in which statistics are taken."""
    return x.float() if x.dtype.itemsize < 4 else x


def _axes(x: Tensor) -> list[int]:
    """All axes but the channels'."""
    return [0, *range(2, x.dim())]


def _spread(c: Tensor, x: Tensor) -> Tensor:
    """[C] along the channels of x."""
    return c.reshape(1, -1, *[1] * (x.dim() - 2))


_IMAGE, _C = Type((3, 5, 4, 6)), Type((5,))
AllReduceSum.examples = (Example(AllReduceSum(), (Type((2, 3)),)),)
SyncBatchNorm.examples = tuple(
    Example(e.op.across(""), e.operands, e.domain) for e in BatchNorm.examples
)
SyncBatchNormSums.examples = (Example(SyncBatchNormSums(), (_IMAGE, _IMAGE, _C, _C), (0.5, 2)),)
SyncBatchNormGrad.examples = tuple(
    Example(
        SyncBatchNormGrad(affine),
        (_IMAGE, _IMAGE, _C, _C, Type((), "int"), Type((2, 5)), Type((2, 5)), *[_C] * affine),
        (0.5, 2),
    )
    for affine in (True, False)
)
