"""Padded batches: sequences of different lengths, n steps of each example, in one tensor.

x [N, T, …], n int [N]: steps 1 … n_i of example i are valid, what stands behind them is padding.
Steps are selected, never multiplied by 0, so that a NaN in the padding goes nowhere. Where nothing
has checked them, lengths above T count as T, and below 1 as none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.errors import Problem
from netdsl.kinds import Choice, Extent, Flag
from netdsl.lazy import torch
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op, rank_problem

if TYPE_CHECKING:
    from torch import Tensor


@op("valid_steps")
class ValidSteps(Op):
    """y_t = x_t, or x_{n+1-t} with `reverse`, for t <= n; behind them zeros, or y_1 again.

    x [N, T, …], n int [N] -> y [N, T, …]
    As torch.nn.utils.rnn.pad_packed_sequence has them, and tf.reverse_sequence.
    """

    exact = True
    tensors = ("x", "n")
    lengths = (1, 0)
    reverse: bool = hyper(Flag(), False)
    behind: str = hyper(Choice(names=("zeros", "first")), "zeros")

    def infer(self, x: Type, n: Type) -> Type:
        check_lengths(self.name, x, n)
        return x

    def reference(self, x: Tensor, n: Tensor) -> Tensor:
        t = _steps(x)
        behind = t >= n[:, None]
        if self.reverse:
            back = n.clamp(max=x.shape[1])[:, None] - 1 - t
            x = _taken(x, torch.where(behind, back[:, :1], back))
        elif self.behind == "first":
            x = _taken(x, torch.where(behind, 0, t))
        return x if self.behind == "first" else x.masked_fill(_as_rank(behind, x), 0)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        if not xs[0].type.floating:
            return None, None
        if self.behind == "zeros":  # each step moves to another place: back by the same way
            return b(self, dys[0], xs[1]), None
        return b(ValidStepsGrad(self.reverse), dys[0], xs[1]), None


@op("valid_steps_grad")
class ValidStepsGrad(Op):
    """dx of valid steps behind which the first is repeated: that one has the gradient of all."""

    layer = False
    tensors = ("dy", "n")
    results = ("dx",)
    reverse: bool = hyper(Flag(), False)

    def infer(self, dy: Type, n: Type) -> Type:
        return dy

    def reference(self, dy: Tensor, n: Tensor) -> Tensor:
        valid = _as_rank(_steps(dy) < n[:, None], dy)
        dx = ValidSteps(self.reverse).reference(dy, n)
        first = n if self.reverse else torch.ones_like(n)
        again = dy.masked_fill(valid, 0).sum(1)
        return dx + LastStepGrad(dy.shape[1]).reference(again, first)


@op("last_step")
class LastStep(Op):
    """y = x_n, the last valid step of each example.

    x [N, T, …], n int [N] -> y [N, …]
    """

    exact = True
    tensors = ("x", "n")
    lengths = (1, 0)

    def infer(self, x: Type, n: Type) -> Type:
        check_lengths(self.name, x, n)
        return x.with_shape(x.shape[0], *x.shape[2:])

    def reference(self, x: Tensor, n: Tensor) -> Tensor:
        return _taken(x, n[:, None] - 1)[:, 0].clone()

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        x, n = xs
        return b(LastStepGrad(x.type.shape[1]), dys[0], n) if x.type.floating else None, None


@op("last_step_grad")
class LastStepGrad(Op):
    """dx [N, size, …]: dy at the last valid step, zeros elsewhere."""

    layer = False
    exact = True
    tensors = ("dy", "n")
    results = ("dx",)
    size: int = hyper(Extent())

    def infer(self, dy: Type, n: Type) -> Type:
        return dy.with_shape(dy.shape[0], self.size, *dy.shape[1:])

    def reference(self, dy: Tensor, n: Tensor) -> Tensor:
        last = n.clamp(1, self.size)[:, None] - 1
        dx = dy[:, None].expand(-1, self.size, *dy.shape[1:])
        return dx.masked_fill(_as_rank(_steps(dx) != last, dx), 0)


@op("within")
class Within(Op):
    """y_t = t <= n for t = 1 … steps: a condition for `where`. As tf.sequence_mask.

    n int [N] -> y bool [N, steps]
    """

    exact = True
    tensors = ("n",)
    steps: int = hyper(Extent())

    def infer(self, n: Type) -> Type:
        if n.rank != 1 or n.dtype != "int":
            raise _no_lengths(self.name, "int[N]", n)
        return Type((*n.shape, self.steps), "bool")

    def reference(self, n: Tensor) -> Tensor:
        return torch.arange(self.steps, device=n.device) < n[:, None]


def check_lengths(name: str, x: Type, n: Type) -> None:
    """N201, N213 where x is no batch of sequences, or n are not its lengths."""
    if x.rank < 2:
        raise rank_problem(name, x, "a batch of sequences [N, T, …]")
    if n != Type(x.shape[:1], "int"):
        raise _no_lengths(name, f"int[{x.shape[0]}]", n)


def _no_lengths(name: str, wanted: str, n: Type) -> Problem:
    return Problem(
        "N213",
        f"the lengths of `{name}` must be {wanted}, not {n}",
        helps=(f"an input of lengths is declared so: `n: {wanted}`",),
    )


def _steps(x: Tensor) -> Tensor:
    """0 … T-1."""
    return torch.arange(x.shape[1], device=x.device)


def _as_rank(mask: Tensor, x: Tensor) -> Tensor:
    """[N, T] to broadcast against x [N, T, …]."""
    return mask.reshape(*mask.shape, *[1] * (x.dim() - 2))


def _taken(x: Tensor, places: Tensor) -> Tensor:
    """x at the places [N, S] of its steps; outside of them, at the nearest."""
    places = places.clamp(0, x.shape[1] - 1)
    first = torch.arange(x.shape[0], device=x.device)[:, None] * x.shape[1]
    taken = x.flatten(0, 1).index_select(0, (first + places).flatten())
    return taken.reshape(*places.shape, *x.shape[2:])


_SEQUENCES = (Type((3, 4, 5)), Type((3, 2)), Type((2, 3, 2, 3)))


def _with_lengths(x: Type) -> tuple[Type, Type]:
    return x, Type(x.shape[:1], "int")


ValidSteps.examples = tuple(
    Example(ValidSteps(reverse, behind), _with_lengths(x))
    for reverse in (False, True)
    for behind in ("zeros", "first")
    for x in _SEQUENCES
)
ValidStepsGrad.examples = tuple(
    Example(ValidStepsGrad(reverse), _with_lengths(x))
    for reverse in (False, True)
    for x in _SEQUENCES
)
LastStep.examples = tuple(Example(LastStep(), _with_lengths(x)) for x in _SEQUENCES)
LastStepGrad.examples = (
    Example(LastStepGrad(4), (Type((3, 5)), Type((3,), "int"))),
    Example(LastStepGrad(1), (Type((3,)), Type((3,), "int"))),
)
Within.examples = tuple(Example(Within(size), (Type((3,), "int"),)) for size in (1, 2, 5))
