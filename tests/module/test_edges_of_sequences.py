"""Sequences of no steps, batches of none and loops over nothing: as torch.nn has them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact
from torch import Tensor, nn

import netdsl
from netdsl.module import NetModule


class Loop(nn.Module):
    """The recurrence below, as one writes it with torch."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(9, 5)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        h, hs = x.new_zeros(len(x), 5), []
        for t in range(x.shape[1]):
            h = self.cell(torch.cat([x[:, t], h], 1)).tanh()
            hs.append(h)
        return (torch.stack(hs, 1),)


RECUR = """recur t in 1..T {
  h[0]: [N, 5] = 0
  h[t] = concat(x[t], h[t-1]) -> linear(5) as cell -> tanh
}
return h"""

NETS: dict[str, tuple[str, Any]] = {
    "recur": (RECUR, Loop),
    "rnn": ("y, h = x -> rnn(5)\nreturn y", lambda: nn.RNN(4, 5, batch_first=True)),
    "gru": ("y, h = x -> gru(5)\nreturn y", lambda: nn.GRU(4, 5, batch_first=True)),
    "lstm": ("y, h, c = x -> lstm(5)\nreturn y", lambda: nn.LSTM(4, 5, batch_first=True)),
    "deep": (
        "y, h = x -> gru(5, layers=2, both=true)\nreturn y",
        lambda: nn.GRU(4, 5, 2, batch_first=True, bidirectional=True),
    ),
}


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", NETS)
def test_a_sequence_of_no_steps_is_torchs_error(name: str, training: bool, backend: str) -> None:
    model, twin = pair(name, backend)
    for net in (model.train(training), twin.train(training)):
        for batch in (2, 0):
            with pytest.raises(RuntimeError):
                net(torch.zeros(batch, 0, 4).double())
    with pytest.raises(netdsl.InputError, match="step"):
        model(torch.zeros(2, 0, 4).double())
    x = torch.randn(2, 3, 4).double()
    assert_close(model(x), twin(x)[0], NET)  # a call that fits is none the worse for it


@pytest.mark.parametrize("shape", [(0, 3, 4), (1, 1, 4), (0, 1, 4)], ids=str)
@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("name", NETS)
def test_a_batch_of_none_and_a_single_step_have_torchs_gradients(
    name: str, backend: str, shape: tuple[int, ...]
) -> None:
    found = []
    for net in pair(name, backend):
        x = torch.ones(shape, dtype=torch.float64, requires_grad=True)
        made = net(x)
        y = made[0] if isinstance(made, tuple) else made
        y.sin().sum().backward()
        found.append([y, x.grad, *[p.grad for p in net.parameters()]])
    for got, expected in zip(*found, strict=True):
        assert got.shape == expected.shape
        assert_close(got, expected.detach(), NET_GRADIENT)


def test_a_loop_over_nothing_is_no_layer() -> None:
    text = """net A(x: [N, 4]; widths = [], n = 0) {
      return x -> for w in widths { linear(w) } -> repeat n { relu }
    }
    """
    model = netdsl.loads(text)
    x = torch.randn(3, 4)
    assert not model.state_dict()
    assert_exact(model(x), nn.Sequential()(x))
    assert netdsl.loads(text, hyper={"widths": [5, 2], "n": 1})(x).shape == (3, 2)


def pair(name: str, backend: str) -> tuple[NetModule, nn.Module]:
    """Ours and torch's with the same numbers, in float64."""
    body, make = NETS[name]
    model = netdsl.loads(f"net A(x: [N, T, 4]) {{\n{body}\n}}", seed=0, backend=backend).double()
    twin = make().double()
    with torch.no_grad():
        for p, q in zip(twin.parameters(), model.parameters(), strict=True):
            p.copy_(q)
    return model, twin
