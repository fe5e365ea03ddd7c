"""SE-ResNet against torchvision's ResNet with hand-written squeeze and excitation."""

from __future__ import annotations

import pytest
import torch
import torchvision
from parity import assert_learns, assert_parity, images, pair
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_se_resnet50_is_a_resnet_whose_blocks_weigh_their_channels(training: bool) -> None:
    model, twin = pair(se_resnet50, "se_resnet")
    assert list(model.state_dict()) == list(twin.state_dict())
    assert_parity(model.train(training), twin.train(training), images(2, 3, 65, 33))


def test_se_resnet50_learns() -> None:
    model = netdsl.load("se_resnet", seed=0)
    x, target = images(4, 3, 32, 32).float(), torch.arange(4)
    assert_learns(model, lambda: F.cross_entropy(model(x), target), 0.01)


class SE(nn.Module):
    def __init__(self, channels: int, r: int) -> None:
        super().__init__()
        self.W1 = nn.Linear(channels, channels // r)
        self.W2 = nn.Linear(channels // r, channels)

    def forward(self, u: Tensor) -> Tensor:
        s = torch.sigmoid(self.W2(F.relu(self.W1(u.mean(dim=(2, 3))))))
        return u * s[:, :, None, None]


class SEBottleneck(torchvision.models.resnet.Bottleneck):
    """Hu et al. 2017, figure 3: torchvision's block, its last normalisation followed by SE."""

    def __init__(self, inplanes: int, planes: int, *args: object, **keywords: object) -> None:
        super().__init__(inplanes, planes, *args, **keywords)
        downsample = self.downsample
        del self.downsample  # registered behind `se`, as our text has them
        self.se = SE(4 * planes, 16)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        f = F.relu(self.bn1(self.conv1(x)))
        f = F.relu(self.bn2(self.conv2(f)))
        f = self.se(self.bn3(self.conv3(f)))
        return F.relu(f + (x if self.downsample is None else self.downsample(x)))


def se_resnet50() -> nn.Module:
    return torchvision.models.ResNet(SEBottleneck, [3, 4, 6, 3])
