"""The recipes of docs/pytorch.md, with their net and with the same layers in torch.nn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fences import Fence, fences, folder_of
from tolerances import NET, NET_GRADIENT, assert_close
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import netdsl
from netdsl.module import NetModule

FENCES = fences("docs/pytorch.md")
(NET_FENCE,) = [fence for fence in FENCES if fence.is_net]


class Photos(nn.Module):
    """The net of the page in torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        conv1, conv2, conv3 = (nn.Conv2d(c, k, 3, padding=1) for c, k in ((3, 8), (8, 8), (8, 16)))
        layers = conv1, nn.ReLU(), conv2, nn.ReLU(), nn.MaxPool2d(2), conv3, nn.ReLU()
        self.features, self.norm = nn.Sequential(*layers), nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.features(x)).mean((2, 3)))


def pair() -> tuple[NetModule, Photos]:
    """Both in float64 with the same numbers, without dropout."""
    ours = netdsl.loads(NET_FENCE.text.replace("dropout(0.5)", "dropout(0)"), seed=0).double()
    theirs = Photos().double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def images(*size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, 3, *size, generator=generator, dtype=torch.float64)


def recipe(word: str) -> dict[str, Any]:
    """What the recipe with that word in it defines."""
    found: list[Fence] = [f for f in FENCES if f.kind == "python" and word in f.text]
    names: dict[str, Any] = {}
    exec(found[0].text, names)
    return names


def test_a_new_head_with_frozen_statistics_learns_as_in_torch() -> None:
    ours, theirs = pair()
    head = nn.Linear(16, 4).double()
    target = torch.tensor([0, 1, 2])
    losses = []
    for model in (ours, theirs):
        model.fc = nn.Linear(16, 4).double()
        model.fc.load_state_dict(head.state_dict())
        model.features.requires_grad_(False)
        model.train()
        model.norm.eval()
        rest = [p for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(rest, lr=1e-2, fused=True)
        for step in range(3):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(images(20, 24, seed=step)), target)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimiser.step()
            losses.append(loss.detach())
    for got, expected in zip(losses[:3], losses[3:], strict=True):
        assert_close(got, expected, NET)
    for name, expected in theirs.state_dict().items():
        assert_close(ours.state_dict()[name], expected, NET_GRADIENT, name)
    assert not torch.equal(ours.fc.weight, head.weight)


@pytest.mark.parametrize("size", [(20, 24), (33, 17), (7, 64)])
def test_a_perceptual_loss_is_torchs_at_any_size(tmp_path, size) -> None:
    with folder_of([NET_FENCE], tmp_path):
        distance = recipe("class Perceptual")["distance"].double()
    theirs = Photos().double()
    theirs.features.load_state_dict(distance.features.features.state_dict(), strict=False)
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    shift, scale = (torch.tensor(v).double().view(3, 1, 1) for v in (mean, std))

    def stages(x: Tensor) -> list[Tensor]:
        first = theirs.features[:2]((x - shift) / scale)
        return [first, theirs.features[2:4](first)]

    target, found = images(*size, seed=1), []
    for measure in (distance, None):
        x = images(*size).requires_grad_()
        if measure is None:
            pairs = zip(stages(x), stages(target), strict=True)
            value = sum(nn.functional.mse_loss(a, b) for a, b in pairs)
        else:
            value = measure(x, target)
        value.backward()
        found.append((value, x.grad))
    # the recipe's constants are in float32 until `double()`
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_children_are_torchs(tmp_path, reentrant: bool) -> None:
    with folder_of([NET_FENCE], tmp_path):
        wrapper = recipe("class Checkpointed")["Checkpointed"]
    found = []
    for model in pair():
        model.eval()
        model.features = wrapper(model.features)
        x = images(9, 11).requires_grad_()
        y = checkpoint(model, x, use_reentrant=reentrant)
        y.sin().sum().backward()
        found.append((y, x.grad, {n: p.grad for n, p in model.named_parameters()}))
    (y, dx, got), (expected, expected_dx, expected_got) = found
    assert_close(y, expected, NET)
    assert_close(dx, expected_dx, NET_GRADIENT)
    for name, gradient in expected_got.items():
        assert_close(got[name], gradient, NET_GRADIENT, name)


def test_a_backend_is_swapped_between_steps_of_training() -> None:
    ours, theirs = pair()
    optimisers = [torch.optim.Adam(m.parameters(), lr=1e-3, eps=1e-3) for m in (ours, theirs)]
    for step, backend in enumerate(("auto", "reference", "auto", "reference")):
        ours.backend = backend
        for model, optimiser in zip((ours, theirs), optimisers, strict=True):
            optimiser.zero_grad()
            model.train()(images(9, 11, seed=step)).square().sum().backward()
            optimiser.step()
        with torch.no_grad():
            assert_close(ours.eval()(images(5, 6)), theirs.eval()(images(5, 6)), NET_GRADIENT)
    for name, expected in theirs.state_dict().items():
        assert_close(ours.state_dict()[name], expected, NET_GRADIENT, name)
