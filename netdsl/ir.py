"""The graph: a frozen networkx multigraph of operations, built operands first.

A node is one application of an op (`Node`); an edge runs from the node that makes a value to its
user, keyed (result index, operand position). Nodes are numbered 0, 1, 2 … in the order they were
built, so iterating a graph visits operands before users.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import networkx as nx

from netdsl.errors import Problem, Span
from netdsl.initial import Init
from netdsl.op import Op, Param, Type, Value
from netdsl.shapes import check_extent
from netdsl.sizes import Size, substitute


@dataclass(frozen=True)
class Source(Op):
    """A node without operands. It is no entry of the op table: `name` says what it stands for."""

    type: Type

    tensors = ()

    def __post_init__(self) -> None:
        pass

    def infer(self, *operands: Type) -> Type:
        return self.type

    def map_sizes(self, change: Callable[[Size], Size]) -> Op:
        return type(self)(**{**self.__dict__, "type": self.type.map(change)})


S = TypeVar("S", bound=Source)


@dataclass(frozen=True)
class Input(Source):
    """A tensor given at each call; `role`: input, seed (of dropout), cotangent or saved."""

    key: str = ""
    role: str = "input"
    name = "input"

    def describe(self) -> str:
        return f"{self.role} {self.key}: {self.type}"


@dataclass(frozen=True)
class Parameter(Source):
    """A parameter or buffer of the module, by its state_dict key."""

    key: str = ""
    init: Init = field(default_factory=lambda: Init("constant", (0.0,)))
    buffer: bool = False
    name = "parameter"

    def describe(self) -> str:
        return f"{'buffer' if self.buffer else 'parameter'} {self.key}: {self.type}"


@dataclass(frozen=True)
class Constant(Source):
    """A number, as a tensor of rank 0."""

    value: float = 0.0
    name = "constant"

    def __eq__(self, other: object) -> bool:
        """By the digits, since -0.0 == 0.0 and nan != nan."""
        return isinstance(other, Constant) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def describe(self) -> str:
        return f"constant {self.value!r}"


@dataclass(frozen=True)
class Node:
    """One application: the op, its result types, the stage's path and the text it came from."""

    op: Op
    types: tuple[Type, ...]
    path: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Output:
    """A value that leaves the graph; `role`: output, train (None in eval), tap, update (the new
    value of the buffer `name`), gradient (of the input or parameter `name`) or saved."""

    name: str
    value: Value
    role: str = "output"


class Graph(nx.MultiDiGraph):  # type: ignore[type-arg]  # generic in its stubs alone
    """A frozen graph of `Node`s with named outputs; build one with `Builder`."""

    name = ""
    outputs: tuple[Output, ...] = ()

    def node(self, n: int) -> Node:
        found: Node = self.nodes[n]["node"]
        return found

    @cached_property
    def items(self) -> tuple[tuple[int, Node], ...]:
        """(number, node), operands before users."""
        return tuple((n, data["node"]) for n, data in self.nodes(data=True))

    @cached_property
    def _operands(self) -> list[tuple[Value, ...]]:
        slots: list[dict[int, Value]] = [{} for _ in range(len(self))]
        nodes = [node for _, node in self.items]
        for maker, user, (result, position) in self.edges(keys=True):
            slots[user][position] = Value(maker, result, nodes[maker].types[result])
        return [tuple(slot[i] for i in range(len(slot))) for slot in slots]

    def operands(self, n: int) -> tuple[Value, ...]:
        return self._operands[n]

    def results(self, n: int) -> tuple[Value, ...]:
        return tuple(Value(n, i, t) for i, t in enumerate(self.node(n).types))

    @cached_property
    def users(self) -> Mapping[Value, tuple[tuple[int, int], ...]]:
        """Of each used value, its (user, position) pairs, in order; outputs are not among them."""
        found: dict[Value, list[tuple[int, int]]] = {}
        for n in range(len(self)):
            for position, value in enumerate(self.operands(n)):
                found.setdefault(value, []).append((n, position))
        return {value: tuple(users) for value, users in found.items()}

    def sources(self, kind: type[S]) -> Iterator[tuple[int, S]]:
        for n, node in self.items:
            if isinstance(node.op, kind):
                yield n, node.op

    @property
    def inputs(self) -> tuple[Input, ...]:
        return tuple(op for _, op in self.sources(Input))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Parameters and buffers, in the order of the text."""
        return tuple(op for _, op in self.sources(Parameter))

    @cached_property
    def canonical(self) -> tuple[int, ...]:
        """All nodes, operands first: as the outputs need them one after the other, then the unused
        ones, and what nothing takes. It does not depend on when a source was added, as the numbers
        do."""
        found: dict[int, None] = {}
        needed = [out.value.node for out in self.outputs]
        unused = sorted(range(len(self)), key=lambda n: isinstance(self.node(n).op, Source))
        for root in (*needed, *unused):
            stack = [(root, False)]
            while stack:
                n, ready = stack.pop()
                if n in found:
                    continue
                if ready:
                    found[n] = None
                else:
                    stack.append((n, True))
                    stack += [(v.node, False) for v in reversed(self.operands(n))]
        return tuple(found)

    @cached_property
    def digest(self) -> str:
        """The content hash: ops, types, paths, edges, outputs, and the order of inputs and of
        parameters; spans and numbers of nodes do not count, nor does the path of a source, which is
        its first user's."""
        sha = hashlib.sha256()
        place = {n: i for i, n in enumerate(self.canonical)}
        for n in self.canonical:
            node = self.node(n)
            ends = [(place[v.node], v.result) for v in self.operands(n)]
            path = "" if isinstance(node.op, Source) else node.path
            sha.update(f"{node.op!r} {node.types} {path} {ends}\n".encode())
        for kind in (Input, Parameter):
            sha.update(f"{[place[n] for n, _ in self.sources(kind)]}\n".encode())
        for out in self.outputs:
            sha.update(
                f"{out.role} {out.name} {place[out.value.node]} {out.value.result}\n".encode()
            )
        return sha.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __deepcopy__(self, memo: object) -> Graph:
        return self

    def __repr__(self) -> str:
        return f"Graph({self.name}, {len(self)} nodes, {self.digest[:12]})"

    __str__ = __repr__

    def text(self) -> str:
        """The graph for a dump: one line a node."""
        lines = [f"graph {self.name} {{"]
        lines += [f"  {line}" for n in range(len(self)) for line in self._lines(n)]
        lines += [f"  {out.role} {out.name} = {_ref(out.value)}" for out in self.outputs]
        return "\n".join([*lines, "}"])

    def _lines(self, n: int) -> list[str]:
        node = self.node(n)
        if isinstance(node.op, Source):
            return [f"%{n} = {node.op.describe()}"]
        operands = ", ".join(_ref(v) for v in self.operands(n))
        call = "; ".join(part for part in (operands, node.op.arguments()) if part)
        types = ", ".join(map(str, node.types))
        where = f"  # {node.path}" if node.path else ""
        return [f"%{n} = {node.op.name}({call}) -> {types}{where}"]


