"""Nets whose layers are normalised against the same in torch.nn."""

from __future__ import annotations

import torch
from parity import assert_learns, assert_parity, images, pair
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl


def test_the_multilayer_perceptron_normalises_every_hidden_layer() -> None:
    model, twin = pair(lambda: perceptron(64), "layernorm:LayerNormMLP", {"hidden": 64})
    assert_parity(model, twin, images(3, 1, 28, 28))


def test_a_convolutional_layer_is_all_maps_of_an_example() -> None:
    model, twin = pair(convolutions, "layernorm:LayerNormConv")
    assert_parity(model, twin, images(3, 1, 28, 28))


def test_a_recurrent_layer_is_normalised_at_every_step() -> None:
    model, twin = pair(Recurrent, "layernorm:LayerNormRNN", {"D": 5, "hidden": 16})
    assert_parity(model, twin, images(3, 7, 5))


def test_an_example_is_normalised_alone() -> None:
    model = netdsl.load("layernorm:LayerNormConv", seed=0).double()
    x = images(4, 1, 28, 28)
    torch.testing.assert_close(model(x)[:1], model.eval()(x[:1]), rtol=1e-12, atol=1e-12)


def test_a_net_with_layer_normalisation_learns() -> None:
    model = netdsl.load("layernorm:LayerNormMLP", seed=0)
    x, target = images(6, 1, 28, 28).float(), torch.arange(6)
    assert_learns(model, lambda: F.cross_entropy(model(x), target), 0.05)


def perceptron(hidden: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, hidden, bias=False),
        nn.LayerNorm(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden, bias=False),
        nn.LayerNorm(hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False),
        nn.LayerNorm([32, 28, 28]),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
        nn.LayerNorm([64, 14, 14]),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 10),
    )


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sums = nn.Linear(5 + 16, 16, bias=False)
        self.norm = nn.LayerNorm(16)
        self.out = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], 16)
        for t in range(x.shape[1]):
            h = torch.tanh(self.norm(self.sums(torch.cat([x[:, t], h], dim=1))))
        return self.out(h)
