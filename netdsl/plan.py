"""The plan: a graph for concrete sizes as straight-line steps over slots, run by us.

Every step has its kernel, the slots it reads and writes, and the slots whose memory ends there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from netdsl.backend import Backend, Decline, Kernel, Packed
from netdsl.fusions.region import Fused, inline
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
    packs      (slot of an input, how it is packed) of the packed operands, which come after those
    copies     positions of outputs that would share memory with an input or another output, or that
               are views, which autograd would let nobody write into
    peak       bytes of the buffers alive at once, inputs and parameters not counted
    """

    graph: Graph
    inputs: tuple[str, ...]
    constants: tuple[Tensor, ...]
    packs: tuple[tuple[int, Callable[[Tensor], Tensor]], ...]
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

    def pack(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The packed operands of calls that have these inputs in common."""
        return [pack(tensors[i]) for i, pack in self.packs]

    def __call__(
        self, tensors: Sequence[Tensor], packed: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        """The outputs, each in memory of its own; without `packed` from plain operands."""
        if packed is None:
            packed = [tensors[i] for i, _ in self.packs]
        return self._run([*tensors, *self.constants, *packed])

    def consume(self, tensors: list[Tensor]) -> list[Tensor]:
        """The outputs; the list is emptied, and a tensor that nobody else has goes after its last
        use."""
        slots = [*tensors, *self.constants, *[tensors[i] for i, _ in self.packs]]
        tensors.clear()
        return self._run(slots)

    def _run(self, slots: list[Tensor]) -> list[Tensor]:
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
    shared: Collection[str] = (),
    updated: Collection[str] = (),
) -> Plan:
    """The steps of a graph with concrete sizes, each by the first backend that has a kernel.

    The inputs and parameters whose keys are in `shared` are the same at many calls, so kernels may
    have them packed. Those in `updated` a call may give their new values.
    """
    graph = inline(graph, _apart(graph, backends, shared))
    given = [(n, node.op) for n, node in graph.items if isinstance(node.op, (Input, Parameter))]
    constants = [(n, node.op) for n, node in graph.items if isinstance(node.op, Constant)]
    live = liveness(graph)
    work = [n for n, node in graph.items if not isinstance(node.op, Source)]
    position = {n: overwritable(graph, live, n) for n in work}
    packed = _packed(graph, backends, position, shared)
    slot = {Value(n, 0, op.type): i for i, (n, op) in enumerate((*given, *constants))}
    packs = tuple((slot[graph.operands(n)[p.operand]], p.pack) for n, p in packed.items())
    layouts = {n: len(slot) + i for i, n in enumerate(packed)}
    free = len(slot) + len(packs)
    ends: dict[int, list[Value]] = {}
    for value, owner in live.buffer.items():
        ends.setdefault(live.last.get(owner, value.node), []).append(value)
    steps: list[Step] = []
    for n in work:
        for value in graph.results(n):
            slot[value] = free
            free += 1
        operands = [slot[v] for v in graph.operands(n)]
        if n in packed:
            kernel = packed[n].kernel
            operands[packed[n].operand] = layouts[n]
        else:
            writes = _writes(graph, n, updated)
            kernel = _kernel(graph, backends, live, n, position[n], writes)
        frees = tuple(slot[v] for v in ends.get(n, ()))
        results = tuple(slot[v] for v in graph.results(n))
        steps.append(Step(n, kernel, tuple(operands), results, frees, position[n]))
    return Plan(
        graph,
        tuple(op.key for _, op in given),
        tuple(torch.tensor(op.value, dtype=dtype, device=device) for _, op in constants),
        packs,
        tuple(steps),
        tuple(slot[o.value] for o in graph.outputs),
        _copies(graph, live),
        _peak(graph, live, steps, dtype.itemsize),
    )


def _apart(graph: Graph, backends: Sequence[Backend], shared: Collection[str]) -> list[int]:
    """The fused regions that no backend has a kernel for."""
    regions = {n: None for n, node in graph.items if isinstance(node.op, Fused)}
    packed = _packed(graph, backends, regions, shared)

    def alone(n: int) -> bool:
        node, types = graph.node(n), tuple([v.type for v in graph.operands(n)])
        used = tuple([True for _ in node.types])
        return all(isinstance(b.kernel(node, types, used), Decline) for b in backends)

    return [n for n in regions if n not in packed and alone(n)]


def _packed(
    graph: Graph,
    backends: Sequence[Backend],
    position: Mapping[int, int | None],
    shared: Collection[str],
) -> dict[int, Packed]:
    """Of the nodes in `position`, those whose kernels have one of the shared inputs packed."""
    common = {
        n
        for n, node in graph.items
        if isinstance(node.op, (Input, Parameter)) and node.op.key in shared
    }
    found: dict[int, Packed] = {}
    for n, place in position.items() if common else ():
        values = graph.operands(n)
        places = [i for i, v in enumerate(values) if v.node in common]
        for backend in backends if places else ():
            packed = backend.packed(graph.node(n), tuple([v.type for v in values]), places, place)
            if not isinstance(packed, Decline):
                found[n] = packed
                break
    return found


def _writes(graph: Graph, n: int, updated: Collection[str]) -> bool:
    """Whether a node may write into the operands that it has new values of: it alone reads them."""
    count = graph.node(n).op.updates
    values = graph.operands(n)[-count:] if count and updated else ()
    return bool(values) and all(
        getattr(graph.node(v.node).op, "key", None) in updated and len(graph.users[v]) == 1
        for v in values
    )


def _kernel(
    graph: Graph,
    backends: Sequence[Backend],
    live: Liveness,
    n: int,
    position: int | None,
    writes: bool,
) -> Kernel:
    node = graph.node(n)
    types = tuple(v.type for v in graph.operands(n))
    used = tuple(live.buffer[v] in live.last for v in graph.results(n))
    reasons: list[str] = []
    for backend in backends:
        if writes:
            kernel = backend.updating(node)
        elif position is None:
            kernel = backend.kernel(node, types, used)
        else:
            kernel = backend.into(node, types)
        if not isinstance(kernel, Decline):
            return kernel if position is None or writes else _over(kernel, position)
        reasons.append(f"{backend.name}: {kernel.reason}")
    raise AssertionError(f"no backend has a kernel for {node.op.describe()}: {reasons}")


def _over(into: Kernel, position: int) -> Kernel:
    """The kernel whose result takes the memory of the operand at a position."""
    return lambda *operands: into(operands[position], *operands)


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
