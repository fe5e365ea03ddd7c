"""Mode: the layer graph with every modal layer (bn, dropout) replaced by ops of training or eval,
and every layer that simpler ones make up by these.

Given   a layer graph and the paths of the modules that are in training mode ("" is the net itself)
Result  a graph without such ops; new buffer values are outputs with role `update`, dropout's seed
        is an input with role `seed`; outputs marked `train` are there in training only
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from netdsl.ir import Builder, Graph, Input, Node, Output
from netdsl.loop import Drawn, Feed, Whole
from netdsl.op import Type, Value, Values
from netdsl.recur import Recur, every_node
from netdsl.rewrite import rebuild

SEED = "#seed"
SHARED_SEED = "#shared-seed"  # of a step's layers that draw the same at every step


def modal_paths(graph: Graph) -> tuple[str, ...]:
    """The paths of the layers whose module has a training flag that counts, the net's own first."""
    return ("", *dict.fromkeys(node.path for node in every_node(graph) if node.op.modal))


def specialise(
    graph: Graph,
    training: Collection[str],
    synced: str | None = None,
    streams: Sequence[int] = (),
) -> Graph:
    """The layer graph in one mode.

    `synced`: the name of the process group whose batches bn in training takes as one ("": the
    default group, None: this process's batch alone).
    `streams`: of the modal nodes in canonical order (none: counted from 0).
    """
    modal = [n for n in graph.canonical if graph.node(n).op.modal]
    own = dict(zip(modal, streams, strict=True)) if streams else streams_of(graph)
    return _specialise(graph, training, synced, own, SEED)


def _specialise(
    graph: Graph,
    training: Collection[str],
    synced: str | None,
    streams: Mapping[int, int],
    once: str,
) -> Graph:
    """As `specialise`; a layer that draws once has the seed called `once`, any other `SEED`."""
    newest: dict[Value, Value] = {}  # of a buffer: layers that share one update it one by one
    updates: dict[str, Value] = {}
    seeds: dict[str, Value] = {}

    def seed(b: Builder, key: str) -> Value:
        if key not in seeds:
            seeds[key] = b(Input(Type((), "int"), key, "seed"))
        return seeds[key]

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if isinstance(node.op, Recur):
            return _recurrence(b, n, node.op, xs)
        if not node.op.modal:
            return node.op.expand(b, xs)
        mode = node.path in training
        seeded = node.op.random and mode
        seeds_given = (seed(b, once if node.op.draws_once else SEED),) if seeded else ()
        latest = tuple(newest.get(x, x) for x in xs)
        new = node.op.specialise(b, (*latest, *seeds_given), mode, streams[n])
        keys = {getattr(b.graph.node(x.node).op, "key", ""): x for x in xs}
        for name, value in new.updates.items():
            key = f"{node.path}.{name}" if node.path else name
            newest[keys[key]] = updates[key] = value
        return new.results

    def _recurrence(b: Builder, n: int, op: Recur, xs: Values) -> Values | None:
        """A recurrence whose body is in one mode; where it draws, the seed is one operand more."""
        streams_inside = streams_of(op.body, streams.get(n, 0))  # none where nothing is modal
        body = _specialise(op.body, training, synced, streams_inside, SHARED_SEED)
        if body == op.body:
            return None
        feeds: dict[str, Feed] = dict(zip((i.key for i in op.body.inputs), op.feeds, strict=True))
        feeds |= {SEED: Drawn(len(xs)), SHARED_SEED: Whole(len(xs))}
        drawing = any(i.role == "seed" for i in body.inputs)
        new = replace(op, body=body, feeds=tuple(feeds[i.key] for i in body.inputs))
        return b.all(new, *xs, *((seed(b, SEED),) if drawing else ()))

    def updated(b: Builder) -> tuple[Output, ...]:
        return tuple(Output(key, value, "update") for key, value in updates.items())

    outputs = tuple(o for o in graph.outputs if o.role != "train" or "" in training)
    moded = rebuild(graph, change, outputs=outputs, added=updated)
    return moded if synced is None else _synchronised(moded, synced)


def _synchronised(graph: Graph, group: str) -> Graph:
    """Ops exchanged for the forms whose statistics are those of a process group."""

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        form = node.op.across(group)
        return None if form is node.op else b.all(form, *xs)[: len(node.types)]

    return rebuild(graph, change)


def streams_of(graph: Graph, first: int = 0) -> dict[int, int]:
    """The stream of each modal node, in canonical order: equal graphs, whose programs are
    shared, draw the same numbers. That of a recurrence is its body's first."""
    streams = {}
    for n in graph.canonical:
        op = graph.node(n).op
        if op.modal:
            streams[n] = first
            first += sum(i.op.modal for i in every_node(op.body)) if isinstance(op, Recur) else 1
    return streams
