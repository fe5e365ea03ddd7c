"""cast: the same numbers in another floating dtype, which the autocast pass inserts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from netdsl.lazy import torch
from netdsl.op import Build, Gradients, Op, Type, Values

if TYPE_CHECKING:
    from torch import Tensor


class Autocast(NamedTuple):
    """The state of torch.autocast at a call: the low dtype, the kind of device, and by key the
    dtypes of the net's floating inputs, parameters and buffers that are not in float32."""

    dtype: str
    device: str
    others: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Cast(Op):
    """y = x, rounded to `dtype`: bfloat16, float16, or "float", which is float32 in a graph with
    casts. It is no entry of the op table: what "float" is would be another thing there."""

    dtype: str

    name = "cast"
    layer = False
    pointwise = True

    def __post_init__(self) -> None:
        pass

    def infer(self, x: Type) -> Type:
        return Type(x.shape, self.dtype)

    def reference(self, x: Tensor) -> Tensor:
        return x.to(torch.float32 if self.dtype == "float" else getattr(torch, self.dtype))

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(Cast(xs[0].type.dtype), dys[0]),)

    def arguments(self) -> str:
        return self.dtype
