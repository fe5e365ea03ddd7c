"""Outlining: a region of nodes becomes one node `Fused(body)` that means running the body.

Given   a = x + y; b = relu(a)                  (region {a, b})
Result  b = fused(x, y) { a = x + y; b = relu(a) }
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from netdsl.interpreter import interpret
from netdsl.ir import Builder, Constant, Graph, Input, Node, Output, Source
from netdsl.op import Op, Type, Value, Values
from netdsl.passes.unused import drop_unused
from netdsl.rewrite import inlined, rebuild, with_types
from netdsl.sizes import Size


@dataclass(frozen=True)
class Region:
    """Nodes to outline, in order; the last is the root, whose results alone are seen outside."""

    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Refusal:
    """Why a rule that could apply at a node does not."""

    node: int
    reason: str


@dataclass(frozen=True)
class Fused(Op):
    """A region of ops for one kernel; its operands are the body's inputs in order. Where no backend
    has such a kernel the plan has the ops one by one."""

    body: Graph

    name = "fused"
    layer = False

    def __post_init__(self) -> None:
        pass

    @property
    def overwrites(self) -> tuple[int, ...]:  # type: ignore[override]
        """The operands that an op of the body may write over, where nobody needs them."""
        position = {n: i for i, (n, _) in enumerate(self.body.sources(Input))}
        found = {
            position[xs[i].node]
            for n, node in self.body.items
            for xs in (self.body.operands(n),)
            for i in node.op.overwrites
            if xs[i].node in position
        }
        return tuple(sorted(found))

    def infer(self, *operands: Type) -> tuple[Type, ...]:
        body = _typed(self.body, operands)
        return tuple(o.value.type for o in body.outputs)

    def reference(self, *operands: Any) -> Any:
        keys = (op.key for op in self.body.inputs)
        results = interpret(self.body, dict(zip(keys, operands, strict=True)))
        return results[0] if len(results) == 1 else tuple(results)

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        total: Size = 0
        for n, node in self.body.items:
            types = tuple(v.type for v in self.body.operands(n))
            total = total + node.op.macs(types, node.types)
        return total

    def map_sizes(self, change: Callable[[Size], Size]) -> Op:
        def substitute(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
            op = node.op.map_sizes(change)
            return None if op is node.op else b.all(op, *xs)

        body = rebuild(self.body, substitute)
        return self if body is self.body else Fused(body)

    def arguments(self) -> str:
        inner = (
            f"{node.op.name}({node.op.arguments()})"
            for _, node in self.body.items
            if not isinstance(node.op, Source)
        )
        return "{ " + "; ".join(inner) + " }"


def outline(graph: Graph, regions: Sequence[Region]) -> Graph:
    """The graph with every region as one `Fused` node."""
    if not regions:
        return graph
    root = {region.nodes[-1]: region for region in regions}
    inner = {n for region in regions for n in region.nodes}
    operands: dict[int, Values] = {}  # of the regions' nodes, in the new graph

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if n in inner:
            operands[n] = xs
        if n not in root:
            return None
        body, externals = _body(b, graph, root[n], operands)
        return b.append(Node(Fused(body), node.types, node.path, node.span), *externals)

    return drop_unused(rebuild(graph, change))


def inline(graph: Graph, nodes: Collection[int]) -> Graph:
    """The graph with the regions at these nodes written out again."""
    if not nodes:
        return graph

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if n not in nodes:
            return None
        assert isinstance(node.op, Fused)
        keys = [op.key for op in node.op.body.inputs]
        return inlined(b, node.op.body, dict(zip(keys, xs, strict=True)))

    return rebuild(graph, change)


def _body(
    outer: Builder, graph: Graph, region: Region, operands: dict[int, Values]
) -> tuple[Graph, list[Value]]:
    b = Builder("fused")
    made: dict[int, Values] = {}
    externals: dict[Value, Value] = {}  # value of the outer graph -> input of the body

    def take(value: Value) -> Value:
        op = outer.graph.node(value.node).op
        if isinstance(op, Constant):
            return b.constant(op.value)
        if value not in externals:
            externals[value] = b(Input(value.type, f"x{len(externals)}"))
        return externals[value]

    for n in region.nodes:
        node = graph.node(n)
        xs = [
            made[old.node][old.result] if old.node in made else take(new)
            for old, new in zip(graph.operands(n), operands[n], strict=True)
        ]
        made[n] = b.append(node, *xs)
    results = made[region.nodes[-1]]
    outputs = tuple(Output(f"y{i}", value) for i, value in enumerate(results))
    return b.build(outputs), list(externals)


@lru_cache(maxsize=1024)
def _typed(body: Graph, types: tuple[Type, ...]) -> Graph:
    return with_types(body, types)
