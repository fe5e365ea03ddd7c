"""Nets, each as ours and as torch's: LeNet, ResNet-18, the latter narrowed, and one without batch
norm."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

import netdsl

GROUPS = """netdsl 1
net Groups(x: [N, 3, H, W]) {
  a = x -> conv(8, 3, bias=false) as conv1 -> gn(4) as norm1 -> gelu
  b = a -> conv(8, 3, bias=false) as conv2 -> gn(2) as norm2
  return relu(a + b) -> global_avg_pool -> ln as norm3 -> linear(5) as fc
}
"""

SMALL = """netdsl 1
net Small(x: [N, 3, H, W]) {
  return x -> conv(6, 3, bias=false) as conv1 -> bn as bn1 -> relu
           -> conv(8, 3, bias=false) as conv2 -> bn as bn2 -> relu
           -> global_avg_pool -> linear(5) as fc
}
"""


class LeNet(nn.Module):
    """models/lenet.net in torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.linear1, self.linear2 = nn.Linear(400, 120), nn.Linear(120, 84)
        self.linear3 = nn.Linear(84, 10)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.conv1(x).tanh())
        y = self.pool(self.conv2(y).tanh()).flatten(1)
        return self.linear3(self.linear2(self.linear1(y).tanh()).tanh())


class Groups(nn.Module):
    """GROUPS in torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.GroupNorm(4, 8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.GroupNorm(2, 8)
        self.norm3, self.fc = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        a = nn.functional.gelu(self.norm1(self.conv1(x)))
        b = self.norm2(self.conv2(a))
        return self.fc(self.norm3((a + b).relu().mean((2, 3))))


class Small(nn.Module):
    """SMALL in torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        return self.fc(y.mean((2, 3)))


class Narrow(torchvision.models.ResNet):
    """ResNet-18 with 64 channels in every stage: 0.7 million parameters of 11."""

    def __init__(self) -> None:
        super().__init__(torchvision.models.resnet.BasicBlock, [2, 2, 2, 2])
        self.fc = nn.Linear(64, 7)

    def _make_layer(self, block: type, planes: int, blocks: int, **rest: Any) -> nn.Sequential:
        return super()._make_layer(block, 64, blocks, **rest)


def narrow() -> nn.Module:
    """`Narrow` as ours."""
    text = (files("netdsl.models") / "resnet.net").read_text()
    text = re.sub(r"Unit\((128|256|512),", "Unit(64,", text)
    return netdsl.loads(text, hyper={"depth": 18, "classes": 7}, seed=0)


@dataclass(frozen=True)
class Net:
    """How to make both sides, and the shape of an input of one image."""

    ours: Callable[[], nn.Module]
    theirs: Callable[[], nn.Module]
    image: tuple[int, ...]


NETS = {
    "lenet": Net(lambda: netdsl.load("lenet", seed=0), LeNet, (1, 32, 32)),
    "resnet18": Net(
        lambda: netdsl.load("resnet", hyper={"depth": 18, "classes": 7}, seed=0),
        lambda: torchvision.models.resnet18(num_classes=7),
        (3, 33, 33),  # 2 × 2 at its last stage: normalised over 12 values
    ),
    "small": Net(lambda: netdsl.loads(SMALL, seed=0), Small, (3, 8, 10)),
    "narrow": Net(narrow, Narrow, (3, 33, 33)),
    "groups": Net(lambda: netdsl.loads(GROUPS, seed=0), Groups, (3, 8, 10)),
}


@cache
def _made(name: str) -> tuple[nn.Module, nn.Module]:
    ours, theirs = NETS[name].ours(), NETS[name].theirs()
    with torch.no_grad():
        for parameter in ours.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5)
    theirs.load_state_dict(ours.state_dict())
    return ours.double(), theirs.double()


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    """Both sides in float64 and training mode, with the same numbers, for one test alone."""
    return copy.deepcopy(_made(name))


def images(name: str, count: int = 3) -> Tensor:
    """A batch in float64, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, *NETS[name].image, dtype=torch.float64, generator=generator)
