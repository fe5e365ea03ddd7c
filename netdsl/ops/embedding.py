"""Symbols, as whole numbers, to vectors: a row of a table that is learnt, or zeros and a one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netdsl.errors import Problem
from netdsl.initial import normal
from netdsl.kinds import Int
from netdsl.lazy import F
from netdsl.op import Build, Example, Gradients, Op, Param, Places, Type, Values, hyper, op
from netdsl.ops.aten import kernel

if TYPE_CHECKING:
    from torch import Tensor


@op("embedding")
class Embedding(Op):
    """Row x of the weight, 0 <= x < n. As torch.nn.Embedding.

    x int [...], weight [n, d] -> y [..., d]
    """

    per_example = (0,)
    n: int = hyper(Int())
    d: int = hyper(Int())

    def infer(self, x: Type, *weight: Type) -> Type:
        _check_symbols(self.name, x)
        return (*weight, Type(()))[0].with_shape(*x.shape, self.d)

    def params(self, x: Type) -> tuple[Param, ...]:
        return (Param("weight", (self.n, self.d), normal(1.0)),)

    def counterpart(self, x: Type, *_: Type) -> tuple[str, dict[str, Any]] | None:
        return "Embedding", {"num_embeddings": self.n, "embedding_dim": self.d}

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return axes[0]

    def reference(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.embedding(x, weight)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return None, b(EmbeddingGrad(self.n), xs[0], dys[0])


@op("embedding_grad")
class EmbeddingGrad(Op):
    """dw: each dy added to the row that its symbol names.

    x int [...], dy [..., d] -> dw [n, d]
    """

    per_example = (0, 1)
    summed = (0,)
    layer = False
    tensors = ("x", "dy")
    results = ("dw",)
    n: int = hyper(Int())

    def infer(self, x: Type, dy: Type) -> Type:
        return dy.with_shape(self.n, dy.shape[-1])

    def reference(self, x: Tensor, dy: Tensor) -> Tensor:
        return kernel("embedding_dense_backward")(dy, x, self.n, -1, False)


@op("one_hot")
class OneHot(Op):
    """1 at place x of n places, 0 <= x < n, and 0 elsewhere. As torch.nn.functional.one_hot.

    x int [...], a number that has the floating dtype -> y [..., n]
    """

    per_example = (0,)
    constants = (1.0,)
    n: int = hyper(Int())

    def infer(self, x: Type, *_: Type) -> Type:
        _check_symbols(self.name, x)
        return Type((*x.shape, self.n))

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return axes[0]

    def reference(self, x: Tensor, one: Tensor) -> Tensor:
        return F.one_hot(x, self.n).to(one.dtype)


def _check_symbols(name: str, x: Type) -> None:
    """N213 where x is not of whole numbers."""
    if x.dtype != "int":
        shape = ", ".join(map(str, x.shape))
        raise Problem(
            "N213",
            f"`{name}` needs whole numbers, but its input is {x}",
            helps=(f"an input of symbols is declared so: `x: int[{shape}]`",),
        )


_SYMBOLS = Type((2, 5), "int")
Embedding.examples = (
    Example(Embedding(7, 3), (_SYMBOLS,)),
    Example(Embedding(4, 1), (Type((3,), "int"),)),
)
EmbeddingGrad.examples = (Example(EmbeddingGrad(7), (_SYMBOLS, Type((2, 5, 3)))),)
OneHot.examples = (
    Example(OneHot(6), (_SYMBOLS, Type(()))),
    Example(OneHot(4), (Type((), "int"), Type(()))),
)
