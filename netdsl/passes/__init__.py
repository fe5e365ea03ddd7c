"""The passes, in order: each is Graph -> Graph, pure, and gives back the graph it cannot improve."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

from netdsl.fusions.pointwise import fuse_pointwise
from netdsl.ir import Graph
from netdsl.passes.cse import share_equal
from netdsl.passes.fold_bn import fold_bn
from netdsl.passes.fold_constants import fold_constants
from netdsl.passes.unused import drop_unused

Pass: TypeAlias = Callable[[Graph], Graph]
Seen: TypeAlias = Callable[[str, Graph], None]


@dataclass(frozen=True)
class Entry:
    """A row of the pipeline: `inference` passes run only where no gradient is wanted."""

    run: Pass
    doc: str
    inference: bool = False


CLEAN: dict[str, Entry] = {
    "drop-unused": Entry(drop_unused, "nodes that no output depends on are dropped"),
    "fold-constants": Entry(fold_constants, "arithmetic on constants is done; x * 1 is x"),
    "cse": Entry(share_equal, "equal ops on equal operands are computed once"),
    "fold-bn": Entry(fold_bn, "bn in eval moves into the weights before it", inference=True),
}
FUSE: dict[str, Entry] = {
    "fuse-pointwise": Entry(fuse_pointwise, "chains of pointwise ops become one region"),
}
NAMES = (*CLEAN, *FUSE)


def run(
    table: dict[str, Entry],
    graph: Graph,
    *,
    gradients: bool,
    off: Collection[str] = (),
    seen: Seen | None = None,
) -> Graph:
    """The graph after every pass of the table; `seen` is told each stage by the pass's name."""
    for name, entry in table.items():
        if name in off or (entry.inference and gradients):
            continue
        graph = entry.run(graph)
        if seen:
            seen(name, graph)
    return graph
