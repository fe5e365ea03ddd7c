"""What holds of a net where its mechanisms are on: functions that raise where it does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_gradients_close
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

import netdsl
from contract.behaviour import BEHAVIOURS, Do, alike, gradients, loss, same
from contract.nets import SMALL, images, pair
from netdsl.module import NetModule

Check = Callable[[], None]
DROPOUT = "netdsl 1\nnet Drop(x: [N, 64]) { return x -> dropout(0.5) }\n"
TWO_HEADS = """netdsl 1
net TwoHeads(x: [N, 7]) -> (a: [N, 3], b: [N, 4]) {
  h = x -> linear(8) -> relu
  a = h -> linear(3) as a
  b = h -> linear(4) as b
}
"""


def does(do: Do, net: str = "small") -> Check:
    """A behaviour of the contract, with one net."""
    (found,) = [b for b in BEHAVIOURS if b.do is do]
    return lambda: alike(found, *pair(net), images(net))


def swapped(weight: Tensor) -> Tensor:
    """Two numbers of a row exchanged, 0.5 and 0.25, that no sample meets and whose sum stays."""
    other = weight.detach().clone()
    other[3, 1, 1, 1], other[3, 2, 1, 2] = weight[3, 2, 1, 2], weight[3, 1, 1, 1]
    return other


def folding() -> NetModule:
    """SMALL in eval, called once: its weights are folded."""
    model = netdsl.loads(SMALL, seed=0).double().eval()
    with torch.no_grad():
        model.conv2.weight[3, 1, 1, 1], model.conv2.weight[3, 2, 1, 2] = 0.5, 0.25
        model(images("small"))
    assert model._executable.folded
    return model


def seen(write: Callable[[NetModule], None]) -> None:
    """A write to a net with folded weights is in its next call."""
    model = folding()
    write(model)
    with torch.no_grad():
        got = model(images("small"))
        model.backend = "reference"
        assert_close(got, model(images("small")), NET)


def _copied(model: NetModule) -> None:
    with torch.no_grad():
        model.conv2.weight.copy_(swapped(model.conv2.weight))


def _other_memory(model: NetModule) -> None:
    model.conv2.weight.data = swapped(model.conv2.weight)


def _fused_step(model: NetModule) -> None:
    weight = model.conv2.weight
    weight.grad = weight.detach() - swapped(weight)  # exact: both are powers of two
    torch.optim.SGD([weight], lr=1.0, fused=True).step()


def _one_number(model: NetModule) -> None:
    model.conv2.weight.data[3, 1, 1, 1] = 3


def _two_columns(model: NetModule) -> None:
    weight = model.conv2.weight.data
    weight[:, [0, 2]] = weight[:, [2, 0]]


no_grad_writes_are_seen = partial(seen, _copied)
other_memory_is_seen = partial(seen, _other_memory)
fused_steps_are_seen = partial(seen, _fused_step)
one_number_is_seen = partial(seen, _one_number)
moved_numbers_are_seen = partial(seen, _two_columns)


def _held(hold: Callable[[NetModule], Any]) -> None:
    """A write by somebody who held a weight's memory before it was folded is in the next call."""
    model = netdsl.loads(SMALL, seed=0).double().eval()
    held = hold(model)
    with torch.no_grad():
        model(images("small"))
        held[3, 1, 1, 1] = 3
        got = model(images("small"))
        model.backend = "reference"
        assert_close(got, model(images("small")), NET)


writes_of_numpy_are_seen = partial(_held, lambda model: model.conv2.weight.detach().numpy())
writes_to_shared_memory_are_seen = partial(
    _held, lambda model: model.share_memory().conv2.weight.detach()
)


def inference_writes_are_seen() -> None:
    with torch.inference_mode():
        model = folding()
        model.conv2.weight.copy_(swapped(model.conv2.weight))
        got = model(images("small"))
        model.backend = "reference"
        assert_close(got, model(images("small")), NET)


def changed(change: Callable[[nn.Module], object]) -> None:
    """Both sides with a child changed: the same outputs and gradients, and the change is seen."""
    ours, theirs = pair("small")
    x = images("small")
    before = ours(x).detach()
    found = []
    for model in (ours, theirs):
        torch.manual_seed(1)
        change(model)
        y = model(x)
        loss(y).backward()
        found.append((y, gradients(model)))
    assert not torch.allclose(found[0][0], before)
    assert_close(found[0][0], found[1][0], NET)
    same(dict(sorted(found[0][1].items())), dict(sorted(found[1][1].items())))


def _replaced(model: nn.Module) -> None:
    model.fc = nn.Linear(8, 5).double()


