"""What a part of a graph costs: its parameters and multiply-accumulates, for one example."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from netdsl.ir import Graph, Parameter, Source
from netdsl.op import Type
from netdsl.sizes import Size, names, substitute


@dataclass(frozen=True)
class Cost:
    """Numbers of parameters and of multiply-accumulates; the latter may depend on sizes."""

    params: int
    macs: Size


def batch(graph: Graph) -> set[str]:
    """The names of the first axes of the inputs, which cost is counted for one of."""
    firsts = [op.type.shape[0] for op in graph.inputs if op.type.rank]
    return {str(size) for size in firsts if names(size) == {str(size)}}


def cost(graph: Graph, nodes: Iterable[int]) -> Cost:
    """The cost of some nodes of a graph, which may be unfinished."""
    params = 0
    macs: Size = 0
    for n in nodes:
        node = graph.node(n)
        if isinstance(node.op, Parameter):
            numel = node.types[0].numel
            params += numel if isinstance(numel, int) and not node.op.buffer else 0
        elif not isinstance(node.op, Source):
            macs = macs + node.op.macs(_operands(graph, n), node.types)
    return Cost(params, substitute(macs, dict.fromkeys(batch(graph), 1)))


def _operands(graph: Graph, n: int) -> tuple[Type, ...]:
    """The operands' types. Those of all nodes, as a finished graph keeps them, take longer."""
    edges = graph.in_edges(n, keys=True)
    found = {place: graph.node(maker).types[result] for maker, _, (result, place) in edges}
    return tuple(found[place] for place in range(len(found)))
