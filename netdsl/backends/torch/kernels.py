"""Kernels of the torch backend: an op's reference, or a faster ATen call where one is known."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from netdsl.backend import Backend, Decline, Kernel, Packed
from netdsl.fusions.region import Fused
from netdsl.ir import Node
from netdsl.lazy import torch
from netdsl.loop import Loop
from netdsl.op import Type
from netdsl.plan import plan


class TorchBackend:
    """Every op by its reference, and recurrences by plans of their steps; `before` are the backends
    that are asked first there too."""

    name = "torch"

    def __init__(
        self, dtype: torch.dtype, device: torch.device, before: tuple[Backend, ...] = ()
    ) -> None:
        self._backends = (*before, self)
        self._dtype = dtype
        self._device = device

    def kernel(
        self, node: Node, operands: tuple[Type, ...], used: tuple[bool, ...]
    ) -> Kernel | Decline:
        if isinstance(node.op, Fused):
            return Decline("ATen has the ops one by one")
        if isinstance(node.op, Loop):
            return self._loop(node.op)
        return node.op.kernel(operands, used)

    def into(self, node: Node, operands: tuple[Type, ...]) -> Kernel | Decline:
        return node.op.into if node.op.writes else Decline("ATen makes the result itself")

    def updating(self, node: Node) -> Kernel | Decline:
        return node.op.updating

    def packed(
        self, node: Node, operands: tuple[Type, ...], shared: Collection[int], position: int | None
    ) -> Packed | Decline:
        return Decline("ATen's kernels take weights as they are")

    def _loop(self, loop: Loop) -> Kernel:
        """A recurrence with one plan for all its steps, but for the first where they differ."""
        steps = [plan(graph, self._backends, self._dtype, self._device) for graph in loop.graphs]

        def run(*operands: Any) -> tuple[Any, ...]:
            return loop.run(steps, operands)

        return run
