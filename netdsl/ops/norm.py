"""Batch normalisation over images, signals, volumes and features, in its two modes.

y = (x - mean) / sqrt(var + eps) · weight + bias in every channel (Ioffe & Szegedy 2015, alg. 1),
with mean and variance of the batch in training, running ones in eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.errors import Problem
from netdsl.initial import ONES, ZEROS
from netdsl.kinds import Flag, Number
from netdsl.lazy import F, torch
from netdsl.op import (
    OPS,
    Build,
    Example,
    Gradients,
    Op,
    Param,
    Specialised,
    Type,
    Value,
    Values,
    hyper,
    op,
    rank_problem,
)
from netdsl.ops.arithmetic import Add, Div, Mul, Sub
from netdsl.ops.aten import kernels
from netdsl.ops.functions import Sqrt
from netdsl.ops.normalised import BatchNormApply
from netdsl.shapes import checked_float
from netdsl.sizes import Poly

if TYPE_CHECKING:
    from torch import Tensor

EPS = Number(0, rule="is a number from 0")
AFFINE = ("weight", "bias")
TRACKED = ("running_mean", "running_var", "num_batches_tracked")


@op("bn")
class BN(Op):
    """Batch normalisation of each channel. As torch.nn.BatchNorm2d; of [N, D] as BatchNorm1d.

    x [N, C, H, W] or [N, D] -> y like x
    `momentum`: weight of the newest batch in the running statistics, `none`: their plain average.
    """

    modal = True
    ranks: ClassVar[tuple[int, ...]] = (2, 4)
    form: ClassVar[str] = "an image [N, C, H, W] or rows [N, D]"

    eps: float = hyper(EPS, 1e-5)
    momentum: float | None = hyper(Number(0, 1, optional=True, rule="is from 0 to 1, or none"), 0.1)
    affine: bool = hyper(Flag(), True)
    track: bool = hyper(Flag(), True)

    def infer(self, x: Type, *_: Type) -> Type:
        if x.rank not in self.ranks:
            raise rank_problem(self.name, x, self.form)
        checked_float(self.name, x)
        return x

    def params(self, x: Type) -> tuple[Param, ...]:
        c = x.shape[1]
        if not (self.affine or self.track):
            return ()
        if isinstance(c, Poly):
            raise Problem(
                "N210",
                f"the parameters of `{self.name}` would have the symbolic size [{c}]",
                helps=("give the channels a number in the signature",),
            )
        affine = (Param("weight", (c,), ONES), Param("bias", (c,), ZEROS))
        tracked = (
            Param("running_mean", (c,), ZEROS, buffer=True),
            Param("running_var", (c,), ONES, buffer=True),
            Param("num_batches_tracked", (), ZEROS, buffer=True, dtype="int"),
        )
        return (affine if self.affine else ()) + (tracked if self.track else ())

    def counterpart(self, x: Type, *_: Type) -> tuple[str, dict[str, Any]] | None:
        if isinstance(x.shape[1], Poly):
            return None
        arguments = {
            "num_features": x.shape[1],
            "eps": self.eps,
            "momentum": self.momentum,
            "affine": self.affine,
            "track_running_stats": self.track,
        }
        return f"BatchNorm{max(x.rank - 2, 1)}d", arguments

    def specialise(self, b: Build, xs: Values, training: bool, stream: int) -> Specialised:
        if training or not self.track:
            y, _, _, *updates = b.all(
                BatchNorm(self.eps, self.momentum, self.affine, self.track), *xs
            )
            return Specialised((y,), dict(zip(TRACKED, updates, strict=False)))
        return Specialised((b(BatchNormInference(self.eps, self.affine), *xs[:-1]),))


@op("bn1d")
class BN1d(BN):
    """Batch normalisation of each channel. As torch.nn.BatchNorm1d.

    x [N, C, L] -> y [N, C, L]
    """

    ranks = (3,)
    form = "a signal [N, C, L]"


@op("bn3d")
class BN3d(BN):
    """Batch normalisation of each channel. As torch.nn.BatchNorm3d.

    x [N, C, D, H, W] -> y [N, C, D, H, W]
    """

    ranks = (5,)
    form = "a volume [N, C, D, H, W]"


@op("batch_norm")
class BatchNorm(Op):
    """Normalisation by the batch's own statistics, and the running statistics after it.

    x [N, C, …], weight [C], bias [C], running_mean [C], running_var [C], num_batches_tracked int[]
    -> y, mean [C], invstd [C] = 1 / sqrt(var + eps), then the three buffers' new values:
    running = (1 - m) running + m batch, m the momentum or 1 / batches, the variance unbiased.
    Without `affine` or `track` those operands (and results) are absent.
    """

    autocast = "keep"
    layer = False
    tensors = ("x", *AFFINE, *TRACKED)
    results: ClassVar[tuple[str, ...]] = ("y", "mean", "invstd", *TRACKED)
    optional = 5
    eps: float = hyper(EPS)
    momentum: float | None = hyper(Number(0, 1, optional=True))
    affine: bool = hyper(Flag(), True)
    track: bool = hyper(Flag(), True)

    @property
    def updates(self) -> int:  # type: ignore[override]
        return 3 if self.track else 0

    def infer(self, x: Type, *owned: Type) -> tuple[Type, ...]:
        channels = (*owned, x)[0].with_shape(x.shape[1])  # x may be of lower precision
        return (x, channels, channels, *(owned[-3:] if self.track else ()))

    def reference(self, x: Tensor, *owned: Tensor) -> tuple[Tensor, ...]:
        if not self.track:
            _check_several(x)
            weight, bias = owned if self.affine else (None, None)
            return _normalised(x, weight, bias, None, None, 0.0, self.eps)
        return self.updating(x, *owned[:-3], *[t.clone() for t in owned[-3:]])

    def updating(self, *operands: Tensor) -> tuple[Tensor, ...]:
        x, *owned, mean, var, batches = operands
        _check_several(x)
        batches += 1
        momentum = 1 / int(batches) if self.momentum is None else self.momentum
        weight, bias = owned if self.affine else (None, None)
        found = _normalised(x, weight, bias, mean, var, momentum, self.eps)
        return (*found, mean, var, batches)

    def again(self, xs: Values, ys: Values) -> tuple[Op, Values] | None:
        affine = xs[1:3] if self.affine else ()
        return BatchNormApply(self.affine), (xs[0], ys[1], ys[2], *affine)

    def across(self, group: str) -> Op:
        synced = OPS["sync_batch_norm"]  # by its name: its module imports this one
        return synced(self.eps, self.momentum, self.affine, self.track, group)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        weight = xs[1:2] if self.affine else ()
        dxs = b.all(BatchNormGrad(self.affine), dys[0], xs[0], ys[1], ys[2], *weight)
        return (*dxs, *(None for _ in xs[len(dxs) :]))


@op("batch_norm_grad")
class BatchNormGrad(Op):
    """With x̂ = (x - mean) invstd and E over a channel: db = Σ dy, dw = Σ dy x̂,
    dx = weight invstd (dy - E[dy] - x̂ E[dy x̂]).

    dy, x [N, C, …], mean, invstd, weight [C] -> dx, dw [C], db [C]
    """

    layer = False
    tensors = ("dy", "x", "mean", "invstd", "weight")
    results = ("dx", "dw", "db")
    optional = 1
    affine: bool = hyper(Flag(), True)

    def infer(self, dy: Type, x: Type, mean: Type, *_: Type) -> tuple[Type, ...]:
        return (x, mean, mean) if self.affine else (x,)

    def reference(
        self, dy: Tensor, x: Tensor, mean: Tensor, invstd: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        statistics = (None, None, mean, invstd, True, 0.0)
        return _gradients(dy, x, weight, statistics, self.affine)


@op("batch_norm_inference")
class BatchNormInference(Op):
    """Normalisation by the running statistics. As F.batch_norm(training=False).

    x [N, C, …], weight, bias, running_mean, running_var [C] -> y like x
    Without `affine` weight and bias are absent.
    """

    autocast = "keep"
    layer = False
    tensors = ("x", *AFFINE, "running_mean", "running_var")
    optional = 2
    eps: float = hyper(EPS)
    affine: bool = hyper(Flag(), True)

    def infer(self, x: Type, *_: Type) -> Type:
        return x

    def reference(self, x: Tensor, *owned: Tensor) -> Tensor:
        weight, bias = owned[:2] if self.affine else (None, None)
        return F.batch_norm(x, owned[-2], owned[-1], weight, bias, False, 0.0, self.eps)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        weight = xs[1:2] if self.affine else ()
        grad = BatchNormInferenceGrad(self.eps, self.affine)
        return (*b.all(grad, dys[0], xs[0], xs[-2], xs[-1], *weight), None, None)

    def again(self, xs: Values, ys: Values) -> tuple[Op, Values] | None:
        return self, xs

    def as_affine(self, b: Build, xs: Values) -> tuple[Value, Value] | None:
        std = b(Sqrt(), b(Add(), xs[-1], b.constant(self.eps)))
        if not self.affine:
            scale = b(Div(), b.constant(1.0), std)
            return scale, b(Mul(), b(Mul(), xs[-2], b.constant(-1.0)), scale)
        scale = b(Div(), xs[1], std)
        return scale, b(Sub(), xs[2], b(Mul(), xs[-2], scale))


@op("batch_norm_inference_grad")
class BatchNormInferenceGrad(Op):
    """dx = dy weight invstd, dw = Σ dy (x - running_mean) invstd, db = Σ dy.

    dy, x [N, C, …], running_mean, running_var, weight [C] -> dx, dw [C], db [C]
    """

    layer = False
    tensors = ("dy", "x", "running_mean", "running_var", "weight")
    results = ("dx", "dw", "db")
    optional = 1
    eps: float = hyper(EPS)
    affine: bool = hyper(Flag(), True)

    def infer(self, dy: Type, x: Type, mean: Type, *_: Type) -> tuple[Type, ...]:
        return (x, mean, mean) if self.affine else (x,)

    def reference(
        self, dy: Tensor, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        statistics = (mean, var, None, None, False, self.eps)
        return _gradients(dy, x, weight, statistics, self.affine)


# ATen's kernels refuse a batch without elements, and the one for the gradient divides by its size.


def _check_several(x: Tensor) -> None:
    if x.numel() == x.shape[1]:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {x.shape}"
        )


def _normalised(x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    """y, mean and invstd; running statistics among the arguments are updated in place."""
    if x.numel() == 0:
        return x.clone(), x.new_zeros(x.shape[1]), x.new_zeros(x.shape[1])
    weight, bias, mean, var, momentum, eps = arguments
    return torch.native_batch_norm(x, weight, bias, mean, var, True, momentum, eps)


def _gradients(
    dy: Tensor, x: Tensor, weight: Tensor | None, statistics: tuple[Any, ...], affine: bool
) -> tuple[Tensor, ...]:
    """dx and, where the layer is affine, dw and db."""
    if x.numel() == 0:
        found = (x.clone(), *(x.new_zeros(x.shape[1]) for _ in range(2)))
    else:
        wanted = [True, affine, affine]
        found = kernels("native_batch_norm_backward")(dy, x, weight, *statistics, wanted)
    return found[: 1 + 2 * affine]


def _owned(x: Type, tracked: tuple[str, ...] = TRACKED) -> tuple[Type, ...]:
    c = x.with_shape(x.shape[1])
    types = {"num_batches_tracked": Type((), "int")}
    return tuple(types.get(name, c) for name in (*AFFINE, *tracked))


_IMAGE, _ROWS = Type((3, 5, 4, 6)), Type((3, 33))
BN.examples = (
    Example(BN(), (_IMAGE,)),
    Example(BN(momentum=None), (_ROWS,)),
    Example(BN(affine=False), (_IMAGE,)),
    Example(BN(eps=1e-3, track=False), (_IMAGE,)),
    Example(BN(affine=False, track=False), (_ROWS,)),
)
BN1d.examples = (Example(BN1d(), (Type((3, 5, 7)),)),)
BN3d.examples = (Example(BN3d(), (Type((2, 3, 2, 3, 4)),)),)
BatchNorm.examples = (
    Example(BatchNorm(1e-5, 0.1), (_IMAGE, *_owned(_IMAGE)), (0.5, 2)),
    Example(BatchNorm(1e-3, None), (Type((8, 33)), *_owned(_ROWS)), (0.5, 2)),
    Example(BatchNorm(1e-5, 0.1, affine=False), (_IMAGE, *_owned(_IMAGE)[2:]), (0.5, 2)),
    Example(BatchNorm(1e-5, 0.1, track=False), (_IMAGE, *_owned(_IMAGE)[:2]), (0.5, 2)),
    Example(BatchNorm(1e-5, 0.1, affine=False, track=False), (_IMAGE,)),
)
BatchNormGrad.examples = (
    Example(BatchNormGrad(), (_IMAGE, _IMAGE, *_owned(_IMAGE, ("running_mean",))), (0.5, 2)),
    Example(BatchNormGrad(False), (_ROWS, _ROWS, *_owned(_ROWS, ())), (0.5, 2)),
)
BatchNormInference.examples = (
    Example(BatchNormInference(1e-5), (_IMAGE, *_owned(_IMAGE)[:4]), (0.5, 2)),
    Example(BatchNormInference(1e-3, affine=False), (_ROWS, *_owned(_ROWS)[:2]), (0.5, 2)),
)
BatchNormInferenceGrad.examples = (
    Example(BatchNormInferenceGrad(1e-5), (_IMAGE, _IMAGE, *_owned(_IMAGE)[:3]), (0.5, 2)),
    Example(BatchNormInferenceGrad(1e-3, False), (_ROWS, _ROWS, *_owned(_ROWS)[:2]), (0.5, 2)),
)
