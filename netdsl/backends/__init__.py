"""Backends: each answers, for an op and its types, with a kernel or `Decline`."""

from __future__ import annotations

from netdsl.backend import Backend
from netdsl.backends.cpu import CpuBackend
from netdsl.backends.torch import TorchBackend
from netdsl.lazy import torch


def backends(dtype: torch.dtype, device: torch.device) -> tuple[Backend, ...]:
    """The backends for a dtype of floats and a device, in the order in which they are asked."""
    first = (CpuBackend(dtype),) if device.type == "cpu" else ()
    return (*first, TorchBackend(dtype, device, first))
