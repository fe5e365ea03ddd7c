"""The one way to make a graph from a graph: copy it node by node, changing what a pass changes.

Operand types that changed are inferred through again, so every pass is type-checked for free, and a
pass that changes nothing gives back the graph it got.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TypeAlias

from netdsl.errors import Problem
from netdsl.ir import Builder, Constant, Graph, Input, Node, Output, Source, concrete
from netdsl.op import Type, Value, Values

# (builder, number of the old node, node, its operands in the new graph) -> its results in the new
# graph, or None to copy it
Change: TypeAlias = Callable[[Builder, int, Node, Values], Values | None]


def copied(b: Builder, n: int, node: Node, xs: Values) -> None:
    """The change that changes nothing."""


def rebuild(
    graph: Graph,
    change: Change = copied,
    *,
    keep: Collection[int] | None = None,
    outputs: tuple[Output, ...] | None = None,
    given: Mapping[Value, Source] | None = None,
    added: Callable[[Builder], tuple[Output, ...]] | None = None,
) -> Graph:
    """The graph with `change` applied to every node, operands first.

    `keep` names the old nodes that stay (all), `outputs` the outputs, old values under new names
    (the graph's own); `given` puts sources in the place of values; `added` appends nodes at the end
    and gives further outputs.
    """
    changed = bool(added or given) or outputs not in (None, graph.outputs)
    if change is copied and not changed and (keep is None or len(keep) == len(graph)):
        return graph
    b = Builder(graph.name)
    new: dict[int, Values] = {}
    replaced = _by_node(given or {})
    for n, node in graph.items:
        if n in replaced:
            sources = replaced[n]
            new[n] = tuple(
                b(sources[i]) if i in sources else Value(-1, i, t) for i, t in enumerate(node.types)
            )
            continue
        if keep is not None and n not in keep:
            changed = True
            continue
        xs = tuple(new[v.node][v.result] for v in graph.operands(n))
        with b.at(node.path, node.span):
            results = change(b, n, node, xs)
            if results is None:
                results = _copy(b, graph, n, node, xs)
            else:
                changed = True
        new[n] = results
    if not changed:
        return graph
    kept = graph.outputs if outputs is None else outputs
    renamed = tuple(Output(o.name, new[o.value.node][o.value.result], o.role) for o in kept)
    return b.build((*renamed, *(added(b) if added else ())))


def _copy(b: Builder, graph: Graph, n: int, node: Node, xs: Values) -> Values:
    return b.append(node, *xs) if _alike(graph, n, xs) else b.all(node.op, *xs)


def _alike(graph: Graph, n: int, xs: Values) -> bool:
    """Whether the new operands of a node have the types of the old ones."""
    return all(x.type == v.type for x, v in zip(xs, graph.operands(n), strict=True))


def _by_node(given: Mapping[Value, Source]) -> dict[int, dict[int, Source]]:
    found: dict[int, dict[int, Source]] = {}
    for value, source in given.items():
        found.setdefault(value.node, {})[value.result] = source
    return found


def with_sizes(graph: Graph, bindings: Mapping[str, int]) -> Graph:
    """The graph for concrete sizes; raises `Problem`, with the stage's place and path, where a rule
    of shapes does not hold for them."""
    change = concrete(bindings)

    def substitute(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        try:
            op = node.op.map_sizes(change)
            same = op is node.op and _alike(graph, n, xs)
            return None if same else b.all(op, *xs)
        except Problem as problem:
            raise _located(problem, node) from None

    return rebuild(graph, substitute)


def _located(problem: Problem, node: Node) -> Problem:
    """The problem at the place of a node."""
    if problem.diagnostic.span is None:
        stage = (f"in the stage `{node.path}`",) if node.path else ()
        notes = (*problem.diagnostic.notes, *stage)
        problem.diagnostic = replace(problem.at(node.span), notes=notes)
    return problem


def with_types(graph: Graph, types: tuple[Type, ...]) -> Graph:
    """The graph with its inputs, in order, of other types; raises `Problem`, with the stage's place
    and path, where a rule of shapes does not hold for them."""
    new = dict(zip((n for n, _ in graph.sources(Input)), types, strict=True))

    def retype(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if n in new and new[n] != node.types[0]:
            return b.all(replace(node.op, type=new[n]))  # type: ignore[call-arg]
        try:
            return None if _alike(graph, n, xs) else b.all(node.op, *xs)
        except Problem as problem:
            raise _located(problem, node) from None

    return rebuild(graph, retype)


def inlined(b: Builder, graph: Graph, given: Mapping[str, Value]) -> Values:
    """The outputs of a graph whose nodes are appended, with values for its inputs by key."""
    made: dict[int, Values] = {}
    for n, node in graph.items:
        if isinstance(node.op, Input):
            made[n] = (given[node.op.key],)
        elif isinstance(node.op, Constant):
            made[n] = (b.constant(node.op.value),)
        else:
            made[n] = b.append(node, *[made[v.node][v.result] for v in graph.operands(n)])
    return tuple(made[o.value.node][o.value.result] for o in graph.outputs)


def reachable(graph: Graph, outputs: tuple[Output, ...] | None = None) -> set[int]:
    """The nodes that the outputs depend on."""
    queue = [o.value.node for o in (graph.outputs if outputs is None else outputs)]
    seen = set(queue)
    while queue:
        for v in graph.operands(queue.pop()):
            if v.node not in seen:
                seen.add(v.node)
                queue.append(v.node)
    return seen


def dependent(graph: Graph, roots: Collection[int]) -> set[int]:
    """The nodes that depend on any of `roots`, these too."""
    seen = set(roots)
    for n in range(len(graph)):
        if n not in seen and any(v.node in seen for v in graph.operands(n)):
            seen.add(n)
    return seen
