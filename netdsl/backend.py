"""What a backend is: a kernel for a node, or why not."""

from __future__ import annotations

from collections.abc import Callable, Collection
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


@dataclass(frozen=True)
class Packed:
    """A kernel that gains where an operand which calls share (a weight) was laid out for it once;
    it takes that operand plain too.

    operand  its position
    pack     the operand in the kernel's layout
    """

    kernel: Kernel
    operand: int
    pack: Callable[[Any], Any]


class Backend(Protocol):
    """Kernels for nodes with concrete types."""

    name: str

    def kernel(
        self, node: Node, operands: tuple[Type, ...], used: tuple[bool, ...]
    ) -> Kernel | Decline:
        """A kernel for the node; a result that is not `used` may be None."""

    def into(self, node: Node, operands: tuple[Type, ...]) -> Kernel | Decline:
        """The node's kernel that writes its one result into a tensor given before the operands,
        which may be one of those that the op overwrites."""

    def updating(self, node: Node) -> Kernel | Decline:
        """The node's kernel that writes new values into the operands that have such."""

    def packed(
        self, node: Node, operands: tuple[Type, ...], shared: Collection[int], position: int | None
    ) -> Packed | Decline:
        """A kernel that packs one of the operands in `shared`, those that calls have in common; at
        `position` is the operand whose memory the result takes (None: memory of its own)."""
