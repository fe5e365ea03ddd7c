"""The recurrent layers rnn, gru and lstm over sequences, as torch.nn has them with batch_first.

One after another, a layer's direction `both` joins a run from the first step on and one from the
last; between two layers, in training, dropout.
"""

from __future__ import annotations

import math
from itertools import takewhile
from typing import ClassVar

from netdsl.errors import Problem
from netdsl.initial import uniform
from netdsl.kinds import Choice, Flag, Int, Number
from netdsl.op import Build, Example, Op, Param, Specialised, Type, Values, hyper, op
from netdsl.ops.dropout import Bernoulli, MaskedScale
from netdsl.ops.pieces import Concat, Slice
from netdsl.ops.recurrent import STATES, Recurrent, check_sequence, recurrent_macs
from netdsl.ops.shape import Zeros
from netdsl.shapes import checked_float
from netdsl.sizes import Poly, Size

LAYERS = Int(high=1000)  # each is a few parameters in the graph
DROPOUT = Number(0, 1, open_high=True, rule="is a probability, 0 <= dropout < 1")


class RecurrentLayer(Op):
    """What the three share; a subclass gives `gates`, the rows of its weights for each unit."""

    modal = True
    tensors: ClassVar[tuple[str, ...]] = ("x", "h0")
    results: ClassVar[tuple[str, ...]] = ("y", "h")
    optional = 1
    gates: ClassVar[int]
    proj: int = 0

    hidden: int
    layers: int
    both: bool
    dropout: float
    bias: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "random", self.dropout > 0 and self.layers > 1)

    @property
    def cell(self) -> str:
        """The name of torch's function."""
        return self.name

    @property
    def dirs(self) -> int:
        return 1 + self.both

    def states(self, x: Type) -> tuple[Type, ...]:
        """The types of h and, of an lstm, c."""
        widths = (self.proj or self.hidden, self.hidden)[: STATES[self.cell]]
        return tuple(x.with_shape(self.layers * self.dirs, x.shape[0], n) for n in widths)

    def infer(self, x: Type, *_: Type) -> tuple[Type, ...]:
        check_sequence(self.name, x)
        h, *_c = self.states(x)
        return (x.with_shape(*x.shape[:2], self.dirs * h.shape[2]), h, *_c)

    def params(self, x: Type, *start: Type) -> tuple[Param, ...]:
        _check_start(self, self.states(x), start)
        features = x.shape[2]
        if isinstance(features, Poly):
            raise Problem(
                "N210",
                f"the weight of `{self.name}` would have the symbolic size "
                f"[{self.gates * self.hidden}, {features}]",
                helps=("give the features, the last axis, a number in the signature",),
            )
        inside = self.dirs * (self.proj or self.hidden)
        return tuple(
            Param(f"{name}_l{i}{direction}", shape, uniform(1 / math.sqrt(self.hidden)))
            for i in range(self.layers)
            for direction in ("", "_reverse")[: self.dirs]
            for name, shape in self._weights(inside if i else features)
        )

    def _weights(self, features: int) -> list[tuple[str, tuple[int, ...]]]:
        """Of one layer in one direction."""
        rows = self.gates * self.hidden
        found: list[tuple[str, tuple[int, ...]]] = [
            ("weight_ih", (rows, features)),
            ("weight_hh", (rows, self.proj or self.hidden)),
        ]
        found += [("bias_ih", (rows,)), ("bias_hh", (rows,))] * self.bias
        return found + [("weight_hr", (self.proj, self.hidden))] * (self.proj > 0)

    def specialise(self, b: Build, xs: Values, training: bool, stream: int) -> Specialised:
        x, *rest = xs
        seed = rest.pop() if training and self.random else None
        start = tuple(takewhile(lambda v: v.type.rank == 3, rest))
        weights = tuple(rest[len(start) :])
        if not start:
            start = tuple(b(Zeros(t.shape), x) for t in self.states(x.type))
        if seed is None:
            every = Recurrent(self.cell, self.layers, self.both, self.bias)
            return Specialised(b.all(every, x, *start, *weights))

        width = self.dirs * start[0].type.shape[2]
        shape = (*x.type.shape[:2], (self.layers - 1) * width)
        masks = b(Bernoulli(shape, 1 - self.dropout, stream), seed)
        one = Recurrent(self.cell, 1, self.both, self.bias)
        each, ends = len(weights) // self.layers, []
        for i in range(self.layers):
            if i:
                mask = b(Slice(2, (i - 1) * width, i * width), masks)
                x = b(MaskedScale(1 / (1 - self.dropout)), x, mask)
            here = [b(Slice(0, i * self.dirs, (i + 1) * self.dirs), state) for state in start]
            x, *end = b.all(one, x, *here, *weights[i * each : (i + 1) * each])
            ends.append(end)
        return Specialised((x, *(b(Concat(0), *end) for end in zip(*ends, strict=True))))

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        return recurrent_macs(operands)


