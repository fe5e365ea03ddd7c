"""Which ops have a faster kernel on CPU, and where each is looked for."""

from __future__ import annotations

from collections.abc import Callable, Collection

from netdsl.backend import Decline, Kernel, Packed
from netdsl.backends.cpu import onednn, unfolded
from netdsl.fusions.region import Fused
from netdsl.ir import Node
from netdsl.lazy import torch
from netdsl.op import Op, Type
from netdsl.ops.conv import Conv, ConvGrad
from netdsl.ops.linear import Linear

# (op, types of its operands, which results are used, the dtype of floats) -> kernel
KERNELS: dict[type[Op], Callable[..., Kernel | Decline]] = {
    Conv: unfolded.conv,
    ConvGrad: unfolded.conv_grad,
    Linear: onednn.linear,
}
# (op, types, positions of shared operands, position written over, the dtype of floats) -> kernel
PACKED: dict[type[Op], Callable[..., Packed | Decline]] = {
    Conv: onednn.conv,
    Fused: onednn.conv_sum,
}

NOTHING = Decline("nothing is faster than the op's own kernel")


class CpuBackend:
    """Kernels for CPU alone; what it declines the torch backend takes."""

    name = "cpu"

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def kernel(
        self, node: Node, operands: tuple[Type, ...], used: tuple[bool, ...]
    ) -> Kernel | Decline:
        choice = KERNELS.get(type(node.op))
        return NOTHING if choice is None else choice(node.op, operands, used, self._dtype)

    def into(self, node: Node, operands: tuple[Type, ...]) -> Kernel | Decline:
        return NOTHING

    def updating(self, node: Node) -> Kernel | Decline:
        return NOTHING

    def packed(
        self, node: Node, operands: tuple[Type, ...], shared: Collection[int], position: int | None
    ) -> Packed | Decline:
        choice = PACKED.get(type(node.op))
        if choice is None:
            return NOTHING
        return choice(node.op, operands, shared, position, self._dtype)