class LoRA(nn.Module):
    """A frozen layer and a correction of rank 2."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down, self.up = nn.Linear(8, 2).double(), nn.Linear(2, 5).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.up(self.down(x))


def _lora(model: nn.Module) -> None:
    model.fc = LoRA(model.fc)


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


hooked_children_are_called = partial(
    changed, lambda model: model.fc.register_forward_hook(lambda _, x, y: y * 2)
)
replaced_children_are_called = partial(changed, _replaced)
lora_is_called = partial(changed, _lora)
parametrised_weights_are_computed = partial(
    changed, lambda model: parametrize.register_parametrization(model.fc, "weight", Doubled())
)


def second_derivatives_are_right() -> None:
    found = []
    for model in pair("groups"):
        x = images("groups").requires_grad_()
        (dx,) = torch.autograd.grad(loss(model(x)), (x,), create_graph=True)
        found.append(torch.autograd.grad(dx.square().sum(), (x, *model.parameters())))
    for got, expected in zip(*found, strict=True):
        assert_close(got, expected, NET_GRADIENT)


def a_graph_is_freed() -> None:
    y = pair("small")[0](images("small")).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()


def autocast_is_as_in_torch() -> None:
    found = []
    for model in pair("small"):
        model.float()
        with torch.autocast("cpu", torch.bfloat16):
            y = model(images("small").float())
        y.float().square().sum().backward()
        assert all(p.grad.dtype == p.dtype for p in model.parameters())
        found.append((y.dtype, [b.dtype for b in model.buffers()]))
    assert found[0] == found[1], found


def masks_are_replayed_with_torchs_generator() -> None:
    model, x = netdsl.loads(DROPOUT), torch.ones(4, 64, requires_grad=True)
    y = checkpoint(model, x, use_reentrant=True)
    y.sum().backward()
    assert torch.equal(x.grad, y)


def masks_follow_the_seed() -> None:
    model, x = netdsl.loads(DROPOUT), torch.ones(4, 64)
    torch.manual_seed(3)
    first, second = model(x), model(x)
    torch.manual_seed(3)
    assert torch.equal(model(x), first) and not torch.equal(first, second)


def an_unused_head_has_no_gradient() -> None:
    model = netdsl.loads(TWO_HEADS, seed=0)
    model(torch.randn(2, 7)).a.sum().backward()
    assert model.b.weight.grad is None and model.a.weight.grad is not None


def gradients_nobody_wants_are_not_computed() -> None:
    model = netdsl.loads(SMALL, seed=0)
    found = []
    for frozen in ((), (model.conv1, model.conv2)):
        for part in frozen:
            part.requires_grad_(False)
        loss(model(images("small").float())).backward()
        found.append(len(list(model._executable.programs.values())[-1].lowered.backward.outputs))
    assert found == [8, 6], found


def wrong_inputs_are_explained() -> None:
    model = netdsl.loads(SMALL, seed=0)
    for wrong in (torch.randn(2, 3, 4), torch.randn(2, 4, 6, 6), images("small")):
        with pytest.raises(netdsl.InputError, match="does not fit"):
            model(wrong)


def a_frozen_net_refuses_training() -> None:
    model = folding().freeze()
    model.bn1.train()
    with pytest.raises(RuntimeError, match="frozen"):
        model(images("small"))


def a_frozen_net_keeps_what_is_folded() -> None:
    model = folding().freeze()
    before = model(images("small"))
    model.conv2.weight.data.mul_(2)
    assert torch.equal(model(images("small")), before)
    assert not torch.allclose(model.unfreeze()(images("small")), before)


def taps_are_the_stages() -> None:
    model = netdsl.loads(SMALL, seed=0, outputs=["conv1"])
    x = images("small").float()
    (y,) = model(x)
    assert_close(y, nn.functional.conv2d(x.double(), model.conv1.weight.double(), padding=1))
    assert list(model.state_dict()) == ["conv1.weight"]


def functional_gradients_go_through() -> None:
    found = []
    for model in pair("groups"):

        def value(weights: dict[str, Tensor], model: nn.Module = model) -> Tensor:
            return loss(torch.func.functional_call(model, weights, (images("groups"),)))

        found.append(torch.func.grad(value)({n: p.detach() for n, p in model.named_parameters()}))
    assert_gradients_close(found[0], found[1], NET_GRADIENT)


def exported_programs_have_torchs_operators() -> None:
    program = torch.export.export(pair("groups")[0].eval(), (images("groups"),))
    assert "netdsl" not in str(program.graph)


def a_hundred_sizes_are_kept_in_bounds() -> None:
    model, x = netdsl.loads(TWO_HEADS, seed=0).eval(), torch.randn(100, 7)
    with torch.no_grad():
        for n in range(1, 101):
            model(x[:n])
    (program,) = model._executable.programs.values()
    assert len(program._plans) <= 32


def externs_are_modules_of_their_own() -> None:
    text = """netdsl 1
extern mine(x: [N, D]) -> [N, D]
net Own(x: [N, 4]) { return x -> mine -> mine }
"""
    model = netdsl.loads(text, ops={"mine": nn.Linear(4, 4)}, seed=0)
    model(torch.randn(2, 4)).sum().backward()
    assert len(list(model.parameters())) == 4
    assert all(p.grad is not None for p in model.parameters())
