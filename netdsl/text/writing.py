"""A net on its way to text: the names of its values, what was declared, what follows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from netdsl.errors import Problem
from netdsl.ir import Constant, Graph, Input, Output, Source
from netdsl.kinds import show_number
from netdsl.loop import Whole
from netdsl.op import Type, Value
from netdsl.recur import Recur, every_node
from netdsl.text.names import Names
from netdsl.text.sizes import size_text


@dataclass
class Writing:
    """The text of a graph so far: the net's, or the body of a recurrence in it.

    outputs    those that give names to values
    values     how its values are written
    shared     the path of a shared layer -> its name and what it applies
    several    the paths that more than one node has
    declared   `layer` statements that stand before the present one
    """

    graph: Graph
    names: Names
    outputs: tuple[Output, ...]
    values: dict[Value, str] = field(default_factory=dict)
    shared: dict[str, tuple[str, str]] = field(default_factory=dict)
    several: frozenset[str] = frozenset()
    declared: list[str] = field(default_factory=list)

    def value(self, value: Value) -> str:
        """How a statement refers to a value: its name, or the number that it is."""
        op = self.graph.node(value.node).op
        if isinstance(op, Constant):
            return show_number(op.value)
        if value not in self.values:
            raise ValueError(f"no .net file gives a name to the result of `{op.name}` here")
        return self.values[value]

    def name(self, value: Value) -> str:
        """A name for a value: that of the output that it is, where it can have it."""
        for out in self.outputs:
            if out.value == value and self.names.free(out.name):
                self.values[value] = out.name
                return out.name
        self.values[value] = self.names.fresh()
        return self.values[value]

    def inside(self, body: Graph) -> Writing:
        """The same for the body of a recurrence."""
        return replace(self, graph=body, outputs=(), values={})


def started(graph: Graph) -> Writing:
    """The text of a net before its first statement."""
    nodes = (node for node in every_node(graph) if not isinstance(node.op, Source))
    paths = Counter(node.path for node in nodes)
    several = frozenset(path for path, count in paths.items() if count > 1)
    return Writing(graph, Names(graph), graph.outputs, several=several)


def type_text(type: Type) -> str:
    dtype = "" if type.dtype == "float" else type.dtype
    return f"{dtype}[{', '.join(map(size_text, type.shape))}]"


def tensors(graph: Graph, n: int) -> tuple[Value, ...]:
    """The operands of a node that are tensors; what a layer brings itself follows them."""
    op, operands = graph.node(n).op, graph.operands(n)
    given = len(operands) - len(op.constants)
    for count in range(len(op.tensors) - op.optional, given + 1):
        try:
            owned = len(op.params(*(v.type for v in operands[:count])))
        except Problem:  # not with so many: h0 without c0
            continue
        if count + owned == given:
            return operands[:count]
    raise ValueError(f"`{op.name}` does not take {len(operands)} operands")


def fed_by(op: Recur, position: int) -> list[Value]:
    """The inputs of a recurrence's body that are an operand as it is."""
    inputs = [op.body.results(n)[0] for n, _ in op.body.sources(Input)]
    return [x for x, feed in zip(inputs, op.feeds, strict=True) if feed == Whole(position)]


def is_owned(value: Value, graph: Graph) -> bool:
    """Whether a parameter belongs to a layer, perhaps in a recurrence, which brings it."""
    for user, position in graph.users.get(value, ()):
        op = graph.node(user).op
        if isinstance(op, Recur):
            if any(is_owned(x, op.body) for x in fed_by(op, position)):
                return True
        elif position >= len(tensors(graph, user)):
            return True
    return False
