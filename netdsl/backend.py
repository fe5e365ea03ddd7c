"""What a backend is: a kernel for a node, or why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from netdsl.ir import Node
from netdsl.op import Type

# the operands' tensors -> the result, or a tuple of results
Kernel: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Decline:
    """A refusal that is no error: another backend takes the node."""

    reason: str


class Backend(Protocol):
    """Kernels for nodes with concrete types."""

    name: str

    def kernel(
        self, node: Node, operands: tuple[Type, ...], used: tuple[bool, ...]
    ) -> Kernel | Decline:
        """A kernel for the node; a result that is not `used` may be None."""

    def inplace(self, node: Node, position: int) -> Kernel | Decline:
        """The node's kernel writing into the memory of the operand at `position`."""
