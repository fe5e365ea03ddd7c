"""Random inputs for a signature, in sizes that the net takes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from netdsl.errors import Problem
from netdsl.ir import Graph, Input
from netdsl.rewrite import with_sizes
from netdsl.sizes import names, substitute

# Tried in turn.
FREE_SIZES = (64, 96, 128, 224, 299, 32)


def random_inputs(
    graph: Graph, batch: int, sizes: Mapping[str, int], seed: int
) -> dict[str, Tensor]:
    """Inputs by key, normally distributed, exact in float32.

    Without a number in `sizes` the first axis is `batch`, and all others are the first of
    `FREE_SIZES` that the net takes. Raises the `Problem` of the last where it takes none.
    """
    firsts = [op.type.shape[0] for op in graph.inputs if op.type.rank]
    given = {name: batch for size in firsts for name in names(size)} | dict(sizes)
    free = {name for op in graph.inputs for size in op.type.shape for name in names(size)}
    problem: Problem | None = None
    for size in FREE_SIZES:
        bindings = dict.fromkeys(free, size) | given
        try:
            with_sizes(graph, bindings)
        except Problem as raised:
            problem = raised
            continue
        generator = torch.Generator().manual_seed(seed)
        return {op.key: _random(op, bindings, generator) for op in graph.inputs}
    assert problem is not None
    raise problem


def _random(op: Input, bindings: Mapping[str, int], generator: torch.Generator) -> Tensor:
    shape = [substitute(size, bindings) for size in op.type.shape]
    numbers = [size for size in shape if isinstance(size, int)]
    assert len(numbers) == len(shape), f"{op.key} has a size that no name binds"
    if op.type.dtype == "float":
        return torch.randn(numbers, generator=generator)
    bits = torch.randint(0, 2, numbers, generator=generator)
    return bits if op.type.dtype == "int" else bits.bool()
