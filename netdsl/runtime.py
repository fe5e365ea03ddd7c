"""Running lowered graphs on tensors: plans by sizes, behind two torch operators.

`netdsl::forward` and `netdsl::backward` take tensors, sizes and the key of a program in the
process-wide registry; what backward needs are further outputs of forward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from netdsl.ir import Graph
from netdsl.kept import Kept
from netdsl.op import Type
from netdsl.pause import pause_collector
from netdsl.program import Program, floating_like, given, no_autocast
from netdsl.sizes import evaluate

DTYPES = {
    "int": torch.int64,
    "bool": torch.bool,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
PROGRAMS: WeakValueDictionary[str, Program] = WeakValueDictionary()
KEPT: dict[str, Program] = {}  # for the life of the process: traced code names them by key


def register(key: str, make: Callable[[], Program], keep: bool = True) -> Program:
    """The program of a key, made where the process has none; a lost race is a hit. One that is for
    a single size is not kept (`keep`) when nobody has it any more, unless traced code names it."""
    found = PROGRAMS.get(key)
    if found is None:
        with pause_collector():
            found = PROGRAMS.setdefault(key, make())
    if keep:
        KEPT[key] = found
    return found


def versions(tensors: Sequence[Tensor]) -> tuple[int | None, ...]:
    """How often each was written in place; None of an inference tensor, which counts nothing."""
    try:
        return tuple([t._version for t in tensors])
    except RuntimeError:
        return tuple([None if t.is_inference() else t._version for t in tensors])


@torch.library.custom_op("netdsl::forward", mutates_args=())
def forward(tensors: Sequence[Tensor], sizes: Sequence[int], key: str) -> list[Tensor]:
    """The forward plan of a program, with results as dense as the fake ones say."""
    return [y.contiguous() for y in PROGRAMS[key].forward(tensors, sizes)]


@torch.library.custom_op("netdsl::backward", mutates_args=())
def backward(tensors: Sequence[Tensor], sizes: Sequence[int], key: str) -> list[Tensor]:
    """The backward plan of a program, likewise."""
    return [dx.contiguous() for dx in PROGRAMS[key].backward([*tensors], sizes)]


@forward.register_fake
def _(tensors: Sequence[Tensor], sizes: Sequence[int], key: str) -> list[Tensor]:
    program = KEPT[key] = PROGRAMS[key]
    return _fake(program.lowered.forward, program, tensors, sizes)


@backward.register_fake
def _(tensors: Sequence[Tensor], sizes: Sequence[int], key: str) -> list[Tensor]:
    program = KEPT[key] = PROGRAMS[key]
    return _fake(program.lowered.backward, program, tensors, sizes)


def _fake(
    graph: Graph, program: Program, tensors: Sequence[Tensor], sizes: Sequence[int]
) -> list[Tensor]:
    like = floating_like(tensors)
    bindings = dict(zip(program.size_names, sizes, strict=True))
    return [_empty(program, o.value.type, bindings, like) for o in graph.outputs]


def _empty(program: Program, type: Type, bindings: Mapping[str, Any], like: Tensor) -> Tensor:
    dtype = DTYPES.get(type.dtype) or program.float(like)
    return like.new_empty([evaluate(s, bindings) for s in type.shape], dtype=dtype)


def _save(
    ctx: Any, program: Program, operands: Sequence[Tensor], results: Sequence[Tensor]
) -> None:
    """Keep what backward takes, by the program's own list."""
    lists = {"operands": operands, "results": results}
    ctx.save_for_backward(
        *[lists[where][i] for where, i in program.backward_operands if where != "cotangents"]
    )
    ctx.set_materialize_grads(False)
    ctx.program = program
    ctx.rest = [operands[i] for i in program.rest]
    ctx.versions = versions(ctx.rest)


def _gathered(ctx: Any, cotangents: Sequence[Tensor | None]) -> list[Tensor]:
    """The operands of backward, in order; an output without a cotangent has zeros. Without
    retain_graph autograd's hold on them ends here, so that each goes after its last use."""
    program: Program = ctx.program
    saved = iter(ctx.saved_tensors)
    found = [
        cotangents[i] if where == "cotangents" else next(saved)
        for where, i in program.backward_operands
    ]
    ctx.maybe_clear_saved_tensors()
    if any(tensor is None for tensor in found):
        like = next(t for t in cotangents if t is not None)
        bindings = dict(zip(program.size_names, ctx.sizes, strict=True))
        for position, (_, i) in enumerate(program.backward_operands):
            if found[position] is None:
                found[position] = _empty(
                    program, program.outputs[i].value.type, bindings, like
                ).zero_()
    return found  # type: ignore[return-value]


