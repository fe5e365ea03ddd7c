"""The reference interpreter: a graph node by node by the ops' references, gradients by autograd.

The oracle that compiled plans are compared with, and the meaning of a fused region.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from netdsl.ir import Constant, Graph, Input, Parameter
from netdsl.lazy import torch
from netdsl.op import Op
from netdsl.recur import Loop
from netdsl.supplied import Supplied

if TYPE_CHECKING:
    from torch import Tensor


# the path of a use of an extern -> what Python supplies there
Functions: TypeAlias = Mapping[str, Callable[..., Any]]


def interpret(
    graph: Graph, given: Mapping[str, Tensor], functions: Functions | None = None
) -> list[Tensor]:
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
            operands = [results[v.node][v.result] for v in graph.operands(n)]
            made = _applied(op, operands, functions or {})
            results.append(made if isinstance(made, tuple) else (made,))
    return [results[o.value.node][o.value.result] for o in graph.outputs]


def _applied(op: Op, operands: Sequence[Tensor], functions: Functions) -> Any:
    if isinstance(op, Loop):
        return _looped(op, operands, functions)
    if isinstance(op, Supplied) and op.path in functions:
        return op.call(functions[op.path], operands)
    return op.reference(*operands)


def _looped(loop: Loop, operands: Sequence[Tensor], functions: Functions) -> Any:
    """A recurrence, every step interpreted."""
    keys = [op.key for op in loop.step.inputs]

    def step(tensors: Sequence[Tensor]) -> list[Tensor]:
        return interpret(loop.step, dict(zip(keys, tensors, strict=True)), functions)

    return loop.run(step, operands)
