"""DistributedDataParallel around a net: as one process with the joined batch, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from joined import (
    BATCH_NORM,
    CONV,
    EXACT,
    LAYER_NORM,
    assert_same_gradients,
    assert_same_numbers,
    batch,
    losses,
    made,
    step,
)
from torch.nn.parallel import DistributedDataParallel as DDP

import netdsl

Both = Callable[[Callable[[int], None]], None]

TWO_HEADS = """netdsl 1
net TwoHeads(x: [N, 7]) -> (a: [N, 3], b: [N, 4]) {
  h = x -> linear(8) -> ln -> relu
  a = h -> linear(3)
  b = h -> linear(4)
}
"""


def conv_net(rank: int) -> None:
    compare(CONV, rank)


def layer_norm_net(rank: int) -> None:
    compare(LAYER_NORM, rank)


def compare(text: str, rank: int) -> None:
    model, alone = made(text), made(text)
    x = batch(model)
    step(DDP(model), x[rank::2])
    step(alone, x)
    assert_same_gradients(model, alone)


@pytest.mark.parametrize("part", [conv_net, layer_norm_net])
def test_gradients_are_those_of_one_process(both: Both, part: Callable[[int], None]) -> None:
    both(part)


def one_head(rank: int) -> None:
    model, alone = (netdsl.loads(TWO_HEADS, seed=0).double() for _ in range(2))
    x, call = batch(model), DDP(model, find_unused_parameters=True)
    for head in ("a", "b"):
        for net in (model, alone):
            net.zero_grad()
        losses(getattr(call(x[rank::2]), head)).mean().backward()
        losses(getattr(alone(x), head)).mean().backward()
        used = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        expected = {n: p.grad for n, p in alone.named_parameters() if p.grad is not None}
        assert len(used) == 6, list(used)  # of eight
        torch.testing.assert_close(used, expected, **EXACT)


def test_a_head_may_go_unused(both: Both) -> None:
    both(one_head)


def accumulated(rank: int) -> None:
    model, alone = made(CONV), made(CONV)
    x, call = batch(model), DDP(model)
    with call.no_sync():
        step(call, x[:2][rank::2])
    own = [p.grad.clone() for p in model.parameters()]
    step(made_alone := made(CONV), x[:2][rank::2])
    for found, expected in zip(own, made_alone.parameters(), strict=True):
        torch.testing.assert_close(found, expected.grad, **EXACT)
    step(call, x[2:][rank::2])
    step(alone, x, (slice(0, 2), slice(2, None)))
    assert_same_gradients(model, alone)


def test_gradients_of_no_sync_stay_and_are_added(both: Both) -> None:
    both(accumulated)


def static(rank: int) -> None:
    model, alone = made(LAYER_NORM), made(LAYER_NORM)
    x, call = batch(model), DDP(model, static_graph=True)
    ours, theirs = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (model, alone))
    for _ in range(3):
        for net, optimiser, share in ((call, ours, x[rank::2]), (alone, theirs, x)):
            optimiser.zero_grad()
            step(net, share)
            optimiser.step()
    assert_same_numbers(model, alone)


def test_a_static_graph_trains_as_one_process(both: Both) -> None:
    both(static)


def buffers(rank: int) -> None:
    model, first = made(BATCH_NORM), made(BATCH_NORM)
    x, call = batch(model), DDP(model)
    step(call, x[rank::2])  # each process has the statistics of its own share
    step(first, x[0::2])
    call(x)  # the first process's are sent before this
    first(x)
    for (name, ours), theirs in zip(model.named_buffers(), first.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT, msg=name)


def test_buffers_are_those_of_the_first_process(both: Both) -> None:
    both(buffers)
