"""sync_batchnorm: bn over all processes' batches is bn over the joined batch, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from joined import (
    BATCH_NORM,
    EXACT,
    assert_same_gradients,
    assert_same_numbers,
    batch,
    losses,
    made,
    step,
)
from torch.nn.parallel import DistributedDataParallel as DDP

import netdsl
from netdsl.modes import modal_paths
from netdsl.pipeline import lower

Both = Callable[[Callable[[int], None]], None]
Part = Callable[[int], None]

EVEN = (slice(0, 3), slice(3, 6))
UNEVEN = (slice(0, 1), slice(1, 6))
EMPTY = (slice(0, 0), slice(0, 6))


def compare(rank: int, shares: tuple[slice, slice], backend: str = "auto") -> None:
    """Three steps on shares of a batch, each loss weighted by its share, and on all of it."""
    model = netdsl.loads(BATCH_NORM, seed=0, backend=backend).double().sync_batchnorm()
    alone = made(BATCH_NORM)
    everything = batch(model)
    call = DDP(model, broadcast_buffers=False)
    ours, theirs = (torch.optim.SGD(net.parameters(), lr=0.05) for net in (model, alone))
    for _ in range(3):
        x = everything[shares[rank]].clone().requires_grad_()
        whole = everything.clone().requires_grad_()
        ours.zero_grad()
        theirs.zero_grad()
        # DDP's mean over the processes makes the mean over all examples of it
        (losses(call(x)).sum() * (2 / len(everything))).backward()
        losses(alone(whole)).mean().backward()
        assert_same_gradients(model, alone)
        torch.testing.assert_close(x.grad / 2, whole.grad[shares[rank]], **EXACT)
        ours.step()
        theirs.step()
        assert_same_numbers(model, alone)
    model.eval()
    alone.eval()
    torch.testing.assert_close(model(everything), alone(everything), **EXACT)


def even(rank: int) -> None:
    compare(rank, EVEN)


def uneven(rank: int) -> None:
    compare(rank, UNEVEN)


def empty(rank: int) -> None:
    compare(rank, EMPTY)


def by_the_reference(rank: int) -> None:
    compare(rank, UNEVEN, backend="reference")


@pytest.mark.parametrize("part", [even, uneven, empty, by_the_reference])
def test_it_is_one_process_with_the_joined_batch(both: Both, part: Part) -> None:
    both(part)


def not_asked_for(rank: int) -> None:
    model, alone = made(BATCH_NORM), made(BATCH_NORM)
    x = batch(model)
    step(DDP(model), x[EVEN[rank]])
    step(alone, x)
    with pytest.raises(AssertionError, match="not close"):
        assert_same_gradients(model, alone)


def test_bn_that_nobody_synchronises_has_statistics_of_its_own(both: Both) -> None:
    both(not_asked_for)


def of_one(rank: int) -> None:
    groups = [dist.new_group([0]), dist.new_group([1])]
    model, alone = made(BATCH_NORM).sync_batchnorm(groups[rank]), made(BATCH_NORM)
    x = batch(model)[EVEN[rank]]
    step(model, x)
    step(alone, x)
    assert_same_gradients(model, alone)
    assert_same_numbers(model, alone)


def test_the_processes_are_those_of_the_group(both: Both) -> None:
    both(of_one)


def one_value(rank: int) -> None:
    model = netdsl.loads("netdsl 1\nnet One(x: [N, 4]) { return x -> bn }\n").sync_batchnorm()
    assert model(torch.randn(1, 4)).shape == (1, 4)  # two in all
    with pytest.raises(ValueError, match="more than 1 value per channel in all processes"):
        model(torch.randn(1 - rank, 4))


def test_one_value_a_channel_in_all_processes_is_refused(both: Both) -> None:
    both(one_value)


def switched_on(rank: int, *, cut: bool = False) -> None:
    """After calls without it: the program of before is not the one that runs."""
    model, alone = made(BATCH_NORM), made(BATCH_NORM)
    if cut:  # a child with a hook is called, and the net is in pieces
        next(iter(model.children())).register_forward_hook(lambda *_: None)
    x = batch(model)
    for net in (model, alone):
        net(x)
    model.sync_batchnorm()
    model(x[EVEN[rank]])
    alone(x)
    assert_same_numbers(model, alone)


def switched_on_in_pieces(rank: int) -> None:
    switched_on(rank, cut=True)


@pytest.mark.parametrize("part", [switched_on, switched_on_in_pieces])
def test_it_may_be_asked_for_late(both: Both, part: Part) -> None:
    both(part)


def test_without_a_process_group_it_is_plain_bn() -> None:
    model, alone = made(BATCH_NORM).sync_batchnorm(), made(BATCH_NORM)
    for _ in range(2):
        step(model, batch(model))
        step(alone, batch(alone))
    assert_same_gradients(model, alone)
    assert_same_numbers(model, alone)


def test_activations_behind_it_are_fused_as_behind_bn() -> None:
    graph = made(BATCH_NORM).graph

    def stages(synced: str | None) -> list[str]:
        lowered = lower(graph, training=modal_paths(graph), synced=synced)
        return [node.op.describe().partition("(")[0] for _, node in lowered.forward.items]

    renamed = ["batch_norm" if name == "sync_batch_norm" else name for name in stages("")]
    assert renamed == stages(None)
    assert renamed != stages("") and any("fused" in name for name in renamed), renamed
