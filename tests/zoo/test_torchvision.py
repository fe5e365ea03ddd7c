"""The nets that torchvision has too are the same: keys, shapes, buffers, numbers, gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import torchvision
from parity import assert_learns, assert_parity, images, pair
from tolerances import NET, NET_GRADIENT, assert_close
from torch import nn

import netdsl

TWINS: dict[str, tuple[str, dict[str, object]]] = {
    **{f"resnet{depth}": ("resnet", {"depth": depth}) for depth in (18, 34, 50, 101, 152)},
    **{f"vgg{depth}": ("vgg", {"depth": depth}) for depth in (11, 13, 16, 19)},
    **{f"vgg{depth}_bn": ("vgg", {"depth": depth, "norm": True}) for depth in (11, 13, 16, 19)},
    "alexnet": ("alexnet", {}),
    "googlenet": ("googlenet", {}),
    "densenet121": ("densenet", {}),
    "densenet161": ("densenet:DenseNet161", {}),
    "densenet169": ("densenet:DenseNet169", {}),
    "densenet201": ("densenet:DenseNet201", {}),
}
DEEP = ("vgg19", "vgg19_bn", "resnet101", "resnet152", "densenet161", "densenet169", "densenet201")
LONG = pytest.mark.training
HIDDEN = 64  # units of the fully connected layers where numbers are compared: 4096 take minutes


@pytest.mark.parametrize("name", TWINS)
def test_keys_shapes_and_dtypes_are_torchvisions_in_order(name: str) -> None:
    model, twin = empty(name)
    assert layout(model) == layout(twin)
    assert [k for k, _ in model.named_parameters()] == [k for k, _ in twin.named_parameters()]
    assert [k for k, _ in model.named_buffers()] == [k for k, _ in twin.named_buffers()]


@pytest.mark.parametrize("name", TWINS)
def test_weights_load_strictly_from_torchvision_and_back(name: str) -> None:
    model, twin = empty(name)
    ours, theirs = model.state_dict(), twin.state_dict()
    assert (
        str(model.load_state_dict(theirs, strict=True, assign=True))
        == "<All keys matched successfully>"
    )
    assert (
        str(twin.load_state_dict(ours, strict=True, assign=True))
        == "<All keys matched successfully>"
    )


@pytest.mark.parametrize("name", TWINS)
def test_outputs_gradients_and_statistics_are_torchvisions(name: str) -> None:
    model, twin = small(name)
    size = {"alexnet": (67, 79), "googlenet": (65, 80), "resnet50": (50, 52)}.get(name, (33, 35))
    for training in (True, False):  # in eval with the statistics that training left
        for net in (model, twin):
            without_dropout(net.train(training))
        assert_parity(model, twin, images(1 + training, 3, *size))


@pytest.mark.parametrize("name", [pytest.param(n, marks=LONG) if n in DEEP else n for n in TWINS])
def test_ten_steps_of_sgd_leave_torchvisions_weights_and_running_statistics(name: str) -> None:
    model, twin = small(name)
    batch, size = {"alexnet": (2, 67), "googlenet": (4, 49)}.get(name, (2, 33))
    if name.startswith("densenet"):
        batch, size = 3, 65  # its last images are of 2x2: single pixels end in chaos
    for net in (model, twin):
        without_dropout(net.train())
        optimiser = torch.optim.SGD(net.parameters(), 1e-4, 0.9, weight_decay=1e-4, fused=True)
        for step in range(10):
            optimiser.zero_grad()
            result = net(images(batch, 3, size, size) + step)
            ys = [result] if isinstance(result, torch.Tensor) else result
            losses = [nn.functional.cross_entropy(y, torch.arange(batch)) for y in ys]
            torch.stack(losses).sum().backward()
            optimiser.step()
    numbers, statistics = model.state_dict(), dict(twin.named_buffers())
    for key, expected in twin.state_dict().items():
        assert_close(numbers[key], expected, NET_GRADIENT, key)
        assert not key.endswith("num_batches_tracked") or int(statistics[key]) == 10


def test_resnet50_in_inference_has_torchvisions_outputs() -> None:
    model, twin = small("resnet50")
    x = images(2, 3, 65, 33)
    with torch.no_grad():
        assert_close(model.eval()(x), twin.eval()(x), NET)


def test_a_training_step_of_resnet50_is_one_node_of_autograds_graph() -> None:
    model = netdsl.load("resnet")
    y = model(torch.zeros(2, 3, 33, 33))
    pending: list[Any] = [y.grad_fn]
    names = []
    while pending:
        node = pending.pop()
        names.append(node.name())
        pending += [following for following, _ in node.next_functions if following is not None]
    assert names.count("torch::autograd::AccumulateGrad") == len(list(model.parameters())) == 161
    assert [name for name in names if "AccumulateGrad" not in name] == ["DifferentiableBackward"]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("hyper", [{"aux": False}, {"transform_input": True}], ids=str)
def test_googlenet_has_torchvisions_choices(hyper: dict[str, bool], training: bool) -> None:
    model, twin = pair(lambda: googlenet(**hyper), "googlenet", hyper)
    assert layout(model) == layout(twin)
    for net in (model, twin):
        without_dropout(net.train(training))
    assert_parity(model, twin, images(2, 3, 40, 33))


def test_densenet121_learns() -> None:
    model = netdsl.load("densenet", seed=0)
    x, target = images(4, 3, 32, 32).float(), torch.arange(4)
    assert_learns(model, lambda: nn.functional.cross_entropy(model(x), target), 0.01)


def googlenet(
    aux: bool = True, transform_input: bool = False, num_classes: int = 1000
) -> nn.Module:
    """torchvision's, its outputs in the order of the text: logits, aux1, aux2."""

    class InOrder(torchvision.models.GoogLeNet):
        def eager_outputs(self, x: Any, aux2: Any, aux1: Any) -> Any:
            return (x, aux1, aux2) if self.training else x

    return InOrder(num_classes, aux, transform_input, init_weights=False)


def torchvisions(name: str) -> Callable[..., nn.Module]:
    return googlenet if name == "googlenet" else getattr(torchvision.models, name)


@cache
def empty(name: str) -> tuple[nn.Module, nn.Module]:
    """Our net and torchvision's, without memory for the weights."""
    target, hyper = TWINS[name]
    with torch.device("meta"):
        return netdsl.load(target, hyper=hyper), torchvisions(name)()


def small(name: str) -> tuple[nn.Module, nn.Module]:
    """Our net and torchvision's with the same numbers, of ten classes, its wide layers narrow."""
    target, hyper = TWINS[name]
    wide = name.startswith(("vgg", "alexnet"))

    def make() -> nn.Module:
        twin = torchvisions(name)(num_classes=10)
        for layer in twin.classifier.children() if wide else ():
            if isinstance(layer, nn.Linear):
                d, units = (HIDDEN if n == 4096 else n for n in layer.weight.shape[::-1])
                layer.__init__(d, units)
        return twin

    return pair(make, target, {**hyper, "classes": 10, **({"hidden": HIDDEN} if wide else {})})


def without_dropout(net: nn.Module) -> None:
    """Every module that holds no number is in eval mode: of these dropout alone cares."""
    for module in net.modules():
        if not any(True for _ in (*module.children(), *module.parameters(), *module.buffers())):
            module.eval()


def layout(net: nn.Module) -> list[tuple[str, torch.Size, torch.dtype]]:
    return [(key, t.shape, t.dtype) for key, t in net.state_dict().items()]
