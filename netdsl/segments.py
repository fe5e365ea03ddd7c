"""Cutting a layer graph where children are called and where Python supplies an op: what runs
between these, and what each child stands for.

Given   a layer graph, the paths of the children to call, and the outputs that are wanted
Result  the pieces in the order they run: a `Segment` is computed by us (one with an extern is that
        alone), a `Call` is one call of a child with the values that its region takes; values are
        those of the given graph
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from netdsl.errors import Span
from netdsl.ir import Builder, Graph, Input, Node, Output, Parameter, Source
from netdsl.modes import streams_of
from netdsl.op import Type, Value, Values
from netdsl.recur import Recur, every_node
from netdsl.rewrite import reachable, rebuild
from netdsl.sizes import Poly, Size, atom
from netdsl.supplied import Supplied


@dataclass(frozen=True)
class Segment:
    """A graph of ours: its inputs are `takes`, its outputs `gives`, both in order.

    streams  of its modal layers in canonical order, those of the whole graph; none where none draws
    """

    graph: Graph
    takes: Values
    gives: Values
    streams: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One call of the child at `path`: its operands in the order of the text, and its result.

    region  what the child computes where it is a part of the net; its inputs are `order` of `takes`
    """

    path: str
    takes: Values
    gives: Value
    region: Graph
    order: tuple[int, ...]
    span: Span | None


def cut(graph: Graph, paths: Collection[str], outputs: tuple[Output, ...]) -> list[Segment | Call]:
    """The pieces of a graph, called at each of `paths`, no path below another. A path that the
    outputs do not depend on is not called.

    Raises `RuntimeError` for a child that cannot be called on its own.
    """
    live = reachable(graph, outputs)
    apart: list[tuple[frozenset[int], Segment | Call]] = []
    for path in paths:
        for region in _regions(graph, path, live):
            result = _result(graph, path, region, live, outputs)
            apart.append((region, _call(graph, path, region, result)))
    called = {n for region, _ in apart for n in region}
    externs = [frozenset([n]) for n in live - called if _supplied(graph, n)]
    apart += [(region, _segment(graph, region, live, outputs)) for region in externs]
    apart.sort(key=lambda found: max(found[0]))
    rank = {n: i for i, (region, _) in enumerate(apart, 1) for n in region}
    level: dict[int, int] = {}  # of a node: how many of those must have run
    for n in range(len(graph)):
        before = [level[v.node] for v in graph.operands(n)]
        level[n] = rank.get(n) or max(before, default=0)
    between: list[set[int]] = [set() for _ in range(len(apart) + 1)]
    for n in live - rank.keys():
        if not isinstance(graph.node(n).op, Source):
            between[level[n]].add(n)
    pieces: list[Segment | Call] = []
    for i, nodes in enumerate(between):
        if i:
            pieces.append(apart[i - 1][1])
        if nodes:
            pieces.append(_segment(graph, nodes, live, outputs))
    return pieces


def divides(graph: Graph) -> bool:
    """Whether a graph with externs has more in it than one of them."""
    return sum(not isinstance(node.op, Source) for _, node in graph.items) > 1


def follows(graph: Graph) -> bool:
    """Whether anything that a graph gives follows from an input or a parameter."""
    outputs = {o.value for o in graph.outputs}
    given = (n for kind in (Input, Parameter) for n, _ in graph.sources(kind))
    return any(v in graph.users or v in outputs for n in given for v in graph.results(n))


def _supplied(graph: Graph, n: int) -> bool:
    """Whether a node is an extern, or a recurrence with one in its steps."""
    op = graph.node(n).op
    inner = [node.op for node in every_node(op.body)] if isinstance(op, Recur) else [op]
    return any(isinstance(o, Supplied) for o in inner)


def _segment(
    graph: Graph, nodes: Collection[int], live: Collection[int], outputs: tuple[Output, ...]
) -> Segment:
    """Nodes as a segment; one that takes nothing is given an input of the net, for its device."""
    takes, gives = _sorted(graph, nodes), _leaving(graph, nodes, live, outputs)
    takes = takes or next((graph.results(n) for n, _ in graph.sources(Input)), ())
    numbers: dict[int, int] = {}
    piece = _piece(graph, nodes, takes, gives, numbers)
    drawing = any(node.op.random for node in every_node(piece))
    whole = streams_of(graph) if drawing else {}
    streams = [whole[numbers[n]] for n in piece.canonical if drawing and piece.node(n).op.modal]
    return Segment(piece, takes, gives, tuple(streams))


def _regions(graph: Graph, path: str, live: Collection[int]) -> Iterator[frozenset[int]]:
    """The nodes that a child stands for; those of each call where it is a layer used repeatedly."""
    nodes = {
        n
        for n, node in graph.items
        if n in live and not isinstance(node.op, Source) and below(node.path, path)
    }
    if any(
        below(inner.path, path)
        for n, node in graph.items
        if isinstance(node.op, Recur) and n not in nodes
        for inner in every_node(node.op.body)
    ):
        raise uncut(path, "it is used in the steps of a recurrence")
    parts = [frozenset(c) for c in nx.weakly_connected_components(graph.subgraph(nodes))]
    repeated = len({tuple(_layers(graph, part)) for part in parts}) == 1 < len(parts)
    for region in parts if repeated else [frozenset(nodes)] if nodes else []:
        layers = [layer for layer in _layers(graph, region) if layer[1] or layer[2]]
        if len(layers) != len(set(layers)):
            raise uncut(path, "it is used on its own result, more than once in a row")
        yield region


