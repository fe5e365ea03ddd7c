"""The recurrent nets of the lecture against their equations written by hand in torch.nn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from parity import assert_learns, assert_parity, images, pair, symbols, twin_of
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl


def test_vanilla_rnn_is_its_equation() -> None:
    model, twin = pair(lambda: VanillaRNN(5, 7, 3), "rnn:VanillaRNN", SMALL)
    assert list(model.state_dict()) == list(twin.state_dict())
    assert_parity(model, twin, images(4, 9, 5))


def test_elman_rnn_reads_symbols_and_writes_at_every_step() -> None:
    hyper = {"symbols": 6, "hidden": 7}
    model, twin = pair(lambda: ElmanRNN(6, 7), "rnn:ElmanRNN", hyper)
    assert_parity(model, twin, symbols(6, 4, 9))


def test_the_classifier_ends_with_the_last_state_of_each_direction() -> None:
    model, twin = pair(lambda: Classifier(5, 3), "lstm:Classifier", {"D": 5, "classes": 3})
    assert_parity(model, twin, images(2, 6, 5))


def test_char_lstm_has_the_keys_and_numbers_of_nn_lstm() -> None:
    hyper = {"symbols": 6, "hidden": 7, "layers": 2}
    model, twin = pair(lambda: CharLSTM(6, 7, 2), "lstm:CharLSTM", hyper)
    assert list(model.state_dict()) == [
        "embedding1.weight",
        *(f"lstm1.{name}" for name in nn.LSTM(64, 7, 2).state_dict()),
        "linear1.weight",
        "linear1.bias",
    ]
    assert_parity(model, twin, symbols(6, 3, 9))


@pytest.mark.parametrize("gates", ["forget", "input", "output"])
def test_a_gate_of_the_lstm_can_be_left_out(gates: str) -> None:
    model = lstm_block(f"{gates}=false")
    assert_parity(model, twin_of(model, lambda: LSTM(5, 7, without=gates)), images(2, 6, 5))
    assert not any(gates in key for key in model.state_dict())


def test_an_lstm_without_gates_is_a_residual_net_through_time() -> None:
    model = lstm_block("forget=false, input=false, output=false")
    residual = netdsl.loads(SEQUENCE.format("ResidualThroughTime(7)")).double()
    residual.load_state_dict(model.state_dict())
    assert_parity(model, residual, images(2, 6, 5))


LEARNERS: dict[str, tuple[dict[str, object], Callable[[], tuple[Tensor, Tensor]]]] = {
    "rnn:VanillaRNN": ({"D": 5}, lambda: (images(4, 9, 5).float(), torch.arange(4))),
    "rnn:ElmanRNN": ({"symbols": 6}, lambda: (symbols(6, 4, 9), symbols(6, 4, 9))),
    "lstm:Classifier": ({"D": 5}, lambda: (images(4, 9, 5).float(), torch.arange(4))),
    "lstm:CharLSTM": ({"symbols": 6, "hidden": 16}, lambda: (symbols(6, 4, 9), symbols(6, 4, 9))),
}


@pytest.mark.parametrize("target", LEARNERS)
def test_a_recurrent_net_learns(target: str) -> None:
    hyper, draw = LEARNERS[target]
    model = netdsl.load(target, hyper=hyper, seed=0)
    x, wanted = draw()

    def loss() -> Tensor:
        result = model(x)
        y = result if isinstance(result, Tensor) else result[0]
        return F.cross_entropy(y.flatten(0, -2), wanted.flatten())

    assert_learns(model, loss, 0.1)


SMALL = {"D": 5, "hidden": 7, "classes": 3}
SEQUENCE = """
from lstm import LSTM, ResidualThroughTime
net A(x: [N, T, 5]) -> (h: [N, T, 7], c: [N, T, 7]) {{
  h, c = x -> {} as cell
}}
"""


def lstm_block(gates: str) -> nn.Module:
    return netdsl.loads(SEQUENCE.format(f"LSTM(7, {gates})"), seed=0).double()


class VanillaRNN(nn.Module):
    """h_t = relu(W [x_t; h_{t-1}] + b), y = V h_T + c."""

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(inputs + hidden, hidden))
        self.b = nn.Parameter(torch.empty(hidden))
        self.linear1 = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), len(self.b))
        for x_t in x.unbind(1):
            h = F.relu(torch.cat([x_t, h], 1) @ self.W + self.b)
        return self.linear1(h)


class ElmanRNN(nn.Module):
    def __init__(self, count: int, hidden: int) -> None:
        super().__init__()
        self.W = nn.Linear(count + hidden, hidden)
        self.V = nn.Linear(hidden, count)

    def forward(self, x: Tensor) -> Tensor:
        h = self.W.weight.new_zeros(len(x), self.W.out_features)
        ys = []
        for x_t in F.one_hot(x, self.V.out_features).to(h.dtype).unbind(1):
            h = F.relu(self.W(torch.cat([x_t, h], 1)))
            ys.append(self.V(h))
        return torch.stack(ys, 1)


class LSTM(nn.Module):
    """Hochreiter & Schmidhuber 1997, Gers et al. 2000; a gate left out is 1."""

    def __init__(self, inputs: int, hidden: int, without: str = "") -> None:
        super().__init__()
        for gate in ("forget", "input", "output"):
            if gate != without:
                self.add_module(f"{gate}_gate", nn.Linear(inputs + hidden, hidden))
        self.candidate = nn.Linear(inputs + hidden, hidden)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = c = x.new_zeros(len(x), self.candidate.out_features)
        hs, cs = [], []
        for x_t in x.unbind(1):
            z = torch.cat([x_t, h], 1)
            f, i, o = (self._gate(name, z) for name in ("forget", "input", "output"))
            c = f * c + i * torch.tanh(self.candidate(z))
            h = o * torch.tanh(c)
            hs.append(h)
            cs.append(c)
        return torch.stack(hs, 1), torch.stack(cs, 1)

    def _gate(self, name: str, z: Tensor) -> Tensor:
        gate = self._modules.get(f"{name}_gate")
        return z.new_ones(()) if gate is None else torch.sigmoid(gate(z))


class Classifier(nn.Module):
    """An LSTM, then a net that runs through its states in both directions."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.lstm1 = LSTM(inputs, 256)
        self.ahead = nn.Linear(256 + 64, 64)
        self.back = nn.Linear(256 + 64, 64)
        self.linear1 = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.lstm1(x)
        f = b = h.new_zeros(len(x), 64)
        for t in range(x.shape[1]):
            f = torch.tanh(self.ahead(torch.cat([h[:, t], f], 1)))
            b = torch.tanh(self.back(torch.cat([h[:, -1 - t], b], 1)))
        return self.linear1(torch.cat([f, b], 1))


class CharLSTM(nn.Module):
    def __init__(self, count: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embedding1 = nn.Embedding(count, 64)
        self.lstm1 = nn.LSTM(64, hidden, layers, batch_first=True)
        self.linear1 = nn.Linear(hidden, count)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s, (h, c) = self.lstm1(self.embedding1(x))
        return self.linear1(s), h, c
