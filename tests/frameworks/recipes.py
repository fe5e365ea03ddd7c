"""The code of docs/frameworks.md by framework, a small torch.nn model in the net's place, and a
batch loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from fences import fences
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import netdsl
from netdsl.module import NetModule

FENCES = fences("docs/frameworks.md")
(TEXT,) = [fence.text for fence in FENCES if fence.is_net]


def code(framework: str) -> str:
    (text,) = [fence.text for fence in FENCES if fence.kind == f"python {framework}"]
    return text


def names(framework: str) -> dict[str, Any]:
    """What a recipe defines."""
    found: dict[str, Any] = {"__name__": framework}
    exec(code(framework), found)
    return found


class Photos(nn.Module):
    """The net in torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.fc = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 2)
        return self.fc(self.conv2(y).relu().mean((2, 3)))


def pair(dtype: torch.dtype = torch.float32) -> tuple[NetModule, Photos]:
    ours, theirs = netdsl.loads(TEXT, seed=0).to(dtype), Photos().to(dtype)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def loader(dtype: torch.dtype = torch.float32) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(24, 3, 9, 9, generator=generator, dtype=dtype)
    return DataLoader(TensorDataset(x, torch.arange(24) % 4), batch_size=6)


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 9, 9, generator=torch.Generator().manual_seed(1))


def saved(folder: Path) -> NetModule:
    """A net with running statistics of its own, written as photos.netc."""
    net = netdsl.loads(TEXT, seed=0)
    net(images(8))
    net.save(folder / "photos.netc")
    return net.eval()
