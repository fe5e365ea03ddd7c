"""ResNet-18 with hooks, heads and blocks of one's own does what torchvision's does with them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from parity import images, pair
from tolerances import NET, assert_close, assert_gradients_close
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from netdsl.module import NetModule


def test_hooks_of_all_modules_see_the_same_tensors_in_the_same_order() -> None:
    logs, grads = [], []
    model, twin = both()
    names = [name for name, _ in model.named_modules() if name]
    for net in (model, twin):
        log: list[tuple[str, Tensor]] = []
        for name in names:
            record(net.get_submodule(name), name, log)
        step(net)
        logs.append(log)
        grads.append(gradients(net))
    assert [name for name, _ in logs[0]] == [name for name, _ in logs[1]]
    assert len(logs[0]) == 3 * len(names) - 8
    for (name, seen), (_, expected) in zip(*logs, strict=True):
        assert_close(seen, expected, NET, name, floor=1e-6)
    assert_gradients_close(*grads)


def record(module: nn.Module, name: str, log: list[tuple[str, Tensor]]) -> None:
    module.register_forward_pre_hook(lambda m, xs: log.append((name, xs[0].clone())))
    module.register_forward_hook(lambda m, xs, y: log.append((name, y.clone())))
    if not name.endswith("bn2"):  # torchvision adds to its result in place
        module.register_full_backward_hook(lambda m, dxs, dys: log.append((name, dys[0])))


@pytest.mark.parametrize("name", ["layer1.0", "layer2", "layer2.0.downsample", "bn1"])
def test_what_a_hook_returns_goes_on(name: str) -> None:
    model, twin = both()
    for net in (model, twin):
        net.get_submodule(name).register_forward_hook(lambda m, xs, y: y.tanh())
    compare_steps(model, twin)


def test_a_net_is_finetuned_with_a_new_head_and_frozen_blocks() -> None:
    model, twin = both()
    for net in (model, twin):
        torch.manual_seed(1)
        net.fc = nn.Linear(512, 37).double()
        net.layer1.requires_grad_(False).eval()
        net.bn1.eval()
    assert list(model.state_dict()) == list(twin.state_dict())
    optimisers = [
        torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1, momentum=0.9)
        for net in (model, twin)
    ]
    for _ in range(2):
        compare_steps(model, twin)
        for optimiser in optimisers:
            optimiser.step()
    assert all(p.grad is None for p in model.layer1.parameters())
    with torch.no_grad():
        y = model.eval()(images(2, 3, 64, 64))
        assert_close(y, twin.eval()(images(2, 3, 64, 64)), NET)
    assert y.shape == (2, 37)


def test_blocks_may_be_others_wrapped_and_parametrised() -> None:
    model, twin = both()
    for net in (model, twin):
        torch.manual_seed(1)
        setattr(net.layer1, "0", torchvision.models.resnet.BasicBlock(64, 64))
        setattr(net.layer3, "1", nn.Identity())
        net.layer2 = nn.Sequential(net.layer2, nn.Conv2d(128, 128, 1))
        parametrizations.weight_norm(net.get_submodule("layer4.0.conv1"))
        net.double()
    assert sorted(model.state_dict()) == sorted(twin.state_dict())
    compare_steps(model, twin)


def both() -> tuple[NetModule, Any]:
    """Ours and torchvision's, whose relus overwrite nothing: it would not stand these hooks."""
    model, twin = pair(torchvision.models.resnet18, "resnet", {"depth": 18})
    for module in twin.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return model, twin


def step(net: nn.Module) -> Tensor:
    net.zero_grad()
    y = net(images(2, 3, 64, 64).requires_grad_())
    y.sin().sum().backward()
    return y


def compare_steps(model: nn.Module, twin: nn.Module) -> None:
    assert_close(step(model), step(twin), NET)
    assert_gradients_close(gradients(model), gradients(twin))
    buffers = dict(twin.named_buffers())
    for name, buffer in model.named_buffers():
        assert_close(buffer, buffers[name], NET, name)


def gradients(net: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
