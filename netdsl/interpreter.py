"""The reference interpreter: a graph node by node by the ops' references, gradients by autograd.

The oracle that compiled plans are compared with, and the meaning of a fused region.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.ir import Constant, Graph, Input, Parameter
from netdsl.lazy import torch
from netdsl.recur import Loop

if TYPE_CHECKING:
    from torch import Tensor


def interpret(graph: Graph, given: Mapping[str, Tensor]) -> list[Tensor]:
    """The outputs of a graph without modal ops, in order; `given` has the sources by key."""
    like = next((t for t in given.values() if t.is_floating_point()), torch.zeros(()))
    results: list[tuple[Tensor, ...]] = []
    for n, node in graph.items:
        op = node.op
        if isinstance(op, (Input, Parameter)):
            results.append((given[op.key],))
        elif isinstance(op, Constant):
            results.append((torch.tensor(op.value, dtype=like.dtype, device=like.device),))
        else:
            call = stepwise(op) if isinstance(op, Loop) else op.reference
            made = call(*(results[v.node][v.result] for v in graph.operands(n)))
            results.append(made if isinstance(made, tuple) else (made,))
    return [results[o.value.node][o.value.result] for o in graph.outputs]


def stepwise(loop: Loop) -> Callable[..., Any]:
    """The reference of a recurrence: every step is interpreted."""
    keys = [op.key for op in loop.step.inputs]

    def step(tensors: Sequence[Tensor]) -> list[Tensor]:
        return interpret(loop.step, dict(zip(keys, tensors, strict=True)))

    return lambda *operands: loop.run(step, operands)
