"""Sums over a process group of torch.distributed, found when they run, that autograd sees."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def group_name(group: dist.ProcessGroup | None) -> str:
    """The name by which `all_reduce_sum` finds a group; "" is the default one."""
    return "" if group is None else group.group_name


def all_reduce_sum(x: Tensor, group: str = "") -> Tensor:
    """Σ x over the processes of a group; a copy of x where no process group is initialised.

    Every process of the group calls it in the same order. Its gradient is the sum of the
    processes' cotangents: each has a share of one loss, and x counts in all of them.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return x.clone()
    total: Tensor = _AllReduceSum.apply(x, group)  # type: ignore[no-untyped-call]
    return total


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: str) -> Tensor:
        ctx.group = group
        resolve = vars(dist.distributed_c10d)[
            "_resolve_process_group"
        ]  # torch's own way from a name
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=resolve(group) if group else None)
        return total

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        return all_reduce_sum(dy, ctx.group), None
