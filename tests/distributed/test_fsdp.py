"""fully_shard around a net: each process keeps half of every parameter, the numbers are equal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from joined import (
    BATCH_NORM,
    CONV,
    EXACT,
    LAYER_NORM,
    assert_same_numbers,
    batch,
    losses,
    made,
    named,
)
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

Both = Callable[[Callable[[int], None]], None]
WHOLE = StateDictOptions(full_state_dict=True)


def sharded(model: nn.Module) -> nn.Module:
    return fully_shard(model, mesh=init_device_mesh("cpu", (2,)))


class Whole(nn.Module):
    """A net as a part of a larger model."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.net = made(text)
        torch.manual_seed(1)
        self.head = nn.Linear(5, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.net(x).relu())
        return y


def compare(model: nn.Module, alone: nn.Module, x: Tensor, rank: int) -> None:
    """Three steps of SGD, evaluated after each, gradients and weights gathered."""
    ours, theirs = (
        torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9) for net in (model, alone)
    )
    for _ in range(3):
        for net, optimiser, own in ((model, ours, x[rank::2]), (alone, theirs, x)):
            optimiser.zero_grad()
            losses(net(own)).mean().backward()
        expected = dict(alone.named_parameters())
        for name, p in model.named_parameters():
            assert isinstance(p, DTensor) and isinstance(p.grad, DTensor)
            found = p.grad.full_tensor()
            torch.testing.assert_close(found, expected[name].grad, **EXACT, msg=named(name))
        ours.step()
        theirs.step()
        for net in (model, alone):
            net.eval()
        with torch.no_grad():
            torch.testing.assert_close(model(x), alone(x), **EXACT)
        for net in (model, alone):
            net.train()
    state = get_model_state_dict(model, options=WHOLE)
    if rank == 0:
        torch.testing.assert_close(dict(state), dict(alone.state_dict()), **EXACT)


def conv_net(rank: int) -> None:
    model, alone = made(CONV), made(CONV)
    compare(sharded(model), alone, batch(alone), rank)


def layer_norm_net(rank: int) -> None:
    model, alone = made(LAYER_NORM), made(LAYER_NORM)
    compare(sharded(model), alone, batch(alone), rank)


def batch_norm_net(rank: int) -> None:
    model, alone = made(BATCH_NORM).sync_batchnorm(), made(BATCH_NORM)
    compare(sharded(model), alone, batch(alone), rank)


def part_of_a_model(rank: int) -> None:
    model, alone = Whole(CONV), Whole(CONV)
    sharded(model.net)
    compare(sharded(model), alone, batch(alone.net), rank)


@pytest.mark.parametrize("part", [conv_net, layer_norm_net, batch_norm_net, part_of_a_model])
def test_a_sharded_net_trains_as_one_process(both: Both, part: Callable[[int], None]) -> None:
    both(part)


def loaded(rank: int) -> None:
    model, other = sharded(made(CONV)), made(CONV)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1)
    x = batch(other)
    losses(model(x)).mean().backward()
    set_model_state_dict(model, other.state_dict(), options=WHOLE)
    torch.testing.assert_close(model(x), other(x), **EXACT)
    plain = made(CONV)
    state = get_model_state_dict(model, options=WHOLE)
    if rank == 0:
        plain.load_state_dict(state)
        assert_same_numbers(plain, other)


def test_a_whole_state_dict_goes_in_and_out(both: Both) -> None:
    both(loaded)


def inner(rank: int) -> None:
    model, alone = made(CONV), made(CONV)
    sharded(model.conv1)
    compare(sharded(model), alone, batch(alone), rank)


def test_a_part_that_is_sharded_on_its_own_is_called(both: Both) -> None:
    both(inner)
