"""The nets that torchvision has too are the same: keys, shapes, buffers, numbers, gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from parity import assert_learns, assert_parity, assert_same_buffers, images, pair
from tolerances import NET, assert_close
from torch import nn

import netdsl

resnet50 = torchvision.models.resnet50
vgg16 = torchvision.models.vgg16
vgg16_bn = torchvision.models.vgg16_bn
alexnet = torchvision.models.alexnet
densenet121 = torchvision.models.densenet121
GOOGLENET = {"init_weights": False}  # it asks to be told; the weights are copied from ours

TWINS = {
    "resnet50": ("resnet", {"depth": 50}),
    "resnet101": ("resnet", {"depth": 101}),
    "resnet152": ("resnet", {"depth": 152}),
    "vgg11": ("vgg", {"depth": 11}),
    "vgg13": ("vgg", {"depth": 13}),
    "vgg16": ("vgg", {"depth": 16}),
    "vgg19": ("vgg", {"depth": 19}),
    "vgg16_bn": ("vgg", {"depth": 16, "norm": True}),
    "vgg19_bn": ("vgg", {"depth": 19, "norm": True}),
    "alexnet": ("alexnet", {}),
    "googlenet": ("googlenet", {}),
    "densenet121": ("densenet", {}),
    "densenet161": ("densenet:DenseNet161", {}),
    "densenet169": ("densenet:DenseNet169", {}),
    "densenet201": ("densenet:DenseNet201", {}),
}


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


@pytest.mark.parametrize("size", [33, 50])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_resnet50_has_torchvisions_outputs_gradients_and_statistics(
    training: bool, size: int
) -> None:
    model, twin = pair(resnet50, "resnet")
    assert_parity(model.train(training), twin.train(training), images(2, 3, size, size + 2))


def test_resnet50_in_inference_has_torchvisions_outputs() -> None:
    model, twin = pair(resnet50, "resnet")
    x = images(2, 3, 65, 33)
    with torch.no_grad():
        assert_close(model.eval()(x), twin.eval()(x), NET)


def test_resnet50_stays_with_torchvisions_through_three_steps_of_sgd() -> None:
    model, twin = pair(resnet50, "resnet")
    for net in (model, twin):
        net.train()
        optimiser = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
        for step in range(3):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(net(images(4, 3, 33, 33) + step), torch.arange(4))
            loss.backward()
            optimiser.step()
    assert_same_buffers(model, twin)
    numbers = model.state_dict()
    for key, expected in twin.state_dict().items():
        assert_close(numbers[key], expected, NET, key)
    assert int(numbers["bn1.num_batches_tracked"]) == 3
    with torch.no_grad():
        x = images(2, 3, 33, 33)
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


def test_vgg16_has_torchvisions_outputs_and_gradients() -> None:
    model, twin = pair(vgg16, "vgg")
    assert_parity(model.eval(), twin.eval(), images(1, 3, 35, 33))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_vgg16_with_bn_has_torchvisions_outputs_gradients_and_statistics(training: bool) -> None:
    model, twin = pair(vgg16_bn, "vgg", {"norm": True})
    for net in (model, twin):
        net.train(training)
        net.get_submodule("classifier.2").eval()
        net.get_submodule("classifier.5").eval()
    assert_parity(model, twin, images(2, 3, 35, 33))


def test_alexnet_has_torchvisions_outputs_and_gradients() -> None:
    model, twin = pair(alexnet, "alexnet")
    assert_parity(model.eval(), twin.eval(), images(2, 3, 67, 79))


def test_dropout_of_alexnet_is_the_only_thing_that_training_changes() -> None:
    model, twin = pair(alexnet, "alexnet")
    for net in (model, twin):
        net.train()
        net.get_submodule("classifier.0").eval()
        net.get_submodule("classifier.3").eval()
    assert_parity(model, twin, images(2, 3, 63, 63))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("aux", [True, False], ids=["aux", "no aux"])
def test_googlenet_has_torchvisions_outputs_gradients_and_statistics(
    training: bool, aux: bool
) -> None:
    model, twin = pair(lambda: GoogLeNet(aux), "googlenet", {"aux": aux})
    assert layout(model) == layout(twin)
    for net in (model, twin):
        net.train(training)
        for name, module in net.named_modules():
            if "dropout" in name:
                module.eval()
    assert_parity(model, twin, images(2, 3, 65, 80))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_densenet121_has_torchvisions_outputs_gradients_and_statistics(training: bool) -> None:
    model, twin = pair(densenet121, "densenet")
    assert_parity(model.train(training), twin.train(training), images(2, 3, 65, 33))


def test_densenet121_learns() -> None:
    model = netdsl.load("densenet", seed=0)
    x, target = images(4, 3, 32, 32).float(), torch.arange(4)
    assert_learns(model, lambda: nn.functional.cross_entropy(model(x), target), 0.01)


def GoogLeNet(aux: bool) -> nn.Module:
    """torchvision's, its outputs in the order of the text: logits, aux1, aux2."""

    class InOrder(torchvision.models.GoogLeNet):
        def eager_outputs(self, x: Any, aux2: Any, aux1: Any) -> Any:
            return x, aux1, aux2

    return InOrder(aux_logits=aux, **GOOGLENET)


def empty(name: str) -> tuple[nn.Module, nn.Module]:
    """Our net and torchvision's, without memory for the weights."""
    target, hyper = TWINS[name]
    with torch.device("meta"):
        make = getattr(torchvision.models, name)
        return netdsl.load(target, hyper=hyper), make(**GOOGLENET if name == "googlenet" else {})


def layout(net: nn.Module) -> list[tuple[str, torch.Size, torch.dtype]]:
    return [(key, t.shape, t.dtype) for key, t in net.state_dict().items()]
