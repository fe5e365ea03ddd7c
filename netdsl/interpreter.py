"""The reference interpreter: a graph node by node by the ops' references, gradients by autograd.

The oracle that compiled plans are compared with, and the meaning of a fused region.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from netdsl.ir import Constant, Graph, Input, Parameter
from netdsl.lazy import torch
from netdsl.loop import Loop
from netdsl.op import Op, Type
from netdsl.ops.cast import Autocast
from netdsl.sizes import evaluate
from netdsl.supplied import Supplied

if TYPE_CHECKING:
    from torch import Tensor


# the path of a use of an extern -> what Python supplies there
Functions: TypeAlias = Mapping[str, Callable[..., Any]]


def interpret(
    graph: Graph,
    given: Mapping[str, Tensor],
    functions: Functions | None = None,
    dtype: torch.dtype | None = None,
    mixed: Autocast | None = None,
    sizes: Mapping[str, Any] | None = None,
) -> list[Tensor]:
    """The outputs of a graph without modal ops, in order; `given` has the sources by key, `dtype`
    is that of the type `float` (the first floating tensor's); with `mixed` every op's operands are
    cast as they come, by its policy, as torch.autocast does. `sizes`: a tracer's symbols for the
    names of sizes that are left in the graph."""
    like = next((t for t in given.values() if t.is_floating_point()), torch.zeros(()))
    dtype = dtype or like.dtype
    results: list[tuple[Tensor, ...]] = []
    for n, node in graph.items:
        op = node.op
        if isinstance(op, (Input, Parameter)):
            results.append((given[op.key],))
        elif isinstance(op, Constant):
            results.append((torch.tensor(op.value, dtype=dtype, device=like.device),))
        else:
            operands = [results[v.node][v.result] for v in graph.operands(n)]
            op = op.at_sizes(partial(evaluate, bindings=sizes)) if sizes else op
            made = _applied(op, operands, functions or {}, dtype, mixed, sizes)
            results.append(made if isinstance(made, tuple) else (made,))
    return [results[o.value.node][o.value.result] for o in graph.outputs]


def _applied(
    op: Op,
    operands: Sequence[Tensor],
    functions: Functions,
    dtype: torch.dtype,
    mixed: Autocast | None,
    sizes: Mapping[str, Any] | None,
) -> Any:
    if isinstance(op, Loop):
        steps = [partial(_step, graph, functions, dtype, mixed, sizes) for graph in op.graphs]
        return op.run(steps, operands)
    if mixed is None:
        return _called(op, operands, functions)
    rule = op.autocast_on(mixed.device)
    low = getattr(torch, mixed.dtype)
    kept = op.kept(mixed.device, _types(operands)) if rule == "low" else ()
    casted = [x if i in kept else _cast(x, rule, low) for i, x in enumerate(operands)]
    with torch.autocast(mixed.device, low, enabled=rule == "inside"):
        return _called(op, casted, functions)


def _types(tensors: Sequence[Tensor]) -> tuple[Type, ...]:
    """The shapes as types; of what dtype does not count."""
    return tuple(Type(tuple(t.shape)) for t in tensors)


def _cast(x: Tensor, rule: str, low: torch.dtype) -> Tensor:
    """An operand in the dtype that autocast gives it; a float64 stays."""
    if not x.is_floating_point() or x.dtype == torch.float64:
        return x
    wanted = {"low": low, "float32": torch.float32}.get(rule, x.dtype)
    return x.to(wanted)


def _called(op: Op, operands: Sequence[Tensor], functions: Functions) -> Any:
    if isinstance(op, Supplied) and op.path in functions:
        return op.call(functions[op.path], operands)
    return op.reference(*operands)


def _step(
    graph: Graph,
    functions: Functions,
    dtype: torch.dtype,
    mixed: Autocast | None,
    sizes: Mapping[str, Any] | None,
    tensors: Sequence[Tensor],
) -> list[Tensor]:
    """One step of a recurrence."""
    given = dict(zip((op.key for op in graph.inputs), tensors, strict=True))
    return interpret(graph, given, functions, dtype, mixed, sizes)