@op("rnn")
class RNN(RecurrentLayer):
    """h_t = act(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), y = h of the last layer. As torch.nn.RNN.

    x [N, T, D], h0 [layers·dirs, N, hidden] -> y [N, T, dirs·hidden], h like h0
    """

    gates = 1
    hidden: int = hyper(Int())
    layers: int = hyper(LAYERS, 1)
    act: str = hyper(Choice(names=("tanh", "relu")), "tanh")
    both: bool = hyper(Flag(), False)
    dropout: float = hyper(DROPOUT, 0)
    bias: bool = hyper(Flag(), True)

    @property
    def cell(self) -> str:
        return f"rnn_{self.act}"


@op("gru")
class GRU(RecurrentLayer):
    """h_t = (1 - z) n + z h_{t-1}, n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn)), r and z
    sigmoid(W_i x_t + b_i + W_h h_{t-1} + b_h) (Cho et al. 2014). As torch.nn.GRU.

    x [N, T, D], h0 [layers·dirs, N, hidden] -> y [N, T, dirs·hidden], h like h0
    """

    gates = 3
    hidden: int = hyper(Int())
    layers: int = hyper(LAYERS, 1)
    both: bool = hyper(Flag(), False)
    dropout: float = hyper(DROPOUT, 0)
    bias: bool = hyper(Flag(), True)


@op("lstm")
class LSTM(RecurrentLayer):
    """c_t = f c_{t-1} + i g, h_t = o tanh(c_t), the gates i, f, o sigmoid and g tanh of
    W_i x_t + b_i + W_h h_{t-1} + b_h (Gers et al. 2000). As torch.nn.LSTM.

    x [N, T, D], h0, c0 [layers·dirs, N, hidden] -> y [N, T, dirs·hidden], h like h0, c like c0
    `proj`: h_t is W_hr times that, of `proj` numbers instead of `hidden` (Sak et al. 2014).
    """

    tensors = ("x", "h0", "c0")
    results = ("y", "h", "c")
    optional = 2
    gates = 4
    hidden: int = hyper(Int())
    layers: int = hyper(LAYERS, 1)
    both: bool = hyper(Flag(), False)
    dropout: float = hyper(DROPOUT, 0)
    bias: bool = hyper(Flag(), True)
    proj: int = hyper(Int(low=0), 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.proj >= self.hidden:
            raise Problem(
                "N106",
                f"`proj` of `{self.name}` is less than hidden={self.hidden}, not {self.proj}",
                helps=("`proj=0` leaves the projection out",),
            )


def _check_start(op: RecurrentLayer, states: tuple[Type, ...], given: tuple[Type, ...]) -> None:
    """N110, N206, N213 where start values are given that do not fit."""
    names = op.tensors[1:]
    if given and len(given) != len(states):
        raise Problem(
            "N110",
            f"`{op.name}` takes {' and '.join(f'`{name}`' for name in names)} together",
            helps=("without start values both are zeros",),
        )
    for name, state, x in zip(names, states, given, strict=False):
        checked_float(op.name, x)
        if x != state:
            rows = f"{op.layers} layer{'s' * (op.layers > 1)}{' in 2 directions' * op.both}"
            raise Problem(
                "N206",
                f"`{name}` of `{op.name}` must be {state}, not {x}",
                label=f"{rows}, {state.shape[1]} examples, {state.shape[2]} numbers",
            )


_STEPS = Type((2, 3, 5))
for _layer in (RNN, GRU, LSTM):
    _layer.examples = (
        Example(_layer(4), (_STEPS,)),
        Example(
            _layer(3, layers=2, both=True, dropout=0.5, bias=False),
            (_STEPS, *_layer(3, layers=2, both=True).states(_STEPS)),
        ),
    )
