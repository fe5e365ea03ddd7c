"""The mobile net, an op of Python's in it, against the same net written by hand in torch.nn."""

from __future__ import annotations

import pytest
import torch
from parity import assert_learns, assert_parity, images, scatter, twin_of
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl


def deform(x: Tensor, offset: Tensor, k: int) -> Tensor:
    """Any function of the two tensors will do."""
    return x * torch.sigmoid(offset.mean(dim=1, keepdim=True) / k)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_mobile_net_is_its_blocks_and_the_op_that_python_supplies(training: bool) -> None:
    model = netdsl.load("mobilenet_block", ops={"deform": deform}).double()
    scatter(model)
    twin = twin_of(model, Mobile)
    assert_parity(model.train(training), twin.train(training), images(2, 3, 17, 24))


def test_the_mobile_net_learns() -> None:
    model = netdsl.load("mobilenet_block", ops={"deform": deform}, seed=0)
    x, target = images(4, 3, 16, 16).float(), torch.arange(4)
    assert_learns(model, lambda: F.cross_entropy(model(x), target), 0.05)


class SE(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, channels // 4)
        self.linear2 = nn.Linear(channels // 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        s = torch.sigmoid(self.linear2(F.relu(self.linear1(x.mean(dim=(2, 3))))))
        return x * s[:, :, None, None]


def inverted(before: int, channels: int, stride: int) -> nn.Module:
    wide = 6 * before
    return nn.Sequential(
        nn.Conv2d(before, wide, 1, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU6(),
        nn.Conv2d(wide, wide, 3, stride, padding=1, groups=wide, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU6(),
        SE(wide),
        nn.Conv2d(wide, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


class Dense(nn.ModuleList):
    def __init__(self, before: int, growth: int, layers: int) -> None:
        widths = range(before, before + growth * layers, growth)
        super().__init__(
            nn.Sequential(
                nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, growth, 3, padding=1, bias=False)
            )
            for c in widths
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = torch.cat([x, layer(x)], dim=1)
        return x


class Mobile(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, padding=1),
            inverted(32, 16, 1),
            inverted(16, 24, 2),
            Dense(24, 12, 4),
        )
        self.offset = nn.Conv2d(72, 18, 3, padding=1)
        self.linear = nn.Linear(72, 1000)

    def forward(self, x: Tensor) -> Tensor:
        a = self.body(x)
        return self.linear(deform(a, self.offset(a), 3).mean(dim=(2, 3)))
