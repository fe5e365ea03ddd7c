"""Several processes as one run: each has a share of every batch, sums over all make the rest equal.

The mean loss of a batch of n is Σ n_r/n · mean loss of the n_r examples of process r, and so is its
gradient. The group is torch.distributed's default one, which torchrun's processes join; without one
a run is alone and nothing here costs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from netdsl.training.measures import TrainingError

TIMEOUT = timedelta(minutes=5)  # of a process that hangs; a dead one is seen at once


@contextmanager
def joined() -> Iterator[bool]:
    """In the group of torchrun's processes, where it started this one; whether this process is the
    first, which writes and tells."""
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield True
        return
    dist.init_process_group("gloo", timeout=TIMEOUT)
    try:
        yield rank() == 0
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """This process's number in the group, from 0."""
    return dist.get_rank() if _together() else 0


def size() -> int:
    """How many processes the group has."""
    return dist.get_world_size() if _together() else 1


def share(rows: Tensor) -> Tensor:
    """This process's part of a batch's examples; none where there are fewer than processes."""
    return rows[rank() :: size()]


def summed(x: Tensor) -> Tensor:
    """Σ x over the processes, in x."""
    if size() > 1:
        dist.all_reduce(x)
    return x


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Σ gradient over the processes, of every parameter that has one: a call for each dtype."""
    if size() == 1:
        return
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for p in parameters:
        if p.grad is not None:
            kinds.setdefault(p.grad.dtype, []).append(p.grad)
    for gradients in kinds.values():
        flat = summed(torch.cat([g.reshape(-1) for g in gradients]))
        parts = torch.split(flat, [g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))


def agree(tensors: Iterable[Tensor]) -> None:
    """Give every process the numbers of the first."""
    if size() > 1:
        for tensor in tensors:
            whole = tensor.detach().contiguous()
            dist.broadcast(whole, 0)
            tensor.detach().copy_(whole)


def draw_apart(seed: int, epoch: int, step: int) -> None:
    """Dropout's numbers of the processes after the first, which follow from the arguments, so that
    a checkpoint holds the generator of the first alone."""
    if rank():
        number = ((seed * 1_000_003 + epoch) * 1_000_003 + step) * 1_000_003 + rank()
        torch.manual_seed(number % 2**63)


@contextmanager
def failing_together(resume: object) -> Iterator[None]:
    """A collective that fails since another process is gone is a `TrainingError` that says how to
    go on; any other error is as it was."""
    try:
        yield
    except RuntimeError as error:
        if size() == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        how = f": --resume {resume} goes on after the last whole epoch" if resume else ""
        raise TrainingError(f"another process of the run is gone or stuck{how}") from error


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()