def _layers(graph: Graph, region: Iterable[int]) -> list[tuple[str, bool, tuple[str, ...]]]:
    """Of each node its path, whether it is modal, and the parameters that it takes."""
    return [
        (node.path, node.op.modal, tuple(getattr(graph.node(v.node).op, "key", "") for v in owned))
        for n in sorted(region)
        for node in [graph.node(n)]
        for owned in [[v for v in graph.operands(n) if not _crosses(graph, v)]]
    ]


def _result(
    graph: Graph,
    path: str,
    region: frozenset[int],
    live: Collection[int],
    outputs: tuple[Output, ...],
) -> Value:
    """The one value that leaves a region. With one, nothing goes out and comes in again: that would
    leave as well as what follows from it."""
    gives = _leaving(graph, region, live, outputs)
    if len(gives) != 1:
        raise uncut(path, f"{len(gives)} of its values are used outside of it")
    return gives[0]


def _call(graph: Graph, path: str, region: frozenset[int], result: Value) -> Call:
    takes, inputs = _entering(graph, region), _sorted(graph, region)
    order = tuple(takes.index(v) for v in inputs)
    inner = _piece(graph, region, inputs, (result,), {})
    return Call(path, takes, result, inner, order, graph.node(result.node).span)


def _piece(
    graph: Graph, nodes: Collection[int], takes: Values, gives: Values, numbers: dict[int, int]
) -> Graph:
    """Some nodes as a graph of their own, with the parameters and constants that they take;
    `numbers` is told which were its modal nodes."""

    def note(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if not node.op.modal:
            return None
        made = b.append(node, *xs)
        numbers[made[0].node] = n
        return made

    owned = {v.node for n in nodes for v in graph.operands(n) if not _crosses(graph, v)}
    given = {v: Input(v.type, _name(graph, v)) for v in takes}
    outputs = tuple(Output(str(i), v) for i, v in enumerate(gives))
    return rebuild(graph, note, keep={*nodes, *owned}, outputs=outputs, given=given)


def _name(graph: Graph, value: Value) -> str:
    """The key of a value where it enters a piece: no name of the text has its form."""
    node = graph.node(value.node)
    return f"%{value.node}.{value.result} {getattr(node.op, 'key', node.path)}"


def _entering(graph: Graph, nodes: Collection[int]) -> Values:
    """The tensors that nodes take from outside, in the order of their use."""
    operands = [v for n in sorted(nodes) for v in graph.operands(n)]
    return tuple(dict.fromkeys(v for v in operands if v.node not in nodes and _crosses(graph, v)))


def _sorted(graph: Graph, nodes: Collection[int]) -> Values:
    return tuple(sorted(_entering(graph, nodes), key=lambda v: (v.node, v.result)))


def _leaving(
    graph: Graph, nodes: Collection[int], live: Collection[int], outputs: tuple[Output, ...]
) -> Values:
    """The values of nodes that others, or the outputs, take."""
    wanted = {o.value for o in outputs}
    return tuple(
        v
        for n in sorted(nodes)
        for v in graph.results(n)
        if v in wanted or any(u in live and u not in nodes for u, _ in graph.users.get(v, ()))
    )


def _crosses(graph: Graph, value: Value) -> bool:
    """Whether a value is a tensor of the call, and not a parameter or constant."""
    op = graph.node(value.node).op
    return not isinstance(op, Source) or isinstance(op, Input)


def below(path: str, root: str) -> bool:
    """Whether a path is that of a child or of what is inside it."""
    return path == root or path.startswith(f"{root}.")


def uncut(path: str, why: str) -> RuntimeError:
    """The error for a child that would have to be called and cannot be."""
    return RuntimeError(
        f"`{path}` was replaced or has a hook, but it cannot be called on its own: {why}; change "
        "the .net file, or ask for the stage by `outputs=`"
    )


def sized(graph: Graph) -> bool:
    """Whether layers of the graph have the sizes of the net's inputs among their
    hyper-parameters: then it is computed for numbers alone."""
    found: list[Size] = []

    def seen(size: Size) -> Size:
        if isinstance(size, Poly):
            found.append(size)
        return size

    for _, node in graph.items:
        if not isinstance(node.op, Source):
            node.op.map_sizes(seen)
    return bool(found)


def generic(types: Sequence[Type], shapes: Sequence[Sequence[int]]) -> tuple[Type, ...] | None:
    """The types of tensors with a name for every size that is symbolic in `types`, one name for
    equal ones, and a number for any other; None where equal sizes have different numbers."""
    named: dict[Size, tuple[Size, int]] = {}

    def name(declared: Size, given: int) -> Size:
        if isinstance(declared, int):
            return given
        return named.setdefault(declared, (atom(f"s{len(named)}"), given))[0]

    found = tuple(
        Type(tuple(map(name, type.shape, shape)), type.dtype)
        for type, shape in zip(types, shapes, strict=True)
    )
    known: Mapping[Size, int] = {size: given for size, (_, given) in named.items()}
    agree = all(
        known.get(declared, given) == given
        for type, shape in zip(types, shapes, strict=True)
        for declared, given in zip(type.shape, shape, strict=True)
    )
    return found if agree else None
