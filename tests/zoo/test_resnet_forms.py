"""The forms of ResNet that torchvision has not: the paper's own stride, and pre-activation."""

from __future__ import annotations

import pytest
import torchvision
from parity import assert_parity, images, pair
from torch import Tensor, nn
from torch.nn import functional as F

TRAINING = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


@TRAINING
def test_the_original_has_its_stride_on_the_first_convolution(training: bool) -> None:
    hyper = {"depth": 50, "original": True, "classes": 10}
    model, twin = pair(original, "resnet", hyper)
    assert_parity(model.train(training), twin.train(training), images(2, 3, 50, 37))


@TRAINING
def test_preactivation_keeps_the_path_of_the_skips_clear(training: bool) -> None:
    hyper = {"depth": 50, "pre": True, "classes": 10}
    model, twin = pair(lambda: PreResNet([3, 4, 6, 3]), "resnet", hyper)
    assert_parity(model.train(training), twin.train(training), images(2, 3, 50, 37))


def original() -> nn.Module:
    """torchvision's, which is v1.5, with the strides where He et al. 2015 have them."""
    twin = torchvision.models.resnet50(num_classes=10)
    for block in twin.modules():
        if isinstance(block, torchvision.models.resnet.Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return twin


class Unit(nn.Module):
    """He et al. 2016, figure 1b: norm and activation before each weight; `first` has them from the
    stem (appendix: "we adopt the first activation right after conv1 and before splitting")."""

    def __init__(self, before: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        if not first:
            self.norm = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        if before != 4 * width:
            self.project = nn.Conv2d(before, 4 * width, 1, stride, bias=False)
        self.first, self.projects = first, before != 4 * width

    def forward(self, x: Tensor) -> Tensor:
        a = x if self.first else F.relu(self.norm(x))
        f = self.conv2(F.relu(self.norm1(self.conv1(a))))
        f = self.conv3(F.relu(self.norm2(f)))
        return f + (self.project(a) if self.projects else x)


class PreResNet(nn.Module):
    def __init__(self, depths: list[int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(64)
        units, before = [], 64
        for stage, depth in enumerate(depths):
            for i in range(depth):
                width, stride = 64 << stage, 2 if stage and i == 0 else 1
                units.append(Unit(before, width, stride, first=not units))
                before = 4 * width
        self.units = nn.Sequential(*units)
        self.last = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = F.max_pool2d(F.relu(self.norm(self.conv(x))), 3, 2, padding=1)
        return self.fc(F.relu(self.last(self.units(y))).mean(dim=(2, 3)))
