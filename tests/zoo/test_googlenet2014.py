"""GoogLeNet as its paper has it against table 1 written by hand in torch.nn."""

from __future__ import annotations

import pytest
import torch
from parity import assert_parity, images, pair
from torch import Tensor, nn
from torch.nn import functional as F

# table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
TABLE_1 = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_googlenet_of_2014_is_the_net_of_the_paper(training: bool) -> None:
    model, twin = pair(GoogLeNet, "googlenet2014", {"classes": 10})
    for net in (model, twin):
        net.train(training)
        for name, module in net.named_modules():
            if "dropout" in name:
                module.eval()
    assert_parity(model, twin, images(1, 3, 224, 224))


class Inception(nn.Module):
    def __init__(self, before: int, c1: int, r3: int, c3: int, r5: int, c5: int, p: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(before, c1, 1)
        self.reduce3, self.three = nn.Conv2d(before, r3, 1), nn.Conv2d(r3, c3, 3, padding=1)
        self.reduce5, self.five = nn.Conv2d(before, r5, 1), nn.Conv2d(r5, c5, 5, padding=2)
        self.project = nn.Conv2d(before, p, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.three(F.relu(self.reduce3(x)))
        five = self.five(F.relu(self.reduce5(x)))
        project = self.project(F.max_pool2d(x, 3, 1, padding=1))
        return F.relu(torch.cat([self.one(x), three, five, project], dim=1))


class Aux(nn.Module):
    """A classifier beside the net, section 5."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, 128, 1)
        self.fc1, self.dropout, self.fc2 = (
            nn.Linear(2048, 1024),
            nn.Dropout(0.7),
            nn.Linear(1024, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(F.avg_pool2d(x, 5, 3))).flatten(1)
        return self.fc2(self.dropout(F.relu(self.fc1(y))))


class GoogLeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3)
        self.conv2, self.conv3 = nn.Conv2d(64, 64, 1), nn.Conv2d(64, 192, 3, padding=1)
        before = 192
        for name, (c1, r3, c3, r5, c5, p) in TABLE_1.items():
            self.add_module(name, Inception(before, c1, r3, c3, r5, c5, p))
            before = c1 + c3 + c5 + p
        self.aux1, self.aux2 = Aux(512), Aux(528)
        self.dropout, self.fc = nn.Dropout(0.4), nn.Linear(1024, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = F.local_response_norm(half(F.relu(self.conv1(x))), 5)
        y = F.relu(self.conv3(F.relu(self.conv2(y))))
        y = half(F.local_response_norm(y, 5))
        seen = {}
        for name in TABLE_1:
            y = seen[name] = self.get_submodule(name)(y)
            y = half(y) if name in ("3b", "4e") else y
        y = self.fc(self.dropout(y.mean(dim=(2, 3))))
        return (y, self.aux1(seen["4a"]), self.aux2(seen["4d"])) if self.training else (y,)


def half(x: Tensor) -> Tensor:
    """Caffe's pool, which rounds up."""
    return F.max_pool2d(x, 3, 2, ceil_mode=True)
