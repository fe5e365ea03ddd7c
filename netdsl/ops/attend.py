"""attend: what each step of q asks of the steps of k, answered by those of v; and its gradient.

y = softmax(q kᵀ / √d) v in every head, of d = D / heads numbers (Vaswani et al. 2017, eq. 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from netdsl.errors import Problem
from netdsl.kinds import Flag, Int
from netdsl.lazy import F
from netdsl.op import Build, Example, Gradients, Op, Places, Type, Values, hyper, op, rank_problem
from netdsl.ops.composite import gradients
from netdsl.shapes import checked_float
from netdsl.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor


# What two of the operands have in common, along an axis of both.
FITS = (
    ("q", "k", 0, "examples"),
    ("k", "v", 0, "examples"),
    ("k", "v", 1, "steps"),
    ("q", "k", 2, "numbers"),
)


@op("attend")
class Attend(Op):
    """As F.scaled_dot_product_attention; `causal`: step t of q sees only steps 1 to t of k.

    q [N, T, D], k [N, S, D], v [N, S, E] -> y [N, T, E], D and E split into `heads`
    """

    per_example = (0, 1, 2)
    autocast = "low"
    tensors = ("q", "k", "v")
    heads: int = hyper(Int(), 1)
    causal: bool = hyper(Flag(), False)

    def infer(self, q: Type, k: Type, v: Type) -> Type:
        for x in (q, k, v):
            if x.rank != 3:
                raise rank_problem(self.name, x, "sequences [N, T, D]")
        checked_float(self.name, q, k, v)
        named = {"q": q, "k": k, "v": v}
        for a, b, axis, what in FITS:
            m, n = named[a].shape[axis], named[b].shape[axis]
            if m != n:
                raise Problem(
                    "N206",
                    f"`{self.name}`: `{a}` is {named[a]} and `{b}` is {named[b]}",
                    label=f"{m} and {n} {what}",
                )
        for x in (q, v):
            if x.shape[2] % self.heads != 0:
                raise Problem(
                    "N211",
                    f"`{self.name}` with heads={self.heads} needs numbers divisible by "
                    f"{self.heads}",
                    label=f"{x} has {x.shape[2]}",
                )
        return q.with_shape(*q.shape[:2], v.shape[2])

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        apart = axes[1:] == (None, None) and axes[0] != 2 and not self.causal
        return axes[0] if apart else None

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return _attend((q, k, v), self.heads, self.causal)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return b.all(AttendGrad(self.heads, self.causal), *xs, dys[0])

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        return attend_macs(*operands[:3])


@op("attend_grad")
class AttendGrad(Op):
    """With P = softmax(q kᵀ / √d), dP = dy vᵀ and dS = P (dP - Σ P dP) / √d in every head:
    dv = Pᵀ dy, dq = dS k, dk = dSᵀ q; by torch's own backward of another forward.

    q, k, v, dy [N, T, E] -> dq, dk, dv
    """

    per_example = (0, 1, 2, 3)
    layer = False
    tensors = ("q", "k", "v", "dy")
    results = ("dq", "dk", "dv")
    heads: int = hyper(Int(), 1)
    causal: bool = hyper(Flag(), False)

    def infer(self, q: Type, k: Type, v: Type, dy: Type) -> tuple[Type, ...]:
        return q, k, v

    def reference(self, *operands: Tensor) -> tuple[Tensor | None, ...]:
        return self.kernel((), (True, True, True))(*operands)

    def kernel(
        self, operands: tuple[Type, ...], used: tuple[bool, ...]
    ) -> Callable[..., tuple[Tensor | None, ...]]:
        def forward(xs: Sequence[Tensor]) -> tuple[Tensor, ...]:
            return (_attend(xs, self.heads, self.causal),)

        return lambda *given: gradients(forward, given[:3], given[3:], used)

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        return 3 * attend_macs(*operands[:3])


def attend_macs(q: Type, k: Type, v: Type) -> Size:
    """Every step of q with every step of k, and the sum of those of v."""
    return q.shape[0] * q.shape[1] * k.shape[1] * (q.shape[2] + v.shape[2])


def _attend(xs: Sequence[Tensor], heads: int, causal: bool) -> Tensor:
    # [N, heads, T, D / heads]
    q, k, v = (x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(1, 2) for x in xs)
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)


_STEPS, _FEW = Type((2, 4, 6)), Type((2, 3, 6))
_CASES = (
    (Attend(), (_STEPS, _STEPS, _STEPS)),
    (Attend(heads=2, causal=True), (_STEPS, _STEPS, _STEPS)),
    (Attend(heads=3), (_STEPS, _FEW, Type((2, 3, 9)))),
    (Attend(causal=True), (_FEW, _STEPS, Type((2, 4, 1)))),
)
Attend.examples = tuple(Example(op, operands) for op, operands in _CASES)
AttendGrad.examples = tuple(
    Example(AttendGrad(op.heads, op.causal), (*operands, op.infer(*operands)))
    for op, operands in _CASES
)
