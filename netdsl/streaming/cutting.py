"""From a net to the graph of a chunk: what a recurrence starts from comes in, what it ends with
goes out.

Given   h = recur(x, zeros; T steps {…});  return h
Result  h = recur(x, state[h]; T steps {…});  return h, state[h] = h[T]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from netdsl.ir import Builder, Graph, Input, Node, Output
from netdsl.loop import Carried, Feed
from netdsl.op import Type, Value, Values
from netdsl.ops.pieces import Concat, Slice
from netdsl.ops.rnn import RecurrentLayer
from netdsl.ops.shape import Reshape
from netdsl.recur import Recur
from netdsl.rewrite import dependent, reachable, rebuild
from netdsl.sizes import Size, atom
from netdsl.streaming.places import WHOLE, delays


@dataclass(frozen=True)
class Kept:
    """A tensor of the state: its type, its axis of examples (None: it has none), and its value
    before the first step, in the net's graph (None: zeros)."""

    name: str
    type: Type
    batch: int | None
    first: Value | None

    @property
    def key(self) -> str:
        """Among the inputs and outputs of a chunk: no name of a text has this form."""
        return f"state[{self.name}]"


class _State:
    """The tensors that a chunk takes over and leaves, as its graph is built."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self.after: list[Value] = []

    def taken(self, b: Builder, name: str, type: Type, batch: int, first: Value | None) -> Value:
        """One that is taken over; of several with one name the next is `name#2`."""
        known = {kept.name for kept in self.kept}
        numbered = (f"{name}#{i}" if i > 1 else name for i in range(1, len(known) + 2))
        kept = Kept(next(name for name in numbered if name not in known), type, batch, first)
        self.kept.append(kept)
        return b(Input(type, kept.key))


def cut(graph: Graph, time: str, places: Mapping[Value, int]) -> tuple[Graph, tuple[Kept, ...]]:
    """The graph of a chunk, whose length is `time`, and the state that it is given. `places`:
    where time is in the values of the net."""
    context = _context(graph, places)
    state = _State()

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        old = graph.operands(n)
        if all(places[v] < 0 for v in old):
            return None
        if isinstance(node.op, Recur):
            return _cut_recurrence(b, node, node.op, old, xs, state)
        if isinstance(node.op, RecurrentLayer):
            return _cut_layer(b, node, node.op, old, xs, state)
        if isinstance(node.op, Concat) and delays(node.op, old, [places[v] for v in old]):
            return _cut_delay(b, node, node.op, old, xs, state, atom(time))
        return None

    def left(b: Builder) -> tuple[Output, ...]:
        pairs = zip(state.kept, state.after, strict=True)
        return tuple(Output(kept.key, value) for kept, value in pairs)

    given = {kept.first: Input(kept.type, kept.key) for kept in context if kept.first is not None}
    chunk = rebuild(graph, change, given=given, added=left)
    sequences = [op.key for n, op in graph.sources(Input) if places[graph.results(n)[0]] >= 0]
    inputs = {n for n, op in chunk.sources(Input) if op.key in sequences}
    return rebuild(chunk, keep=reachable(chunk) | inputs), (*state.kept, *context)


def _cut_recurrence(
    b: Builder, node: Node, op: Recur, old: Values, xs: Values, state: _State
) -> tuple[Value, ...]:
    operands: dict[Value, int] = {}  # those that steps read; start values are the state's

    def moved(feed: Feed) -> Feed:
        if isinstance(feed, Carried):
            return feed
        return replace(feed, operand=operands.setdefault(xs[feed.operand], len(operands)))

    feeds = tuple(map(moved, op.feeds))
    before: list[list[Value]] = []  # of each result, its values 1, 2, … steps before the chunk
    for result, starts in zip(op.results, op.starts, strict=True):
        name = f"{node.path}.{result}"
        before.append([state.taken(b, name, old[s].type, 0, old[s]) for s in starts])
    places = tuple(tuple(operands.setdefault(v, len(operands)) for v in vs) for vs in before)
    ys = b.all(replace(op, feeds=feeds, starts=places), *operands)
    for y, values in zip(ys, before, strict=True):
        if len(values) > 1:  # a chunk may be shorter than what is carried
            y = b(Concat(1), *(b(Reshape(_as_steps(v.type)), v) for v in values[::-1]), y)
        end = y.type.shape[1]
        for lag, value in enumerate(values):
            last = b(Slice(1, end - lag - 1, end - lag), y)
            state.after.append(b(Reshape(value.type.shape), last))
    return ys


def _as_steps(x: Type) -> tuple[Size, ...]:
    return (x.shape[0], 1, *x.shape[1:])


def _cut_layer(
    b: Builder, node: Node, op: RecurrentLayer, old: Values, xs: Values, state: _State
) -> tuple[Value, ...]:
    types = op.states(xs[0].type)
    owned = len(op.params(xs[0].type))
    firsts: Sequence[Value | None] = old[1 : len(old) - owned] or [None for _ in types]
    taken = [
        state.taken(b, f"{node.path}.{name}", type, 1, first)
        for name, type, first in zip(op.results[1:], types, firsts, strict=True)
    ]
    y, *ends = b.all(op, xs[0], *taken, *xs[len(xs) - owned :])
    state.after += ends
    return (y, *ends)


def _cut_delay(
    b: Builder, node: Node, op: Concat, old: Values, xs: Values, state: _State, time: Size
) -> tuple[Value, ...]:
    """Pieces before a sequence: behind the chunk, its last steps are in their place."""
    taken = [state.taken(b, f"{node.path}.x", v.type, 0, v) for v in old[:-1]]
    y = b(op, *taken, xs[-1])
    assert op.axis is not None
    begin = time
    for piece in taken:
        end = begin + piece.type.shape[op.axis]
        state.after.append(b(Slice(op.axis, begin, end), y))
        begin = end
    return (y,)


def _context(graph: Graph, places: Mapping[Value, int]) -> tuple[Kept, ...]:
    """The whole values that steps and outputs take, as far as they follow from inputs; what
    follows from parameters alone is computed in every chunk, and learns."""
    follows = dependent(graph, [n for n, _ in graph.sources(Input)])
    wanted = [out.value for out in graph.outputs]
    for n, node in graph.items:
        xs = graph.operands(n)
        if all(places[v] == WHOLE for v in xs):
            continue
        if isinstance(node.op, Recur):
            wanted += [xs[f.operand] for f in node.op.feeds if not isinstance(f, Carried)]
        elif not isinstance(node.op, RecurrentLayer) and not delays(
            node.op, xs, [places[v] for v in xs]
        ):
            wanted += xs
    whole = [v for v in dict.fromkeys(wanted) if places[v] == WHOLE and v.node in follows]
    batch = graph.inputs[0].type.shape[:1] if graph.inputs else ()
    return tuple(
        Kept(_name(graph, v), v.type, 0 if v.type.shape[:1] == batch else None, v) for v in whole
    )


def _name(graph: Graph, value: Value) -> str:
    node = graph.node(value.node)
    if isinstance(node.op, Input):
        return node.op.key
    return f"{node.path}.{node.op.results[value.result]}" if value.result else node.path
