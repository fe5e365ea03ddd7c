"""prelu: a rectifier whose slope for negative numbers is learnt, and its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netdsl.errors import Problem
from netdsl.initial import Init
from netdsl.kinds import Choice
from netdsl.lazy import F, torch
from netdsl.op import Build, Example, Gradients, Op, Param, Type, Values, hyper, op, rank_problem
from netdsl.shapes import checked_float
from netdsl.sizes import Poly

if TYPE_CHECKING:
    from torch import Tensor


@op("prelu")
class PReLU(Op):
    """y = x where x > 0, else weight x (He et al. 2015, Delving Deep). As torch.nn.PReLU.

    x [N, C, …], weight [C], or [1] with `per=tensor` -> y like x
    """

    per_example = (0,)
    autocast = "low"
    per: str = hyper(Choice(names=("channel", "tensor")), "channel")

    def infer(self, x: Type, *_: Type) -> Type:
        if x.rank < 2 and self.per == "channel":
            raise rank_problem(self.name, x, "channels, [N, C, …]")
        checked_float(self.name, x)
        return x

    def params(self, x: Type) -> tuple[Param, ...]:
        slopes = x.shape[1] if self.per == "channel" else 1
        if isinstance(slopes, Poly):
            raise Problem(
                "N210",
                f"the weight of `{self.name}` would have the symbolic size [{slopes}]",
                helps=("give the channels a number, or share one slope: `prelu(per=tensor)`",),
            )
        return (Param("weight", (slopes,), Init("constant", (0.25,))),)

    def counterpart(self, x: Type, *_: Type) -> tuple[str, dict[str, Any]] | None:
        return "PReLU", {"num_parameters": x.shape[1] if self.per == "channel" else 1}

    def reference(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.prelu(x, weight)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return b.all(PReLUGrad(), *xs, dys[0])


@op("prelu_grad")
class PReLUGrad(Op):
    """dx = dy where x > 0, else weight dy; dw = Σ x dy where x <= 0, over all but the channels.

    x, weight [C] or [1], dy like x -> dx, dw
    """

    per_example = (0, 2)
    summed = (1,)
    layer = False
    tensors = ("x", "weight", "dy")
    results = ("dx", "dw")

    def infer(self, x: Type, weight: Type, dy: Type) -> tuple[Type, ...]:
        return x, weight

    def reference(self, x: Tensor, weight: Tensor, dy: Tensor) -> tuple[Tensor, ...]:
        slope = weight if x.dim() < 2 else weight.view(-1, *(1 for _ in x.shape[2:]))
        dx = torch.where(x > 0, dy, slope * dy)
        return dx, torch.where(x > 0, 0, x * dy).sum_to_size(slope.shape).reshape(weight.shape)


_IMAGE = Type((2, 3, 4, 5))
PReLU.examples = (
    Example(PReLU(), (_IMAGE,)),
    Example(PReLU(), (Type((4, 3)),)),
    Example(PReLU(per="tensor"), (_IMAGE,)),
    Example(PReLU(per="tensor"), (Type((6,)),)),
)
PReLUGrad.examples = (
    Example(PReLUGrad(), (_IMAGE, Type((3,)), _IMAGE)),
    Example(PReLUGrad(), (Type((4, 3)), Type((1,)), Type((4, 3)))),
)
