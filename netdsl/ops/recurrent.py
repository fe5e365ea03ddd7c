"""Several layers of one recurrent cell as torch has them in one call, and its gradient.

What `rnn`, `gru` and `lstm` are in either mode: their start states are given, dropout is outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from netdsl.errors import Problem
from netdsl.kinds import Choice, Flag, Int
from netdsl.lazy import torch
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op, rank_problem
from netdsl.ops.composite import gradients
from netdsl.shapes import checked_float
from netdsl.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor

STATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 1, "lstm": 2}  # cell -> h, or h and c
CELL = Choice(names=tuple(STATES))


@op("recurrent")
class Recurrent(Op):
    """As torch.rnn_tanh, torch.rnn_relu, torch.gru and torch.lstm, batch first, without dropout.

    x [N, T, D], h0 (, c0) [layers·dirs, N, hidden], then of every layer and direction weight_ih,
    weight_hh (, bias_ih, bias_hh) (, weight_hr) -> y [N, T, dirs·hidden], h (, c) like h0 (, c0)
    A state in another dtype than x: the matrices are multiplied in that of x, the rest is as torch
    promotes it.
    """

    autocast = "low"
    layer = False
    variadic = True
    tensors = ("x", "h0")
    results = ("y", "h", "c")
    cell: str = hyper(CELL)
    layers: int = hyper(Int(), 1)
    both: bool = hyper(Flag(), False)
    bias: bool = hyper(Flag(), True)

    def infer(self, x: Type, *rest: Type) -> tuple[Type, ...]:
        check_sequence(self.cell, x)
        h, *c = rest[: STATES[self.cell]]
        if self._projects(rest):  # a matrix is the last that makes h
            h = Type(h.shape, x.dtype)
        return (Type((*x.shape[:2], (1 + self.both) * h.shape[2]), h.dtype), h, *c)

    def kept(self, device: str, operands: tuple[Type, ...]) -> tuple[int, ...]:
        """What is added to in every step stays as it is given: h of a gru, c of an lstm with a
        projection; of the other cells, and of all on CUDA, torch has kernels in one dtype."""
        if device != "cpu":
            return ()
        return (1,) if self.cell == "gru" else (2,) if self._projects(operands[1:]) else ()

    def _projects(self, states: tuple[Type, ...]) -> bool:
        return self.cell == "lstm" and states[0].shape[2] != states[1].shape[2]

    def reference(self, *xs: Tensor) -> tuple[Tensor, ...]:
        return _run(self, xs, training=False)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return b.all(RecurrentGrad(*self.hypers().values()), *xs, *dys)

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        return recurrent_macs(operands)


@op("recurrent_grad")
class RecurrentGrad(Op):
    """The gradient of every operand, by torch's own backward through time of another forward.

    the operands of `recurrent`, then dy, dh (, dc) -> dx, dh0 (, dc0), and one like every weight
    """

    layer = False
    variadic = True
    tensors = ("x", "h0")
    results = ("dx", "dh0")
    cell: str = hyper(CELL)
    layers: int = hyper(Int(), 1)
    both: bool = hyper(Flag(), False)
    bias: bool = hyper(Flag(), True)

    def infer(self, *operands: Type) -> tuple[Type, ...]:
        return operands[: -1 - STATES[self.cell]]

    def reference(self, *operands: Tensor) -> tuple[Tensor | None, ...]:
        return self.kernel((), (True,) * (len(operands) - 1 - STATES[self.cell]))(*operands)

    def kernel(
        self, operands: tuple[Type, ...], used: tuple[bool, ...]
    ) -> Callable[..., tuple[Tensor | None, ...]]:
        def forward(xs: Sequence[Tensor]) -> tuple[Tensor, ...]:
            return _run(self, xs, training=True)

        count = len(used)
        return lambda *given: gradients(forward, given[:count], given[count:], used)

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        return 3 * recurrent_macs(operands[: len(results)])  # forward again, dx and dw


def check_sequence(name: str, x: Type) -> None:
    """N201, N213, N207 where x is no sequence [N, T, D] of floats with a step at least."""
    if x.dtype == "int":
        raise Problem(
            "N213",
            f"`{name}` needs numbers of floating type, but its input is {x}",
            helps=("symbols become vectors first: `x -> embedding(n, d)` or `x -> one_hot(n)`",),
        )
    if x.rank != 3:
        raise rank_problem(name, x, "a sequence [N, T, D]")
    checked_float(name, x)
    if x.shape[1] == 0:
        raise Problem("N207", f"`{name}` needs a step at least, but its input is {x}")


def recurrent_macs(operands: tuple[Type, ...]) -> Size:
    """Every matrix among the weights, at every step of every example."""
    batch, steps, _ = operands[0].shape
    matrices: Size = 0
    for weight in operands[1:]:
        matrices = matrices + (weight.numel if weight.rank == 2 else 0)
    return batch * steps * matrices


def _run(op: Recurrent | RecurrentGrad, xs: Sequence[Tensor], training: bool) -> tuple[Any, ...]:
    """y, then the last states; `training`: what cuDNN must know to be able to go back."""
    count = STATES[op.cell]
    x, states, weights = xs[0], xs[1 : 1 + count], xs[1 + count :]
    start = states if count > 1 else states[0]
    layers: Callable[..., tuple[Tensor, ...]] = getattr(torch, op.cell)
    with _products_in(x.dtype, x.device.type, states):
        return layers(x, start, weights, op.bias, op.layers, 0.0, training, op.both, True)


def _products_in(
    low: torch.dtype, device: str, states: Sequence[Tensor]
) -> AbstractContextManager[None]:
    """Autocast, where states are of another dtype; without its cache, in which a cast that nobody
    differentiates would serve others who do."""
    if all(state.dtype == low for state in states):
        return nullcontext()
    return torch.autocast(device, low, cache_enabled=False)


def _operands(
    x: tuple[int, int, int], hidden: int, gates: int, layers: int = 1, dirs: int = 1, proj: int = 0
) -> tuple[Type, ...]:
    """x, states and weights without biases."""
    n, out = x[0], proj or hidden
    states = [Type((layers * dirs, n, out)), Type((layers * dirs, n, hidden))][: 1 + (gates == 4)]
    weights: list[Type] = []
    for layer in range(layers):
        features = dirs * out if layer else x[2]
        owned = [Type((gates * hidden, features)), Type((gates * hidden, out))]
        weights += (owned + [Type((proj, hidden))] * (proj > 0)) * dirs
    return (Type(x), *states, *weights)


_BIAS = (Type((9,)), Type((9,)))
_CASES = (
    (Recurrent("rnn_tanh", bias=False), _operands((2, 3, 4), 3, 1)),
    (Recurrent("rnn_relu", both=True, bias=False), _operands((1, 2, 3), 2, 1, dirs=2)),
    (Recurrent("gru"), (*_operands((2, 1, 4), 3, 3), *_BIAS)),
    (Recurrent("lstm", 2, both=True, bias=False), _operands((2, 3, 3), 2, 4, 2, 2)),
    (Recurrent("lstm", bias=False), _operands((1, 1, 2), 3, 4, proj=2)),
)
Recurrent.examples = tuple(Example(op, operands, (-0.6, 0.6)) for op, operands in _CASES)
RecurrentGrad.examples = tuple(
    Example(RecurrentGrad(*op.hypers().values()), (*operands, *op.infer(*operands)), (-0.6, 0.6))
    for op, operands in _CASES
)
