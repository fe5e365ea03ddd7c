"""A frozen net: the numbers of eval from weights folded once, and a clear error for what would
change them."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from pairs import NET_TEXT, pair
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact
from torch import Tensor, nn

import netdsl
from netdsl.folded import Folded
from netdsl.module import NetModule


def test_a_frozen_net_has_the_numbers_and_the_state_dict_of_eval() -> None:
    model, _ = pair()
    before, weights = call(model.eval()), copy.deepcopy(model.state_dict())
    assert model.train().freeze() is model
    assert not model.training
    assert_exact(call(model), before)
    assert_exact(call(model), before)
    assert list(model.state_dict()) == list(weights)
    for name, t in model.state_dict().items():
        assert_exact(t, weights[name], name)


def test_a_frozen_net_watches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = netdsl.loads(NET_TEXT).double().eval()
    call(model)
    monkeypatch.setattr(Folded, "fresh", lambda *_: pytest.fail("looked"))
    model.freeze()
    call(model)
    call(model)


def train(model: NetModule) -> None:
    model.train()


def train_a_part(model: NetModule) -> None:
    model.bn1.train()
    call(model)


def load(model: NetModule) -> None:
    model.load_state_dict(model.state_dict())


def learn(model: NetModule) -> None:
    model.conv1.weight.requires_grad_()
    model(images())


def learn_under_autocast(model: NetModule) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        learn(model)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (train, "be trained"),
        (train_a_part, "be trained"),
        (learn, "be trained"),
        (learn_under_autocast, "be trained"),
        (load, "take other weights"),
    ],
)
def test_what_would_change_a_frozen_net_raises(
    change: Callable[[NetModule], None], what: str
) -> None:
    model, _ = pair()
    model.freeze()
    before = model.train(False)(images())
    with pytest.raises(RuntimeError) as raised:
        change(model)
    assert str(raised.value) == f"a frozen net cannot {what}: call `unfreeze()` first"
    model.eval().requires_grad_(False)
    assert_exact(model(images()), before)
    change(model.unfreeze())


def test_backward_without_a_gradient_to_give_raises_as_ever() -> None:
    model, _ = pair()
    with pytest.raises(RuntimeError, match="does not require grad"):
        model.freeze()(images()).sum().backward()
    assert all(p.grad is None for p in model.parameters())


def test_a_gradient_of_the_inputs_of_a_frozen_net_is_the_references() -> None:
    found = []
    model, twin = pair()
    for net in (model.freeze(), twin.eval()):
        x = images().requires_grad_()
        net(x).square().sum().backward()
        found.append(x.grad)
    assert_close(*found, NET_GRADIENT)


def test_a_net_that_is_frozen_no_more_trains_what_it_trained_before() -> None:
    model, twin = pair()
    for net in (model, twin):
        net.conv1.weight.requires_grad_(False)
    model.freeze().freeze()
    assert not any(p.requires_grad for p in model.parameters())
    call(model)
    model.unfreeze().unfreeze()
    for net in (model, twin):
        net.train()(images()).square().sum().backward()
    for (name, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None) == (name == "conv1.weight"), name
    assert_close(call(model.eval()), call(twin.eval()), NET)


def test_what_autograd_sees_written_is_folded_again() -> None:
    model, twin = pair()
    call(model.freeze())
    with torch.no_grad():
        model.conv1.weight[3, 1, 0, 2] = 5
    model.bn1.load_state_dict({k: t * 2 for k, t in model.bn1.state_dict().items()})
    twin.load_state_dict(model.state_dict())
    assert_close(call(model), call(twin.eval()), NET)


def test_what_is_written_behind_autograd_is_seen_by_eval() -> None:
    model, twin = pair()
    before = call(model.freeze())
    model.conv1.weight.data.mul_(2)
    assert_exact(call(model), before)
    twin.load_state_dict(model.state_dict())
    assert_close(call(model.eval()), call(twin.eval()), NET)


def test_weights_given_for_one_call_are_that_calls_only() -> None:
    model, twin = pair()
    before = call(model.freeze())
    doubled = {name: p * 2 for name, p in model.named_parameters()}
    twin.load_state_dict(model.state_dict() | doubled)
    with torch.no_grad():
        given = torch.func.functional_call(model, doubled, (images(),))
    assert_close(given, call(twin.eval()), NET)
    assert_exact(call(model), before)


def deepcopied(model: NetModule) -> NetModule:
    return copy.deepcopy(model)


def pickled(model: NetModule) -> NetModule:
    return pickle.loads(pickle.dumps(model))


def saved_whole(model: NetModule) -> NetModule:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("duplicate", [deepcopied, pickled, saved_whole])
def test_a_copy_of_a_frozen_net_is_frozen_too(
    duplicate: Callable[[NetModule], NetModule],
) -> None:
    model, _ = pair()
    before = call(model.freeze())
    copied = duplicate(model)
    assert_exact(call(copied), before)
    with pytest.raises(RuntimeError, match="a frozen net cannot be trained"):
        copied.train()
    copied.unfreeze().train()
    assert all(p.requires_grad for p in copied.parameters())
    with pytest.raises(RuntimeError, match="a frozen net cannot be trained"):
        model.train()


def test_a_frozen_net_moves_to_another_dtype() -> None:
    model, twin = pair()
    call(model.freeze())
    model.float()
    with torch.no_grad():
        y = model(images().float())
    assert y.dtype == torch.float32
    assert_close(y, call(twin.eval()), NET)


def call(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(images())


def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.float64)
