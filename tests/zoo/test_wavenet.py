"""WaveNet against its layers written by hand in torch.nn; that it sees the past only."""

from __future__ import annotations

import torch
from parity import assert_learns, assert_parity, pair, symbols
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl

WAVENET = {"levels": 8, "channels": 6, "skip": 10, "cycles": 2, "doublings": 3}


def test_wavenet_is_a_stack_of_dilated_causal_convolutions() -> None:
    model, twin = pair(lambda: WaveNet(8, 6, 10, [1, 2, 4, 1, 2, 4]), "wavenet", WAVENET)
    assert_parity(model, twin, symbols(8, 2, 20))


def test_wavenet_sees_the_past_only() -> None:
    model = netdsl.load("wavenet", hyper=WAVENET, seed=0).double()
    x = symbols(8, 1, 20)
    later = x.clone()
    later[0, 12] = (x[0, 12] + 1) % 8
    same = (model(x) == model(later)).all(dim=1)[0]
    assert same[:12].all() and not same[12:].all()


def test_ten_doublings_see_1024_samples() -> None:
    """Section 2.1; the causal convolution in front sees one more."""
    model = netdsl.load("wavenet", hyper={**WAVENET, "cycles": 1, "doublings": 10}, seed=0)
    model = model.double()  # the oldest sample is heard faintly
    x = torch.zeros(1, 1030, dtype=torch.long)
    seen = []
    for age in (1024, 1025):
        other = x.clone()
        other[0, -1 - age] = 1
        seen.append(not model(x)[..., -1].equal(model(other)[..., -1]))
    assert seen == [True, False]


def test_wavenet_learns_the_next_sample() -> None:
    model = netdsl.load("wavenet", hyper=WAVENET, seed=0)
    x = symbols(8, 2, 21)
    assert_learns(model, lambda: F.cross_entropy(model(x[:, :-1]), x[:, 1:]), 0.5)


class Causal(nn.Conv1d):
    """Zeros before the first sample only."""

    def __init__(self, before: int, channels: int, dilation: int = 1) -> None:
        super().__init__(before, channels, 2, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (self.dilation[0], 0)))


class GatedLayer(nn.Module):
    def __init__(self, channels: int, skip: int, dilation: int, last: bool) -> None:
        super().__init__()
        self.filter = Causal(channels, channels, dilation)
        self.gate = Causal(channels, channels, dilation)
        self.skip = nn.Conv1d(channels, skip, 1)
        self.residual = None if last else nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))
        return x if self.residual is None else x + self.residual(z), self.skip(z)


class WaveNet(nn.Module):
    """van den Oord et al. 2016, figure 4, unconditioned."""

    def __init__(self, levels: int, channels: int, skip: int, dilations: list[int]) -> None:
        super().__init__()
        self.causal = Causal(levels, channels)
        last = len(dilations) - 1
        self.layers = nn.ModuleList(
            GatedLayer(channels, skip, d, i == last) for i, d in enumerate(dilations)
        )
        self.conv1 = nn.Conv1d(skip, skip, 1)
        self.conv2 = nn.Conv1d(skip, levels, 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = self.causal.in_channels
        y = self.causal(F.one_hot(x, levels).to(self.causal.weight.dtype).transpose(1, 2))
        total = torch.zeros(())
        for layer in self.layers:
            y, s = layer(y)
            total = total + s
        return self.conv2(F.relu(self.conv1(F.relu(total))))
