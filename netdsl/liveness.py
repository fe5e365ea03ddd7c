"""Liveness: which values share memory, when that memory is last read, and who may write over it.

A buffer is the memory of a value and of its views. It is borrowed where it comes from outside
(inputs, parameters, saved tensors): nobody writes there. It lives to the end where an output is in
it.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.ir import Graph, Source
from netdsl.op import Type, Value

END = 1 << 60
BYTES = {"bfloat16": 2, "float16": 2, "int": 8, "bool": 1}


@dataclass(frozen=True)
class Liveness:
    """Per value its buffer (named by the value that made it); per buffer its last reader."""

    buffer: dict[Value, Value]
    last: dict[Value, int]
    borrowed: frozenset[Value]


def liveness(graph: Graph) -> Liveness:
    """The liveness of a graph."""
    buffer: dict[Value, Value] = {}
    last: dict[Value, int] = {}
    borrowed: set[Value] = set()
    for n, node in graph.items:
        operands = graph.operands(n)
        for value in graph.results(n):
            buffer[value] = buffer[operands[0]] if node.op.view else value
            if isinstance(node.op, Source):
                borrowed.add(value)
        for v in operands:
            last[buffer[v]] = n
    for out in graph.outputs:
        last[buffer[out.value]] = END
    return Liveness(buffer, last, frozenset(borrowed))


def overwritable(graph: Graph, live: Liveness, n: int) -> int | None:
    """The position of an operand whose memory node n may take: read here for the last time, ours,
    of the result's type, in no other operand, and dense (a view must show all of its buffer)."""
    node = graph.node(n)
    operands = graph.operands(n)
    buffers = [live.buffer[v] for v in operands]
    for position in node.op.overwrites:
        v, owner = operands[position], buffers[position]
        if (
            v.type == node.types[0]
            and live.last[owner] == n
            and owner not in live.borrowed
            and buffers.count(owner) == 1
            and owner.type.numel == v.type.numel
        ):
            return position
    return None


def size_of(type: Type, float_bytes: int = 4) -> int:
    """Bytes of a tensor of concrete sizes."""
    numel = type.numel
    assert isinstance(numel, int), f"{type} is symbolic"
    return numel * (float_bytes if type.dtype == "float" else BYTES[type.dtype])
