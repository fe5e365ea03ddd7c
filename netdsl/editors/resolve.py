"""Which name is which, from the syntax tree of one file alone: `names` finds every occurrence.

Files that import each other: see `links`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from netdsl import syntax as s
from netdsl.editors.names import Names, Occurrence, Region, Symbol
from netdsl.errors import Diagnostics, Span
from netdsl.parser import parse_expression


def names(file: s.File) -> Names:
    """The names of a file."""
    whole = Span(file.span.source, 0, len(file.span.source.text))
    walk = _Walk([Region(whole)])
    top = walk.regions[0]
    for item in file.items:
        if isinstance(item, s.Import):
            for name in item.names:
                walk.give("import", name, item, top)
        elif not isinstance(item, s.Default):
            walk.give(_kind(item), item.name, item, top)
    for item in file.items:
        walk.visit(item, top)
    walk.regions[1:] = sorted(walk.regions[1:], key=lambda r: (r.span.start, -r.span.end))
    found = sorted(walk.resolved(), key=lambda o: o.name.span.start)
    return Names(file, tuple(walk.regions), tuple(found))


def _kind(item: s.Item) -> str:
    if isinstance(item, s.Definition):
        return item.kind
    return {s.Alias: "net", s.Extern: "extern", s.Let: "let"}[type(item)]


@dataclass
class _Walk:
    """What is found on the way; uses are looked up at the end, when all names are given."""

    regions: list[Region]
    uses: list[Occurrence] = field(default_factory=list)

    def give(self, kind: str, name: s.Name, node: s.Node, region: Region) -> None:
        """A name that is given here, if it is the first time, else used."""
        if name.text != "_":
            region.symbols.setdefault(name.text, Symbol(kind, name, node, region))

    def use(
        self, name: s.Name, region: Region, role: str = "value", owner: s.Name | None = None
    ) -> None:
        self.uses.append(Occurrence(name, region, None, role, owner))

    def open(self, node: s.Node, parent: Region) -> Region:
        self.regions.append(Region(node.span, parent))
        return self.regions[-1]

    def visit(self, node: s.Node, region: Region) -> None:
        """Apply the rule of such a node; without one, visit what is in it."""
        RULES.get(type(node), _inside)(self, node, region)

    def visit_all(self, nodes: Iterable[s.Node | None], region: Region) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node, region)

    def resolved(self) -> Iterator[Occurrence]:
        for use in self.uses:
            if use.role == "value":
                yield Occurrence(use.name, use.region, use.region.find(use.name.text))
            else:
                yield use


def _inside(walk: _Walk, node: s.Node, region: Region) -> None:
    for f in fields(node)[2:]:
        content = getattr(node, f.name)
        parts = content if isinstance(content, tuple) else (content,)
        walk.visit_all((part for part in parts if isinstance(part, s.Node)), region)


def _import(walk: _Walk, node: s.Import, region: Region) -> None:
    walk.use(node.module, region, "module")
    for name in node.names:
        walk.use(name, region)


def _named(walk: _Walk, node: Any, region: Region) -> None:
    """A statement or item that gives the name `node.name`."""
    walk.give(KINDS.get(type(node), "value"), node.name, node, region)
    _inside(walk, node, region)


def _unpack(walk: _Walk, node: s.Unpack, region: Region) -> None:
    for name in node.names:
        walk.give("value", name, node, region)
    _inside(walk, node, region)


def _definition(walk: _Walk, node: s.Definition | s.Extern, region: Region) -> None:
    walk.use(node.name, region)
    inner = walk.open(node, region)
    walk.visit_all(node.hypers, inner)
    walk.visit_all(node.tensors, inner)
    if isinstance(node, s.Definition):
        walk.visit_all(node.body, inner)
    for out in node.outputs:
        if out.name is not None:
            walk.give("value", out.name, out, inner)
            walk.use(out.name, inner)
        _sizes(walk, out.type, inner)


def _tensor(walk: _Walk, node: s.Tensor, region: Region) -> None:
    walk.give("input", node.name, node, region)
    walk.use(node.name, region)
    if node.type is not None:
        _sizes(walk, node.type, region)


def _sizes(walk: _Walk, node: s.TensorType, region: Region) -> None:
    """A type of a signature: its names that have no value yet become sizes."""
    for size in node.sizes:
        for name in s.names_in(size):
            known = region.find(name.text)
            if known is None or (
                known.region is not region and known.kind not in ("let", "import")
            ):
                walk.give("size", name, node, region)
        walk.visit(size, region)


def _type(walk: _Walk, node: s.TensorType, region: Region) -> None:
    walk.visit_all(node.sizes, region)


def _recur(walk: _Walk, node: s.Recur, region: Region) -> None:
    """The step is known inside only, the values that the body gives outside too."""
    walk.visit_all((node.first, node.last, node.label), region)
    inner = Region(node.span, region)
    inner.symbols[node.name.text] = Symbol("index", node.name, node, inner)
    walk.regions.append(inner)
    walk.use(node.name, inner)
    for statement in node.body:
        for name in _given(statement):
            walk.give("value", name, statement, region)
        _inside(walk, statement, inner)


def _given(statement: s.Statement) -> tuple[s.Name, ...]:
    if isinstance(statement, s.Unpack):
        return statement.names
    return (statement.name,) if isinstance(statement, (s.Assign, s.Equation)) else ()


def _for(walk: _Walk, node: s.For | s.Comprehension, region: Region) -> None:
    walk.visit(node.over, region)
    inner = walk.open(node, region)
    for name in node.target.names:
        walk.give("index", name, node, inner)
        walk.use(name, inner)
    body = node.stages if isinstance(node, s.For) else (node.value,)
    walk.visit_all(body, inner)


def _call(walk: _Walk, node: s.Call, region: Region) -> None:
    walk.use(node.name, region)
    for argument in (*node.before, *(node.after or ())):
        if isinstance(argument, s.Keyword):
            walk.use(argument.name, region, "argument", node.name)
            walk.visit(argument.value, region)
        else:
            walk.visit(argument, region)


def _field(walk: _Walk, node: s.Field, region: Region) -> None:
    walk.visit(node.base, region)
    walk.use(node.name, region, "field", producer(node.base, region))


def producer(node: s.Node, region: Region, turns: int = 8) -> s.Name | None:
    """The layer whose results an expression is, by the name that is written."""
    for _ in range(turns):
        if isinstance(node, s.Chain):
            node = node.stages[-1]
        elif isinstance(node, s.Labelled):
            node = node.stage
        elif isinstance(node, (s.Call, s.Bare)):
            return node.name
        elif isinstance(node, s.Name):
            symbol = region.find(node.text)
            if symbol is None or not isinstance(symbol.node, s.Assign):
                return None
            node = symbol.node.value
    return None


def _label(walk: _Walk, node: s.Label, region: Region) -> None:
    """The names in the braces of `as "denselayer{i}"`."""
    if not node.template:
        return
    text, start = node.span.text, node.span.start
    opened = text.find("{")
    while opened >= 0 and (closed := text.find("}", opened)) >= 0:
        span = Span(node.span.source, start + opened + 1, start + closed)
        found = parse_expression(span, Diagnostics())
        if found is not None:
            walk.visit(found, region)
        opened = text.find("{", closed)


def _name(walk: _Walk, node: s.Name, region: Region) -> None:
    walk.use(node, region)


KINDS: dict[type[s.Node], str] = {
    s.Let: "let",
    s.Param: "param",
    s.Layer: "layer",
    s.Hyper: "hyper",
}
RULES: dict[type[s.Node], Callable[[_Walk, Any, Region], None]] = {
    s.Name: _name,
    s.Import: _import,
    s.Definition: _definition,
    s.Extern: _definition,
    s.Tensor: _tensor,
    s.TensorType: _type,
    s.Unpack: _unpack,
    s.Recur: _recur,
    s.For: _for,
    s.Comprehension: _for,
    s.Call: _call,
    s.Field: _field,
    s.Label: _label,
    **dict.fromkeys((s.Let, s.Param, s.Layer, s.Hyper, s.Assign, s.Equation), _named),
}
