"""Pointwise regions: chains and trees of elementwise ops become one pass over memory.

Pattern    a pointwise node and the pointwise nodes before it
Condition  every node but the last is used inside the region alone, is no output, and has the shape
           of the last (a smaller one would be computed again for every element)
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from netdsl.fusions.region import Refusal, Region, outline
from netdsl.ir import Graph
from netdsl.op import Value
from netdsl.sizes import Size


def fuse_pointwise(graph: Graph) -> Graph:
    return outline(graph, regions(graph)[0])


def regions(graph: Graph) -> tuple[list[Region], list[Refusal]]:
    """The maximal regions of two nodes or more, and why neighbours were left out."""
    found: list[Region] = []
    refusals: list[Refusal] = []
    taken: set[int] = set()
    outputs = {o.value for o in graph.outputs}
    for root, node in reversed(graph.items):
        if root in taken or not node.op.pointwise:
            continue
        region = {root}
        queue = [-v.node for v in graph.operands(root)]
        heapify(queue)
        while queue:  # the latest first, so that all users of a node are decided before it
            n = -heappop(queue)
            if n in region or not graph.node(n).op.pointwise:
                continue
            reason = _refuse(graph, n, region, node.types[0].shape, outputs)
            if reason:
                refusals.append(Refusal(n, reason))
                continue
            region.add(n)
            for v in graph.operands(n):
                heappush(queue, -v.node)
        if len(region) > 1:
            found.append(Region(tuple(sorted(region))))
            taken |= region
    return found, refusals


def _refuse(
    graph: Graph, n: int, region: set[int], shape: tuple[Size, ...], outputs: set[Value]
) -> str:
    (value,) = graph.results(n)
    if value in outputs:
        return "its value is an output"
    if any(user not in region for user, _ in graph.users[value]):
        return "its value is used outside the region"
    if value.type.shape != shape:
        return f"its shape {value.type} is not the region's"
    return ""
