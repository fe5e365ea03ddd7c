"""ATen's kernels by name, and what its backward kernels read of an operand besides its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from netdsl.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@cache
def kernel(name: str, overload: str = "default") -> Callable[..., Tensor]:
    """torch.ops.aten.<name>.<overload>, of one result."""
    found: Callable[..., Tensor] = getattr(getattr(torch.ops.aten, name), overload)
    return found


@cache
def kernels(name: str) -> Callable[..., tuple[Tensor, ...]]:
    """torch.ops.aten.<name>.default, of several results."""
    found: Callable[..., tuple[Tensor, ...]] = getattr(torch.ops.aten, name).default
    return found


def blank(size: Iterable[Any], *like: Tensor) -> Tensor:
    """Uninitialised memory in their layout and dtype, for kernels that read its size only."""
    return torch.empty(
        tuple(size),
        dtype=like[0].dtype,
        device=like[0].device,
        memory_format=memory_format(*like),
    )


def memory_format(*tensors: Tensor) -> torch.memory_format:
    """channels_last where one of the images or volumes is, as ATen decides for a convolution."""
    for x in tensors:
        if x.dim() in (4, 5) and x.stride(1) == 1 < x.stride(-1):
            return torch.channels_last if x.dim() == 4 else torch.channels_last_3d
    return torch.contiguous_format
