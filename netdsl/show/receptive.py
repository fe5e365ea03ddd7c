"""The receptive field of every stage of a net over images.

Receptive field r, jump j (input pixels between neighbours), after a window k, stride s, dilation d:
r' = r + d (k - 1) j,  j' = s j  (Dumoulin & Visin 2016, §2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from netdsl.errors import Problem
from netdsl.ir import Graph, Input, Node, Source
from netdsl.op import Op, Type, Value
from netdsl.shapes import window

# One axis' receptive field and jump.
Reach: TypeAlias = tuple[int, int]


def receptive_fields(graph: Graph) -> dict[int, tuple[int, ...]]:
    """Of each node whose result is still laid out in space, its receptive field along each axis."""
    reaches: dict[int, tuple[Reach, ...]] = {}
    for n, node in graph.items:
        reach = _reach(graph, n, node, reaches)
        if reach:
            reaches[n] = reach
    found = {n: tuple(r for r, _ in reach) for n, reach in reaches.items()}
    return {n: field for n, field in found.items() if not isinstance(graph.node(n).op, Input)}


def _reach(
    graph: Graph, n: int, node: Node, reaches: Mapping[int, tuple[Reach, ...]]
) -> tuple[Reach, ...] | None:
    rank = node.types[0].rank
    if isinstance(node.op, Input):
        return ((1, 1),) * (rank - 2) if rank > 3 else None
    images = [v for v in graph.operands(n) if v.type.rank == rank and not _is_weight(graph, v)]
    if not images or any(v.node not in reaches for v in images):
        return None
    windows = _windows(node.op, images[0].type, node.types[0])
    if windows is None:
        return None
    joined = []
    for axis in range(rank - 2):
        fields, jumps = zip(*(reaches[v.node][axis] for v in images), strict=True)
        if len(set(jumps)) > 1:
            return None
        joined.append((max(fields), jumps[0]))
    return tuple(
        (r + (extent - 1) * j, j * stride)
        for (r, j), (extent, stride) in zip(joined, windows, strict=True)
    )


def _windows(op: Op, x: Type, y: Type) -> tuple[tuple[int, int], ...] | None:
    """(extent in pixels, stride) of the window behind a result, along each axis; None where the
    shape says that it is none."""
    axes = x.rank - 2
    if getattr(op, "spatial", None) != axes:
        return ((1, 1),) * axes if x.shape[2:] == y.shape[2:] else None
    given: dict[str, Any] = op.hypers()
    ones = (1,) * axes
    k, stride = given.get("k", ones), given.get("stride", given.get("s", ones))
    dilation, pad = given.get("dilation", ones), given.get("pad", ((0, 0),) * axes)
    geometry = tuple(zip(k, stride, pad, dilation, strict=True))
    ceil = bool(given.get("ceil"))
    try:
        sizes = tuple(
            window(op.name, "", n, *each, ceil)
            for n, each in zip(x.shape[2:], geometry, strict=True)
        )
    except Problem:  # no window fits into x, from which `up_conv` makes a larger y
        return None
    if sizes != y.shape[2:]:
        return None
    return tuple((d * (size - 1) + 1, step) for size, step, _, d in geometry)


def _is_weight(graph: Graph, value: Value) -> bool:
    op = graph.node(value.node).op
    return isinstance(op, Source) and not isinstance(op, Input)
