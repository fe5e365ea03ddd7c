"""Which ops have a faster kernel on CPU, and where each is looked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from netdsl.backend import Decline, Kernel
from netdsl.backends.cpu import unfolded
from netdsl.ir import Node
from netdsl.lazy import torch
from netdsl.op import Op, Type
from netdsl.ops.conv import Conv, ConvGrad

# (op, types of its operands, which results are used, the dtype of floats) -> kernel
Choice: TypeAlias = Callable[[Any, tuple[Type, ...], tuple[bool, ...], Any], Kernel | Decline]

CHOICES: dict[type[Op], Choice] = {
    Conv: unfolded.conv,
    ConvGrad: unfolded.conv_grad,
}


class CpuBackend:
    """Kernels for CPU alone; what it declines the torch backend takes."""

    name = "cpu"

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def kernel(
        self, node: Node, operands: tuple[Type, ...], used: tuple[bool, ...]
    ) -> Kernel | Decline:
        choice = CHOICES.get(type(node.op))
        if choice is None:
            return Decline("nothing is faster than the op's own kernel")
        return choice(node.op, operands, used, self._dtype)

    def inplace(self, node: Node, position: int) -> Kernel | Decline:
        return Decline("nothing is faster than the op's own kernel")
