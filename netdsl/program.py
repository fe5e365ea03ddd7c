"""A program: one mode of a net as lowered graphs, their plans by sizes, and how a call's tensors
reach them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from netdsl.backends import backends
from netdsl.errors import InputError, Problem
from netdsl.interpreter import interpret
from netdsl.ir import Graph, Input, Parameter
from netdsl.kept import Kept
from netdsl.modes import SEED
from netdsl.ops.conv import Conv
from netdsl.pause import pause_collector
from netdsl.pipeline import Lowered
from netdsl.plan import Plan, plan
from netdsl.rewrite import dependent, with_sizes
from netdsl.signature import autocasts

PLANS_KEPT = 32  # per program; beyond that the oldest is dropped, and planned again when needed


class Program:
    """One mode of a net, ready for any sizes.

    A call has a pool of tensors: the net's inputs, parameters and buffers (`keys`), the seed if the
    program is `seeded`, and the prelude's results.

    fetch, prelude_fetch  positions in the pool of what the forward graph and the prelude take
    images                positions of the inputs that a net in channels_last brings there: not of
                          those that convolutions alone read, which do it themselves
    kept_fetch            positions of what that which is kept between calls was made from: what the
                          prelude takes, of a frozen net all parameters
    backward_operands     where each operand of backward comes from: forward's "operands", its
                          "results" or the "cotangents", and the position there
    gradients             of each operand of forward, the position of its gradient in backward's
                          results
    cotangents            of each of backward's results, the outputs whose cotangents reach it
    returned              how many results a caller is given: those before the buffers' new values
    visible               how many results leave the operator; the saved ones come after them
    silent                positions of the visible results that no gradient comes through
    rest                  positions of the operands of forward that backward does without
    leaves                positions of the operands of forward that have a gradient
    updated               positions of the operands that a call replaces (running statistics)
    mixed                 whether the graphs have casts: the type `float` is float32 then
    frozen                whether the parameters stay as they are
    """

    def __init__(
        self,
        key: str,
        lowered: Lowered,
        keys: Sequence[str],
        size_names: tuple[str, ...],
        mixed: bool = False,
        frozen: bool = False,
    ) -> None:
        self.key = key
        self.mixed = mixed
        self.lowered = lowered
        self.size_names = size_names
        self.outputs = lowered.forward.outputs
        self.returned = sum(o.role not in ("update", "saved") for o in self.outputs)
        self.visible = sum(o.role != "saved" for o in self.outputs)
        self.seeded = any(_role(op) == "seed" for op in given(lowered.forward))
        pool = {key: i for i, key in enumerate([*keys, *([SEED] if self.seeded else ())])}
        saved = len(pool)
        self.fetch = tuple(
            saved + int(op.key) if _role(op) == "saved" else pool[op.key]
            for op in given(lowered.forward)
        )
        self.prelude_fetch = tuple(pool[op.key] for op in given(lowered.prelude))
        self.images = tuple(
            pool[op.key]
            for n, op in lowered.forward.sources(Input)
            if _role(op) == "input" and op.type.rank == 4
            if lowered.backward.outputs or not _convolved(lowered.forward, n)
        )
        owned = [pool[op.key] for op in given(lowered.forward) if isinstance(op, Parameter)]
        self.kept_fetch = tuple(dict.fromkeys([*self.prelude_fetch, *(owned if frozen else ())]))
        self._shared = {
            op.key
            for op in given(lowered.forward)
            if _role(op) == "saved" or (frozen and isinstance(op, Parameter))
        }
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
        self.leaves = tuple(i for i, g in enumerate(self.gradients) if g is not None)
        loud = {i for where, i in self.backward_operands if where == "cotangents"}
        self.silent = [i for i in range(self.visible) if i not in loud]
        taken = {i for where, i in self.backward_operands if where == "operands"}
        self.rest = [i for i in operands.values() if i not in taken]
        self.updated = {
            operands[o.name] for o in forward.outputs if o.role == "update" and o.name in operands
        }

    def forward(self, tensors: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
        """Results in the order of the forward graph's outputs; a pure function."""
        return self._run("forward", self.lowered.forward, sizes, tensors)

    def update(
        self, tensors: Sequence[Tensor], sizes: Sequence[int], kept: Kept | None = None
    ) -> list[Tensor]:
        """The same, with what calls of the same parameters share; a buffer's new value may be
        written into it, and the result is then the buffer itself."""
        return self._run("update", self.lowered.forward, sizes, tensors, kept)

    def prelude(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The folded weights; no size reaches them."""
        prelude = self.lowered.prelude
        return self._run("prelude", prelude, (), tensors) if prelude.outputs else []

    def backward(self, tensors: list[Tensor], sizes: Sequence[int]) -> list[Tensor]:
        """Gradients in the order of the backward graph's outputs; the list is emptied, and what
        nobody else has goes after its last use."""
        like = floating_like(tensors)
        graph = self.lowered.backward
        made = self._plan("backward", graph, sizes, self.float(like), like.device)
        guarded = no_autocast(like)
        del like  # one of those that go
        with guarded:
            return made.consume(tensors)

    def reference(self, tensors: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
        """The results that leave the operator, node by node: torch's autograd goes through them."""
        like = floating_like(tensors)
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
        self,
        part: str,
        graph: Graph,
        sizes: Sequence[int],
        tensors: Sequence[Tensor],
        kept: Kept | None = None,
    ) -> list[Tensor]:
        """The results of a part's plan; every cast stands in the graph, so autocast is off."""
        like = floating_like(tensors)
        made = self._plan(part, graph, sizes, self.float(like), like.device)
        packed = kept.packed(made, tensors) if kept is not None and made.packs else None
        with no_autocast(like):
            return made(tensors, packed)

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
        with pause_collector():
            try:
                concrete = with_sizes(graph, bindings)
            except Problem as problem:
                raise InputError((problem.at(None),)) from None
            update = part == "update"
            made = plan(
                concrete,
                backends(dtype, device),
                dtype,
                device,
                shared=self._shared if update else (),
                updated=[o.name for o in graph.outputs if o.role == "update"] if update else (),
            )
        with self._lock:
            if len(self._plans) >= PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
            return self._plans.setdefault(key, made)


def given(graph: Graph) -> tuple[Input | Parameter, ...]:
    """The sources that a call of the graph's plan takes, in order."""
    return tuple(n.op for _, n in graph.items if isinstance(n.op, (Input, Parameter)))


def _role(op: Input | Parameter) -> str:
    return op.role if isinstance(op, Input) else "parameter"


def _convolved(graph: Graph, n: int) -> bool:
    """Whether convolutions alone read an input."""
    users = (user for value in graph.results(n) for user, _ in graph.users.get(value, ()))
    return all(isinstance(graph.node(user).op, Conv) for user in users)


def floating_like(tensors: Sequence[Tensor]) -> Tensor:
    """A tensor of the floating dtype and device of a call; of torch's default dtype where all are
    integers."""
    found = next((t for t in tensors if t.is_floating_point()), None)
    return torch.empty(0, device=tensors[0].device) if found is None else found


def no_autocast(like: Tensor) -> AbstractContextManager[None]:
    """What runs in here has the dtypes of its operands, whatever the caller is under."""
    on = autocasts(like)
    return torch.autocast(like.device.type, enabled=False) if on else nullcontext()
