"""The plan: a graph for concrete sizes as straight-line steps over slots, run by us.

Every step has its kernel, the slots it reads and writes, and the slots whose memory ends there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from netdsl.backend import Backend, Decline, Kernel
from netdsl.ir import Constant, Graph, Input, Parameter, Source
from netdsl.lazy import torch
from netdsl.liveness import Liveness, liveness, overwritable, size_of
from netdsl.op import Value

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Step:
    """One kernel call; `overwrites` is the operand position whose memory the result takes."""

    node: int
    kernel: Kernel
    operands: tuple[int, ...]
    results: tuple[int, ...]
    frees: tuple[int, ...]
    overwrites: int | None = None


@dataclass(frozen=True)
class Plan:
    """Steps for a graph with concrete sizes; calling it runs them.

    inputs     keys of the tensors that a call takes, in order
    constants  tensors that follow them in the slots
    copies     positions of outputs that would share memory with an input or another output, or that
               are views, which autograd would let nobody write into
    peak       bytes of the buffers alive at once, inputs and parameters not counted
    """

    graph: Graph
    inputs: tuple[str, ...]
    constants: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    copies: frozenset[int]
    peak: int

    @cached_property
    def _code(self) -> tuple[tuple[Kernel, tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...]:
        return tuple((s.kernel, s.operands, s.results, s.frees) for s in self.steps)

    @cached_property
    def _slots(self) -> int:
        return 1 + max((r for s in self.steps for r in s.results), default=-1)

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The outputs, each in memory of its own."""
        slots = [*tensors, *self.constants]
        slots += [None] * (self._slots - len(slots))  # type: ignore[list-item]
        for kernel, operands, results, frees in self._code:
            made = kernel(*[slots[i] for i in operands])
            if made.__class__ is tuple:
                for i, tensor in zip(results, made, strict=True):
                    slots[i] = tensor
            else:
                slots[results[0]] = made
            for i in frees:
                slots[i] = None  # type: ignore[call-overload]
        found = [slots[i] for i in self.outputs]
        for i in self.copies:
            found[i] = found[i].clone()
        return found


def plan(
    graph: Graph,
    backends: Sequence[Backend],
    dtype: torch.dtype,
    device: torch.device,
    *,
    owned: int | None = None,
) -> Plan:
    """The steps of a graph with concrete sizes, each by the first backend that has a kernel.

    The memory of input number `owned` may be written over.
    """
    given = [(n, node.op) for n, node in graph.items if isinstance(node.op, (Input, Parameter))]
    constants = [(n, node.op) for n, node in graph.items if isinstance(node.op, Constant)]
    slot = {Value(n, 0, op.type): i for i, (n, op) in enumerate((*given, *constants))}
    live = liveness(graph, owned)
    ends: dict[int, list[Value]] = {}
    for value, owner in live.buffer.items():
        ends.setdefault(live.last.get(owner, value.node), []).append(value)
    steps: list[Step] = []
    for n, node in graph.items:
        if isinstance(node.op, Source):
            continue
        for value in graph.results(n):
            slot[value] = len(slot)
        operands = graph.operands(n)
        position = overwritable(graph, live, n)
        kernel = _kernel(graph, backends, live, n, position)
        frees = tuple(slot[v] for v in ends.get(n, ()) if v not in live.borrowed)
        results = tuple(slot[v] for v in graph.results(n))
        steps.append(Step(n, kernel, tuple(slot[v] for v in operands), results, frees, position))
    return Plan(
        graph,
        tuple(op.key for _, op in given),
        tuple(torch.tensor(op.value, dtype=dtype, device=device) for _, op in constants),
        tuple(steps),
        tuple(slot[o.value] for o in graph.outputs),
        _copies(graph, live),
        _peak(graph, live, steps, dtype.itemsize),
    )


def _kernel(
    graph: Graph, backends: Sequence[Backend], live: Liveness, n: int, position: int | None
) -> Kernel:
    node = graph.node(n)
    types = tuple(v.type for v in graph.operands(n))
    used = tuple(live.buffer[v] in live.last for v in graph.results(n))
    reasons: list[str] = []
    for backend in backends:
        kernel = (
            backend.kernel(node, types, used)
            if position is None
            else backend.inplace(node, position)
        )
        if not isinstance(kernel, Decline):
            return kernel
        reasons.append(f"{backend.name}: {kernel.reason}")
    raise AssertionError(f"no backend has a kernel for {node.op.describe()}: {reasons}")


def _copies(graph: Graph, live: Liveness) -> frozenset[int]:
    seen: set[Value] = set()
    shared: set[int] = set()
    for i, out in enumerate(graph.outputs):
        owner = live.buffer[out.value]
        view = owner != out.value and out.role not in ("gradient", "saved")
        if owner in live.borrowed or owner in seen or view:
            shared.add(i)
        seen.add(owner)
    return frozenset(shared)


def _peak(graph: Graph, live: Liveness, steps: Sequence[Step], float_bytes: int) -> int:
    now = peak = 0
    ending: dict[int, list[Value]] = {}
    overwritten = {
        live.buffer[graph.operands(s.node)[s.overwrites]] for s in steps if s.overwrites is not None
    }
    for owner in dict.fromkeys(live.buffer.values()):
        if owner not in live.borrowed and owner not in overwritten:
            ending.setdefault(live.last.get(owner, owner.node), []).append(owner)
    for step in steps:
        if step.overwrites is None:
            now += sum(
                size_of(v.type, float_bytes)
                for v in graph.results(step.node)
                if live.buffer[v] == v
            )
        peak = max(peak, now)
        now -= sum(size_of(v.type, float_bytes) for v in ending.get(step.node, ()))
    return peak
