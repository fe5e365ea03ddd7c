"""What torch.export and torch.jit.trace write down of a net: its reference, node by node.

To the tracer of Python code a net is one opaque call, whose operators the tracers of operators
record after it; sizes are these tracers' symbols.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Protocol
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.jit._trace import TracerWarning, is_tracing


class Recorded(Protocol):
    """A net."""

    def recorded(self, training: tuple[bool, ...], pool: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of a mode."""


_NETS: WeakValueDictionary[str, Recorded] = WeakValueDictionary()


def recorded() -> bool:
    """Whether a tracer writes the operators down."""
    return torch.compiler.is_exporting() or is_tracing()  # type: ignore[no-untyped-call]


def know(net: Recorded) -> str:
    """The name of a net in recorded calls."""
    key = str(id(net))
    _NETS[key] = net
    return key


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def record(key: str, training: tuple[bool, ...], pool: list[Tensor]) -> list[Tensor]:
    """The outputs of a known net, from inputs, parameters, buffers and the seed if it takes one."""
    with warnings.catch_warnings():  # sizes are compared, which the tracer does not write down
        warnings.simplefilter("ignore", TracerWarning)
        return _NETS[key].recorded(training, pool)