class Builder:
    """Appends nodes, typing each as it is added; `build` freezes the result."""

    def __init__(self, name: str = "") -> None:
        self.graph = Graph()
        self.graph.name = name
        self.path = ""
        self.span: Span | None = None
        self._constants: dict[Constant, Value] = {}
        self._owned: dict[str, Value] = {}

    def __call__(self, op: Op, *operands: Value) -> Value:
        return self.all(op, *operands)[0]

    def all(self, op: Op, *operands: Value) -> tuple[Value, ...]:
        types = op.infer(*(v.type for v in operands))
        return self.append(Node(op, _tuple(types), self.path, self.span), *operands)

    def append(self, node: Node, *operands: Value) -> tuple[Value, ...]:
        """Add a node that is typed already."""
        n = len(self.graph)
        self.graph.add_node(n, node=node)
        for position, v in enumerate(operands):
            self.graph.add_edge(v.node, n, key=(v.result, position))
        return tuple([Value(n, i, t) for i, t in enumerate(node.types)])

    def constant(self, number: float) -> Value:
        op = Constant(Type(()), number)
        value = self._constants.get(op)
        if value is None:
            value = self._constants[op] = self(op)
        return value

    def layer(self, op: Op, *tensors: Value) -> tuple[Value, ...]:
        """A layer with its parameters, under the current path; those that exist are shared."""
        types = _tuple(op.infer(*(v.type for v in tensors)))
        for type in types:
            check_extent(type)
        owned = [self.parameter(p) for p in op.params(*(v.type for v in tensors))]
        with self.at("", None):
            constants = [self.constant(number) for number in op.constants]
        node = Node(op, types, self.path, self.span)
        return self.append(node, *tensors, *constants, *owned)

    def parameter(self, p: Param) -> Value:
        """The parameter or buffer `p` of the instance at the current path; one for each key."""
        key = f"{self.path}.{p.name}" if self.path else p.name
        value = self._owned.get(key)
        if value is None:
            type = check_extent(Type(p.shape, p.dtype))
            op = Parameter(type, key, p.init, p.buffer)
            (value,) = self.append(Node(op, (type,), self.path, self.span))
            self._owned[key] = value
        elif value.type != Type(p.shape, p.dtype):
            here = Type(p.shape, p.dtype)
            raise Problem(
                "N205",
                f"the shared parameter `{key}` is {value.type} and would be {here} here",
                helps=("every use of a shared `layer` must bring the same number of features",),
            )
        return value

    @contextmanager
    def at(self, path: str, span: Span | None) -> Iterator[None]:
        """Nodes added inside carry this path and span."""
        before = self.path, self.span
        self.path, self.span = path, span
        try:
            yield
        finally:
            self.path, self.span = before

    def build(self, outputs: tuple[Output, ...]) -> Graph:
        self.graph.outputs = outputs
        nx.freeze(self.graph)
        return self.graph


def concrete(bindings: Mapping[str, int]) -> Callable[[Size], Size]:
    """The change of sizes that puts numbers for names."""
    return lambda size: substitute(size, bindings)


def _tuple(types: Type | tuple[Type, ...]) -> tuple[Type, ...]:
    return types if isinstance(types, tuple) else (types,)


def _ref(value: Value) -> str:
    return f"%{value.node}" if value.result == 0 else f"%{value.node}.{value.result}"