def _operands(ctx: Any) -> list[Tensor]:
    """The operands of forward, in order, as they were then. One that the call itself replaced has
    its new numbers: running statistics are the one kind, and no output follows from them."""
    program: Program = ctx.program
    found = dict(zip(program.rest, ctx.rest, strict=True))
    now = versions(ctx.rest)
    for i, before, after in zip(program.rest, ctx.versions, now, strict=True):
        if before != after and i not in program.updated:
            raise RuntimeError(
                f"`{given(program.lowered.forward)[i].key}` was modified by an inplace operation "
                "after the forward pass, and a gradient with create_graph=True needs it as it was"
            )
    for (where, i), tensor in zip(_kept(program), ctx.saved_tensors, strict=True):
        if where == "operands":
            found[i] = tensor
    return [found[i] for i in range(len(found))]


def _kept(program: Program) -> list[tuple[str, int]]:
    """Where each saved tensor comes from."""
    return [(where, i) for where, i in program.backward_operands if where != "cotangents"]


def _differentiable(ctx: Any, cotangents: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The gradient of each operand of forward, which has gradients of its own: forward is run
    again node by node, and torch differentiates that as often as one likes."""
    program: Program = ctx.program
    operands = _operands(ctx)
    wanted = [i for i, there in enumerate(program.reached(cotangents)) if there]
    # aliases: an operand may be made from another, whose gradient is of its own place only
    aliases = {i: operands[i].view_as(operands[i]) for i in wanted}
    with no_autocast(floating_like(operands)):
        results = program.reference([aliases.get(i, t) for i, t in enumerate(operands)], ctx.sizes)
        pairs = [
            (y, dy)
            for y, dy in zip(results, cotangents, strict=False)
            if dy is not None and y.requires_grad
        ]
        found = torch.autograd.grad(
            [y for y, _ in pairs],
            list(aliases.values()),
            [dy for _, dy in pairs],
            create_graph=True,
            allow_unused=True,
        )
    gradients = dict(zip(wanted, found, strict=True))
    return [gradients.get(i) for i in range(len(operands))]


class Differentiable(torch.autograd.Function):
    """The two plans tied for autograd, without the operators' dispatch (0.3 ms a training step).

    Takes all operands as a list, which autograd does not look at, and then those that have a
    gradient; returns the outputs, and adds the buffers' new values to the list `updates`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        program: Program,
        sizes: Sequence[int],
        operands: Sequence[Tensor],
        updates: list[Tensor],
        *leaves: Tensor,
    ) -> tuple[Tensor, ...]:
        results = program.update(operands, sizes)
        _save(ctx, program, operands, results)
        ctx.sizes = sizes
        updates += results[program.returned : program.visible]
        ctx.mark_non_differentiable(*[results[i] for i in program.silent if i < program.returned])
        return tuple(results[: program.returned])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        program: Program = ctx.program
        reached = program.reached(cotangents)
        if not any(reached):  # a loss that stopped the gradient itself
            found: Sequence[Tensor | None] = [None for _ in reached]
        elif torch.is_grad_enabled():  # create_graph=True
            found = _differentiable(ctx, cotangents)
        else:
            found = program.handed(program.backward(_gathered(ctx, cotangents), ctx.sizes), reached)
        return None, None, None, None, *[found[i] for i in program.leaves]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    operands, ctx.sizes, key = inputs
    program = PROGRAMS[key]
    _save(ctx, program, operands, output)
    ctx.mark_non_differentiable(*[output[i] for i in program.silent], *output[program.visible :])


def _backward(ctx: Any, cotangents: list[Tensor | None]) -> tuple[Any, ...]:
    program: Program = ctx.program
    reached = program.reached(cotangents)
    if not any(reached):
        return [None for _ in reached], None, None
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        return _differentiable(ctx, cotangents), None, None
    found = torch.ops.netdsl.backward(_gathered(ctx, cotangents), ctx.sizes, program.key)
    return program.handed(found, reached), None, None


forward.register_autograd(_backward, setup_context=_setup_context)


def run(
    program: Program, operands: Sequence[Tensor], sizes: list[int], kept: Kept | None = None
) -> Sequence[Tensor]:
    """The results of a program: through the operator where something traces, tied for autograd
    where a gradient is wanted, else straight through the plan."""
    if torch.compiler.is_compiling():
        traced: list[Tensor] = forward(operands, sizes, program.key)
        return traced[: program.visible]
    if program.lowered.backward.outputs:
        updates: list[Tensor] = []
        leaves = [operands[i] for i in program.leaves]
        outputs = Differentiable.apply(program, sizes, operands, updates, *leaves)  # type: ignore[no-untyped-call]
        return (*outputs, *updates)
    if not torch.is_grad_enabled():
        return program.update(operands, sizes, kept)
    with torch.no_grad():  # a parameter without a path to an output may want a gradient
        return program.update(operands, sizes, kept)
