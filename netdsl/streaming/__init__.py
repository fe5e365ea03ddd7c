"""A net as a stream: the graph of some steps that takes what those before them leave over.

Given   a layer graph over sequences [N, T, …] whose recurrences run forward in time
Result  three graphs. `start`: the inputs that are whole -> the state before the first step;
        `chunk`: steps of the sequences, state -> the outputs at these steps, state behind them;
        `step`: the chunk of length 1, without its axis of time
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.errors import Problem
from netdsl.ir import Builder, Graph, Input, Output
from netdsl.op import Type
from netdsl.ops.shape import Identity, Zeros
from netdsl.rewrite import reachable, rebuild, with_sizes
from netdsl.sizes import atom, names
from netdsl.streaming.cutting import Kept, cut
from netdsl.streaming.places import places_of, refusal
from netdsl.streaming.unrolled import one_step

__all__ = ["SIZES", "Kept", "Stream", "streamed"]

SIZES = "#sizes"  # an input of `start`: its shape are the sizes that no other input tells


@dataclass(frozen=True)
class Stream:
    """A net in three graphs (see above).

    sequences  the keys of the inputs that are cut into steps
    state      what is carried: what steps leave over, then what is whole
    """

    sequences: tuple[str, ...]
    state: tuple[Kept, ...]
    start: Graph
    chunk: Graph
    step: Graph


def streamed(graph: Graph) -> Stream:
    """The net as a stream. Raises `Problem` N310 where a step needs others than those before it.

    Of several sizes that may be time, the outputs' is meant: the length of what a decoder writes.
    """
    firsts = [op.type.shape[1] for op in graph.inputs if op.type.rank > 1]
    lengths = [name for size in firsts for name in sorted(names(size)) if size == atom(name)]
    written = {name for o in graph.outputs for s in o.value.type.shape for name in names(s)}
    refused: list[Problem] = []
    for time in sorted(dict.fromkeys(lengths), key=lambda name: name not in written):
        try:
            return _streamed(graph, time)
        except Problem as problem:
            refused.append(problem)
    none = refusal("it takes no sequence of any length", "time is axis 1 of an input, [N, T, …]")
    raise (*refused, none)[0]


def _streamed(graph: Graph, time: str) -> Stream:
    places = places_of(graph, time)
    chunk, state = cut(graph, time, places)
    inputs = [(op.key, places[graph.results(n)[0]]) for n, op in graph.sources(Input)]
    sequences = tuple(key for key, place in inputs if place >= 0)
    axes = {o.name: places[o.value] for o in graph.outputs if places[o.value] >= 0}
    step = one_step(with_sizes(chunk, {time: 1}), sequences, axes)
    return Stream(sequences, state, _start(graph, sequences, state), chunk, step)


def _start(graph: Graph, sequences: tuple[str, ...], state: tuple[Kept, ...]) -> Graph:
    """The whole inputs, and the sizes that they do not tell -> the state before the first step."""
    firsts = tuple(Output(kept.key, kept.first) for kept in state if kept.first is not None)
    whole = {n for n, op in graph.sources(Input) if op.key not in sequences}
    live = reachable(graph, firsts) | whole
    told = {name for n in whole for size in graph.node(n).types[0].shape for name in names(size)}
    types = [*(t for n in live for t in graph.node(n).types), *(kept.type for kept in state)]
    asked = {name for t in types for size in t.shape for name in names(size)} - told

    def zeros(b: Builder) -> tuple[Output, ...]:
        sizes = b(Input(Type(tuple(map(atom, sorted(asked)))), SIZES))
        found = [Output(k.key, b(Zeros(k.type.shape), sizes)) for k in state if k.first is None]
        # given back, so that it stays: of a start that is constant nothing else tells the dtype
        return (*found, Output(SIZES, b(Identity(), sizes)))

    return rebuild(graph, keep=live, outputs=firsts, added=zeros)
