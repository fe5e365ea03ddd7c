"""The U-Net against its levels written by hand in torch.nn."""

from __future__ import annotations

import pytest
import torch
from parity import assert_learns, assert_parity, images, pair
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl
from netdsl.errors import NetError


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_unet_joins_each_level_with_what_comes_up_from_below(training: bool) -> None:
    model, twin = pair(UNet, "unet", {"width": 8})
    assert list(model.state_dict()) == list(twin.state_dict())
    assert_parity(model.train(training), twin.train(training), images(2, 1, 32, 48))


def test_unet_learns() -> None:
    model = netdsl.load("unet", hyper={"width": 8}, seed=0)
    x = images(2, 1, 32, 32).float()
    target = (x[:, 0] > 0).long()
    assert_learns(model, lambda: F.cross_entropy(model(x), target), 0.05)


def test_unet_says_which_sizes_fit() -> None:
    model = netdsl.load("unet")
    with pytest.raises(NetError, match=r"axis 2: 40 is not of the form 16\*h"):
        model(torch.zeros(1, 1, 40, 32))


def double(before: int, channels: int) -> nn.Module:
    named = nn.Module()
    for i, inputs in enumerate((before, channels), start=1):
        named.add_module(f"conv{i}", nn.Conv2d(inputs, channels, 3, padding=1, bias=False))
        named.add_module(f"bn{i}", nn.BatchNorm2d(channels))
    return named


def run(layers: nn.Module, x: Tensor) -> Tensor:
    for layer in layers.children():
        x = layer(x)
        x = F.relu(x) if isinstance(layer, nn.BatchNorm2d) else x
    return x


class Level(nn.Module):
    def __init__(self, before: int, channels: int, depth: int) -> None:
        super().__init__()
        self.down = double(before, channels)
        if depth:
            self.inner = Level(channels, 2 * channels, depth - 1)
            self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
            self.merge = double(2 * channels, channels)
        self.depth = depth

    def forward(self, x: Tensor) -> Tensor:
        d = run(self.down, x)
        if not self.depth:
            return d
        return run(self.merge, torch.cat([d, self.up(self.inner(F.max_pool2d(d, 2)))], dim=1))


class UNet(nn.Module):
    """Ronneberger et al. 2015, its convolutions padded and normalised; 8 channels first, not 64."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Level(1, 8, 4)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))
