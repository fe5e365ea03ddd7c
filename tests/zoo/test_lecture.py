"""The lecture's nets against the same nets written by hand in torch.nn."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from parity import assert_learns, assert_parity, images, pair
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl

TRAINING = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


@TRAINING
def test_lenet_is_the_sequence_of_its_layers(training: bool) -> None:
    model, twin = pair(lenet, "lenet")
    assert_parity(model.train(training), twin.train(training), images(3, 1, 32, 32))


@TRAINING
def test_dannet_is_the_sequence_of_its_layers(training: bool) -> None:
    model, twin = pair(column, "dannet:DanNet")
    assert_parity(model.train(training), twin.train(training), images(3, 1, 29, 29))


def test_mcdnn_is_the_mean_of_its_columns_probabilities() -> None:
    model, twin = pair(Columns, "dannet:MCDNN")
    assert_parity(model, twin, images(3, 1, 29, 29))


@TRAINING
@pytest.mark.parametrize("skip", [True, False], ids=["residual", "plain"])
def test_cifar_resnet_is_the_net_of_the_paper(training: bool, skip: bool) -> None:
    model, twin = pair(lambda: ResNetCIFAR(3, skip), "resnet_cifar", {"depth": 20, "skip": skip})
    assert_parity(model.train(training), twin.train(training), images(3, 3, 32, 32))


def test_alexnet2012_is_the_original_with_groups_and_response_normalisation() -> None:
    model, twin = pair(alexnet2012, "alexnet2012", {"hidden": 64})
    assert_parity(model.eval(), twin.eval(), images(1, 3, 227, 227))


def test_siamese_encodes_both_images_with_the_same_weights() -> None:
    model, twin = pair(Siamese, "siamese")
    a, b = images(6, 1, 28, 28).split(3)
    assert_parity(model, twin, a, b)
    assert model(a, a).distance.equal(torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("target", ["lenet", "dannet:DanNet", "dannet:MCDNN", "resnet_cifar"])
def test_a_net_of_the_lecture_learns(target: str) -> None:
    model = netdsl.load(target, seed=0)
    size = {"lenet": 32, "resnet_cifar": 32}.get(target, 29)
    x = images(6, 3 if target == "resnet_cifar" else 1, size, size).float()
    assert_learns(model, lambda: F.cross_entropy(model(x), torch.arange(6)), 0.05)


def test_alexnet2012_learns() -> None:
    model = netdsl.load("alexnet2012", hyper={"hidden": 64, "classes": 4}, seed=0).eval()
    x, target = images(2, 3, 227, 227).float(), torch.arange(2)
    assert_learns(model, lambda: F.cross_entropy(model(x), target), 0.02)


def test_siamese_learns_to_tell_two_pairs_apart() -> None:
    model = netdsl.load("siamese", seed=0)
    a, b = images(8, 1, 28, 28).float().split(4)
    wanted = torch.tensor([0.0, 2.0, 0.0, 2.0])
    assert_learns(model, lambda: F.mse_loss(model(a, b).distance, wanted), 0.02)


def lenet() -> nn.Module:
    """LeNet-5, LeCun et al. 1998."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


class Squash(nn.Module):
    """The scaled tanh."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * x)


def column() -> nn.Module:
    """One column, Ciresan et al. 2011: 20C4-MP2-40C5-MP3-150N-10N."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 4),
        Squash(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 40, 5),
        Squash(),
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Linear(360, 150),
        Squash(),
        nn.Linear(150, 10),
    )


class Columns(nn.Module):
    """Several columns, their probabilities averaged (Ciresan et al. 2012)."""

    def __init__(self, count: int = 5) -> None:
        super().__init__()
        self.columns = nn.ModuleList(column() for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([c(x).softmax(dim=1) for c in self.columns]).mean(dim=0)


def alexnet2012() -> nn.Module:
    """Krizhevsky et al. 2012, the halves of its two GPUs as groups; 64 hidden units, not 4096."""
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4),
        nn.ReLU(),
        nn.LocalResponseNorm(5),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2),
        nn.ReLU(),
        nn.LocalResponseNorm(5),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(256 * 6 * 6, 64),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(64, 1000),
    )


class Siamese(nn.Module):
    """One encoder for both images; the distance of the two codes."""

    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 128),
        )

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ea, eb = self.enc(a), self.enc(b)
        return torch.linalg.vector_norm(ea - eb, dim=1), ea, eb


class Basic(nn.Module):
    """Two convolutions; its shortcut, of option A, subsamples and appends channels of zeros."""

    def __init__(self, before: int, channels: int, stride: int, skip: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if not self.skip:
            return F.relu(y)
        stride, missing = self.conv1.stride[0], y.shape[1] - x.shape[1]
        return F.relu(y + F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, missing)))


class ResNetCIFAR(nn.Module):
    """He et al. 2015, section 4.2: 6 n + 2 layers."""

    def __init__(self, n: int, skip: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        widths = [16] * (n + 1) + [32] * n + [64] * n
        self.blocks = nn.Sequential(
            *[Basic(before, c, 1 if before == c else 2, skip) for before, c in pairwise(widths)]
        )
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.fc(y.mean(dim=(2, 3)))
