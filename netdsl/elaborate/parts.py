"""The parts of a recurrence: its strongly connected states, and the nodes that each takes.

Node A of a part is shared by a later part as one more sequence, so that nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import networkx as nx

from netdsl.elaborate.recurrence import Read, Recurrence, State
from netdsl.elaborate.scope import Scope
from netdsl.errors import Problem
from netdsl.ir import Graph
from netdsl.op import Value, Values


@dataclass
class Region:
    """The nodes that depend on a step, in order, their operands, what stands for each read, and at
    which offsets the steps of a state are read."""

    nodes: dict[int, tuple[Value, ...]]
    reads: Mapping[Value, Read]
    offsets: Mapping[State, list[int]]


@dataclass
class Part:
    """A strongly connected part: its states, its nodes in order, and what it gives: the values of
    its states, and others (None) that a later part takes."""

    states: tuple[State, ...]
    backward: bool
    nodes: list[int]
    results: list[tuple[Value, State | None]] = field(default_factory=list)


def find_parts(recurrence: Recurrence, region: Region, one: bool) -> list[Part]:
    """The parts, what others need first; `one`: all states are one. Raises N306 for a cycle in both
    directions."""
    states = list(recurrence.states.values())
    owner = {state.now: state for state in reversed(states)}
    stops = {value.node for value in owner}
    needs = {state: _needs(state, owner, stops, region) for state in states}
    groups = _components(states, needs) if not one else [tuple(states)]
    parts = _parts(recurrence, groups, needs, region)
    _share(parts, region)
    return parts


def find_region(recurrence: Recurrence, begin: int, scope: Scope) -> Region:
    graph = scope.run.builder.graph
    reads = {value: read for read, value in recurrence.reads.items()}
    steps = {value.node for value in reads}
    nodes: dict[int, tuple[Value, ...]] = {}
    for n in range(begin, len(graph)):
        if n in scope.run.outlined or n in steps:
            continue
        op, operands = graph.node(n).op, operands_of(graph, n)
        every_step = op.random and not op.draws_once
        if every_step or any(v in reads or v.node in nodes for v in operands):
            nodes[n] = operands
    offsets: dict[State, list[int]] = {}
    for read in recurrence.reads:
        if isinstance(read.base, State):
            offsets.setdefault(read.base, []).append(read.offset)
    return Region(nodes, reads, offsets)


def operands_of(graph: Graph, n: int) -> Values:
    """The operands of a node of a graph that is still growing."""
    found = {
        position: Value(maker, result, graph.node(maker).types[result])
        for maker, _, (result, position) in graph.in_edges(n, keys=True)
    }
    return tuple(found[i] for i in range(len(found)))


def _inside(
    start: Value, region: Region, stops: Collection[int] = frozenset()
) -> tuple[list[int], list[Value]]:
    """The nodes of the region that a value depends on, without those of `stops` and what these
    depend on, and the other values that they take."""
    seen: set[int] = set()
    edge: dict[Value, None] = {}
    pending = [start]
    while pending:
        value = pending.pop()
        if value.node not in region.nodes or (value.node in stops and value != start):
            edge[value] = None
        elif value.node not in seen:
            seen.add(value.node)
            pending += region.nodes[value.node]
    return sorted(seen), list(edge)


def _needs(
    state: State, owner: Mapping[Value, State], stops: Collection[int], region: Region
) -> dict[State, set[int]]:
    """The states whose steps an equation takes, and at which offsets; `owner`: whose values end
    at the nodes of `stops`."""
    found: dict[State, set[int]] = {}
    _, edge = _inside(state.now, region, stops)
    for value in [*edge, *([state.now] if state.now in region.reads else [])]:
        read = region.reads.get(value)
        if read is not None and isinstance(read.base, State):
            found.setdefault(read.base, set()).add(read.offset)
        elif value in owner and owner[value] is not state:
            found.setdefault(owner[value], set()).add(0)
    if owner[state.now] is not state:
        found.setdefault(owner[state.now], set()).add(0)
    return found


def _components(
    states: list[State], needs: Mapping[State, Mapping[State, set[int]]]
) -> list[tuple[State, ...]]:
    """The strongly connected states: what others need first, else in the order of the text."""
    order = {state: i for i, state in enumerate(states)}
    graph: nx.DiGraph[State] = nx.DiGraph()
    graph.add_nodes_from(states)
    graph.add_edges_from((other, state) for state in states for other in needs[state])
    condensed = nx.condensation(graph)
    members = {
        c: sorted(condensed.nodes[c]["members"], key=order.__getitem__) for c in condensed.nodes
    }
    in_order = nx.lexicographical_topological_sort(condensed, lambda c: order[members[c][0]])
    return [tuple(members[c]) for c in in_order]


def _parts(
    recurrence: Recurrence,
    groups: Iterable[tuple[State, ...]],
    needs: Mapping[State, Mapping[State, set[int]]],
    region: Region,
) -> list[Part]:
    found: list[Part] = []
    taken: set[int] = set()
    for part in groups:
        order = {state: i for i, state in enumerate(part)}
        offsets = {
            offset: (state, other)
            for state in part
            for other in sorted(order.keys() & needs[state].keys(), key=order.__getitem__)
            for offset in sorted(needs[state][other])
            if offset != 0
        }
        if offsets and min(offsets) < 0 < max(offsets):
            raise _both_ways(recurrence, offsets)
        nodes: set[int] = set()
        for state in part:
            nodes |= {n for n in _inside(state.now, region, taken)[0] if n not in taken}
        taken |= nodes
        found.append(Part(part, bool(offsets) and max(offsets) > 0, sorted(nodes)))
    return found


def _both_ways(recurrence: Recurrence, offsets: Mapping[int, tuple[State, State]]) -> Problem:
    name = recurrence.name
    sides = (min(offsets), max(offsets))
    reads = [(offsets[offset][1], offset) for offset in sides]
    texts = [f"`{state}[{name}{offset:+d}]`" for state, offset in reads]
    spans = [recurrence.reads[Read(state, offset)] for state, offset in reads]
    graph = recurrence.scope.run.builder.graph
    places = [graph.node(value.node).span for value in spans]
    labels = ("needs the steps before", "needs the steps behind")
    problem = Problem(
        "N306",
        f"{texts[0]} and {texts[1]} need each other: neither direction can start",
        others=tuple(
            (place, label) for place, label in zip(places[1:], labels[1:], strict=True) if place
        ),
        label=labels[0],
        helps=("two states, one for each direction, can be joined behind them: `concat(f, b)`",),
    )
    problem.diagnostic = problem.at(places[0])
    return problem


def _share(parts: list[Part], region: Region) -> None:
    """Decide what every part gives: its states' values, and what later parts take of its nodes."""
    home = {n: part for part in parts for n in part.nodes}
    shared: dict[int, dict[Value, None]] = {id(part): {} for part in parts}
    for part in parts:
        taken = [value for n in part.nodes for value in region.nodes[n]]
        for value in [*taken, *(state.now for state in part.states)]:
            maker = home.get(value.node, part)
            if maker is not part:
                shared[id(maker)][value] = None
    for part in parts:
        own = {state.now: None for state in part.states}
        others = [(value, None) for value in shared[id(part)] if value not in own]
        part.results = [*((state.now, state) for state in part.states), *others]
        part.results.sort(key=lambda result: (result[0].node, result[0].result))
