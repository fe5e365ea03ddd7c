"""Mode: the layer graph with every modal layer (bn, dropout) replaced by ops of training or eval.

Given   a layer graph and the paths of the modules that are in training mode ("" is the net itself)
Result  a graph without modal ops; new buffer values are outputs with role `update`, dropout's seed
        is an input with role `seed`; outputs marked `train` are there in training only
"""

from __future__ import annotations

from collections.abc import Collection

from netdsl.ir import Builder, Graph, Input, Node, Output
from netdsl.op import Type, Value, Values
from netdsl.rewrite import rebuild

SEED = "#seed"


def modal_paths(graph: Graph) -> tuple[str, ...]:
    """The paths of the layers whose module has a training flag that counts, the net's own first."""
    return ("", *dict.fromkeys(node.path for _, node in graph.items if node.op.modal))


def specialise(graph: Graph, training: Collection[str]) -> Graph:
    """The layer graph in one mode."""
    newest: dict[Value, Value] = {}  # of a buffer: layers that share one update it one by one
    updates: dict[str, Value] = {}
    seeds: list[Value] = []

    def seed(b: Builder) -> Value:
        if not seeds:
            seeds.append(b(Input(Type((), "int"), SEED, "seed")))
        return seeds[0]

    streams = 0

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        nonlocal streams
        if not node.op.modal:
            return None
        mode = node.path in training
        seeded = (seed(b),) if node.op.random and mode else ()
        latest = tuple(newest.get(x, x) for x in xs)
        new = node.op.specialise(b, (*latest, *seeded), mode, streams)
        streams += 1
        keys = {getattr(b.graph.node(x.node).op, "key", ""): x for x in xs}
        for name, value in new.updates.items():
            key = f"{node.path}.{name}" if node.path else name
            newest[keys[key]] = updates[key] = value
        return new.results

    def updated(b: Builder) -> tuple[Output, ...]:
        return tuple(Output(key, value, "update") for key, value in updates.items())

    outputs = tuple(o for o in graph.outputs if o.role != "train" or "" in training)
    return rebuild(graph, change, outputs=outputs, added=updated)
