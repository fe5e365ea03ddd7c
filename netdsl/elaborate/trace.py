"""What each part of the text was while a net was elaborated, for editors: `Run.trace` keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from netdsl.errors import Span
from netdsl.ir import Graph
from netdsl.syntax import Node


@dataclass(frozen=True)
class Seen:
    """A node of the syntax in one instantiation: its value, and the nodes of the graph that it
    made, `start` up to `stop`."""

    value: Any
    start: int
    stop: int


@dataclass
class Trace:
    """All that was seen of every expression and stage, in the order of elaboration.

    `graph`: as it was built, unfinished where there are errors; `instances`: the paths of the
    instances, and the text of each; `outlined`: the nodes that stand for one step of a recurrence,
    and are in its body too.
    """

    graph: Graph = field(default_factory=Graph)
    instances: dict[str, Span] = field(default_factory=dict)
    outlined: set[int] = field(default_factory=set)
    _seen: dict[int, list[Seen]] = field(default_factory=dict)  # by the identity of the node

    def start(self, graph: Graph, instances: dict[str, Span], outlined: set[int]) -> None:
        """Elaboration starts, or starts again knowing more."""
        self.graph, self.instances, self.outlined, self._seen = graph, instances, outlined, {}

    def add(self, node: Node, value: Any, start: int) -> None:
        """A node has its value, after which the graph is as long as it is."""
        self._seen.setdefault(id(node), []).append(Seen(value, start, len(self.graph)))

    def of(self, node: Node) -> tuple[Seen, ...]:
        """What was seen of a node of the tree that was elaborated."""
        return tuple(self._seen.get(id(node), ()))
