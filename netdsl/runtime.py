"""Running lowered graphs on tensors: plans by sizes, behind two torch operators.

`netdsl::forward` and `netdsl::backward` take tensors, sizes and the key of a program in the
process-wide registry; what backward needs are further outputs of forward.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from netdsl.backends.torch import TorchBackend
from netdsl.errors import InputError, Problem
from netdsl.interpreter import interpret
from netdsl.ir import Graph, Input, Parameter
from netdsl.modes import SEED
from netdsl.op import Type
from netdsl.pipeline import Lowered
from netdsl.plan import Plan, plan
from netdsl.rewrite import dependent, with_sizes
from netdsl.signature import autocasts
from netdsl.sizes import evaluate

PLANS_KEPT = 32  # per program; beyond that the oldest is dropped, and planned again when needed
DTYPES = {
    "int": torch.int64,
    "bool": torch.bool,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
PROGRAMS: dict[str, Program] = {}  # for the life of the process: traced code names them by key


class Program:
    """One mode of a net, ready for any sizes.

    A call has a pool of tensors: the net's inputs, parameters and buffers (`keys`), the seed if the
    program is `seeded`, and the prelude's results.

    fetch, prelude_fetch  positions in the pool of what the forward graph and the prelude take
    backward_operands     where each operand of backward comes from: forward's "operands", its
                          "results" or the "cotangents", and the position there
    gradients             of each operand of forward, the position of its gradient in backward's
                          results
    cotangents            of each of backward's results, the outputs whose cotangents reach it
    visible               how many results leave the operator; the saved ones come after them
    silent                positions of the visible results that no gradient comes through
    rest                  positions of the operands of forward that backward does without
    updated               positions of the operands that a call replaces (running statistics)
    mixed                 whether the graphs have casts: the type `float` is float32 then
    """

    def __init__(
        self,
        key: str,
        lowered: Lowered,
        keys: Sequence[str],
        size_names: tuple[str, ...],
        mixed: bool = False,
    ) -> None:
        self.key = key
        self.mixed = mixed
        self.lowered = lowered
        self.size_names = size_names
        self.outputs = lowered.forward.outputs
        self.visible = sum(o.role != "saved" for o in self.outputs)
        self.seeded = any(_role(op) == "seed" for op in given(lowered.forward))
        pool = {key: i for i, key in enumerate([*keys, *([SEED] if self.seeded else ())])}
        saved = len(pool)
        self.fetch = tuple(
            saved + int(op.key) if _role(op) == "saved" else pool[op.key]
            for op in given(lowered.forward)
        )
        self.prelude_fetch = tuple(pool[op.key] for op in given(lowered.prelude))
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._lock = Lock()
        self._link(lowered.forward, lowered.backward)

    def _link(self, forward: Graph, backward: Graph) -> None:
        operands = {op.key: i for i, op in enumerate(given(forward))}
        results = {(o.role == "saved", o.name): i for i, o in enumerate(forward.outputs)}

        def place(op: Input | Parameter) -> tuple[str, int]:
            role = _role(op)
            if role == "saved":
                return "results", results[True, op.key]
            if role == "cotangent":
                return "cotangents", results[False, op.key]
            return "operands", operands[op.key]

        self.backward_operands = tuple(place(op) for op in given(backward))
        follows = {
            results[False, op.key]: dependent(backward, [n])
            for n, op in backward.sources(Input)
            if _role(op) == "cotangent"
        }
        self.cotangents = tuple(
            frozenset(i for i, nodes in follows.items() if o.value.node in nodes)
            for o in backward.outputs
        )
        positions = {o.name: i for i, o in enumerate(backward.outputs)}
        self.gradients = tuple(positions.get(op.key) for op in given(forward))
        loud = {i for where, i in self.backward_operands if where == "cotangents"}
        self.silent = [i for i in range(self.visible) if i not in loud]
        taken = {i for where, i in self.backward_operands if where == "operands"}
        self.rest = [i for i in operands.values() if i not in taken]
        self.updated = {
            operands[o.name] for o in forward.outputs if o.role == "update" and o.name in operands
        }

    def forward(self, tensors: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
        """Results in the order of the forward graph's outputs."""
        return self._run("forward", self.lowered.forward, sizes, tensors)

    def prelude(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The folded weights; no size reaches them."""
        return self._run("prelude", self.lowered.prelude, (), tensors)

    def backward(self, tensors: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
        """Gradients in the order of the backward graph's outputs."""
        return self._run("backward", self.lowered.backward, sizes, tensors)

    def reference(self, tensors: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
        """The results that leave the operator, node by node: torch's autograd goes through them."""
        like = _like(tensors)
        dtype = self.float(like)
        graph = self._plan("forward", self.lowered.forward, sizes, dtype, like.device).graph
        keys = [op.key for op in given(graph)]
        found = interpret(graph, dict(zip(keys, tensors, strict=True)), dtype=dtype)
        return found[: self.visible]

    def reached(self, cotangents: Sequence[Tensor | None]) -> list[bool]:
        """Of each operand of forward, whether a cotangent that is there reaches its gradient."""
        present = {i for i, dy in enumerate(cotangents) if dy is not None}
        return [
            i is not None and not present.isdisjoint(self.cotangents[i]) for i in self.gradients
        ]

    def handed(self, found: Sequence[Tensor], reached: Sequence[bool]) -> list[Tensor | None]:
        """The gradient of each operand of forward; None, as torch has it, where none reaches it."""
        return [
            found[i] if i is not None and there else None
            for i, there in zip(self.gradients, reached, strict=True)
        ]

    def float(self, like: Tensor) -> torch.dtype:
        """The dtype of the type `float` in a call with a floating tensor."""
        return torch.float32 if self.mixed else like.dtype

    def _run(
        self, part: str, graph: Graph, sizes: Sequence[int], tensors: Sequence[Tensor]
    ) -> list[Tensor]:
        """The results of a part's plan; every cast stands in the graph, so autocast is off."""
        like = _like(tensors)
        made = self._plan(part, graph, sizes, self.float(like), like.device)
        with _no_autocast(like):
            return made(tensors)

    def _plan(
        self,
        part: str,
        graph: Graph,
        sizes: Sequence[int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> Plan:
        key = (part, dtype, device, *sizes)
        found = self._plans.get(key)
        if found is not None:
            return found
        bindings = dict(zip(self.size_names, map(int, sizes), strict=False))
        backend = TorchBackend(dtype, device)
        with uncollected():
            try:
                concrete = with_sizes(graph, bindings)
            except Problem as problem:
                raise InputError((problem.at(None),)) from None
            made = plan(concrete, (backend,), dtype, device)
        with self._lock:
            if len(self._plans) >= PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
            return self._plans.setdefault(key, made)


def register(key: str, make: Callable[[], Program]) -> Program:
    """The program of a key, made where the process has none; a lost race is a hit."""
    found = PROGRAMS.get(key)
    if found is not None:
        return found
    with uncollected():
        return PROGRAMS.setdefault(key, make())


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the cyclic garbage collector: graphs are many small objects and none of them garbage,
    so looking through them over and over would take half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def given(graph: Graph) -> tuple[Input | Parameter, ...]:
    """The sources that a call of the graph's plan takes, in order."""
    return tuple(n.op for _, n in graph.items if isinstance(n.op, (Input, Parameter)))


def _role(op: Input | Parameter) -> str:
    return op.role if isinstance(op, Input) else "parameter"


def _like(tensors: Sequence[Tensor]) -> Tensor:
    """A tensor of the floating dtype and device of a call; of torch's default dtype where all are
    integers."""
    found = next((t for t in tensors if t.is_floating_point()), None)
    return torch.empty(0, device=tensors[0].device) if found is None else found


def _no_autocast(like: Tensor) -> AbstractContextManager[None]:
    """What runs in here has the dtypes of its operands, whatever the caller is under."""
    on = autocasts(like)
    return torch.autocast(like.device.type, enabled=False) if on else nullcontext()


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
    return [dx.contiguous() for dx in PROGRAMS[key].backward(tensors, sizes)]


@forward.register_fake
def _(tensors: Sequence[Tensor], sizes: Sequence[int], key: str) -> list[Tensor]:
    program = PROGRAMS[key]
    return _fake(program.lowered.forward, program, tensors, sizes)


@backward.register_fake
def _(tensors: Sequence[Tensor], sizes: Sequence[int], key: str) -> list[Tensor]:
    program = PROGRAMS[key]
    return _fake(program.lowered.backward, program, tensors, sizes)


def _fake(
    graph: Graph, program: Program, tensors: Sequence[Tensor], sizes: Sequence[int]
) -> list[Tensor]:
    like = _like(tensors)
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
    """The operands of backward, in order; an output without a cotangent has zeros."""
    program: Program = ctx.program
    saved = iter(ctx.saved_tensors)
    found = [
        cotangents[i] if where == "cotangents" else next(saved)
        for where, i in program.backward_operands
    ]
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
    with _no_autocast(_like(operands)):
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
    """The two plans tied for autograd, without the operators' dispatch (0.3 ms a training step)."""

    @staticmethod
    def forward(
        ctx: Any, program: Program, sizes: Sequence[int], *operands: Tensor
    ) -> tuple[Tensor, ...]:
        results = program.forward(operands, sizes)
        _save(ctx, program, operands, results)
        ctx.sizes = sizes
        ctx.mark_non_differentiable(*[results[i] for i in program.silent])
        return tuple(results[: program.visible])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        program: Program = ctx.program
        reached = program.reached(cotangents)
        if not any(reached):  # a loss that stopped the gradient itself
            return None, None, *[None for _ in reached]
        if torch.is_grad_enabled():  # create_graph=True
            return None, None, *_differentiable(ctx, cotangents)
        found = program.backward(_gathered(ctx, cotangents), ctx.sizes)
        return None, None, *program.handed(found, reached)


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


def run(program: Program, operands: list[Tensor], sizes: list[int]) -> Sequence[Tensor]:
    """The results of a program: through the operator where something traces, tied for autograd
    where a gradient is wanted, else straight through the plan."""
    if torch.compiler.is_compiling():
        traced: list[Tensor] = forward(operands, sizes, program.key)
        return traced[: program.visible]
    if program.lowered.backward.outputs:
        return Differentiable.apply(program, sizes, *operands)  # type: ignore[no-untyped-call,no-any-return]
    if not torch.is_grad_enabled():
        return program.forward(operands, sizes)
    with torch.no_grad():  # a parameter without a path to an output may want a gradient
        return program.forward(operands, sizes)
