"""Batch normalisation by statistics that are there already: what backward makes again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.kinds import Flag
from netdsl.lazy import F, torch
from netdsl.op import Example, Op, Type, hyper, op

if TYPE_CHECKING:
    from torch import Tensor


@op("batch_norm_apply")
class BatchNormApply(Op):
    """y = (x - mean) invstd weight + bias: bit for bit the y of `batch_norm`, whose results mean
    and invstd are.

    x [N, C, …], mean, invstd, weight, bias [C] -> y like x
    Without `affine` weight and bias are absent.
    """

    layer = False
    autocast = "keep"
    tensors = ("x", "mean", "invstd", "weight", "bias")
    optional = 2
    affine: bool = hyper(Flag(), True)

    def infer(self, x: Type, *_: Type) -> Type:
        return x

    def reference(self, x: Tensor, mean: Tensor, invstd: Tensor, *affine: Tensor) -> Tensor:
        if x.numel() == 0:  # ATen's kernel refuses it
            return x.clone()
        weight, bias = affine or (None, None)
        scale = invstd if weight is None else invstd * weight
        one = torch.ones_like(invstd)  # a variance whose inverse root changes no bit of the scale
        return F.batch_norm(x, mean, one, scale, bias, False, 0.0, 0.0)


_IMAGE, _ROWS = Type((3, 5, 4, 6)), Type((3, 33))
BatchNormApply.examples = (
    Example(BatchNormApply(), (_IMAGE, *[Type((5,))] * 4), (0.5, 2)),
    Example(BatchNormApply(False), (_ROWS, *[Type((33,))] * 2), (0.5, 2)),
)
