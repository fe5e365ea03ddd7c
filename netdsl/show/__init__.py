"""A graph as rows for people: shapes, parameters, cost and receptive field of every stage.

graph = parse("lenet");  summary(graph, {"N": 8}).rows
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

from netdsl.ir import Graph, Input, Node, Parameter, Source, concrete
from netdsl.kinds import REQUIRED
from netdsl.loop import At, Carried
from netdsl.op import Op, Type, Value
from netdsl.recur import Recur
from netdsl.rewrite import with_sizes
from netdsl.show.cost import batch
from netdsl.show.receptive import receptive_fields
from netdsl.sizes import Size, names
from netdsl.supplied import Supplied

BYTES = {"float": 4, "int": 8, "bool": 1}

Change: TypeAlias = Callable[[Size], Size]


@dataclass(frozen=True)
class Row:
    """One stage, or several stages below one path (`stages` > 1), in the order of the graph.

    `macs` and `bytes` (of its results, float32; 0 for a view) are for one example; None where they
    depend on a size that is not known. `field`: the receptive field in pixels, None where it has no
    meaning.
    """

    path: str
    op: str
    inputs: tuple[str, ...]
    shapes: tuple[Type, ...]
    params: int
    macs: int | None
    bytes: int | None
    field: tuple[int, ...] | None
    stages: int = 1

    def as_json(self) -> dict[str, object]:
        """The row as plain data; sizes that are not numbers are text."""
        return {
            "path": self.path,
            "op": self.op,
            "inputs": list(self.inputs),
            "shapes": [_sizes(t) for t in self.shapes],
            "params": self.params,
            "macs": self.macs,
            "bytes": self.bytes,
            "receptive_field": list(self.field) if self.field else None,
            "stages": self.stages,
        }


@dataclass(frozen=True)
class Summary:
    """The rows of a net with its signature. `unknown`: names of sizes that costs wait for; `fixed`:
    the batch has a size too, and costs are those of a call."""

    net: str
    inputs: tuple[tuple[str, Type], ...]
    outputs: tuple[tuple[str, Type], ...]
    rows: tuple[Row, ...]
    buffers: int
    unknown: tuple[str, ...]
    fixed: bool

    @property
    def params(self) -> int:
        return sum(row.params for row in self.rows)

    @property
    def macs(self) -> int | None:
        return _sum(row.macs for row in self.rows)

    @property
    def bytes(self) -> int | None:
        return _sum(row.bytes for row in self.rows)

    def collapsed(self, depth: int) -> Summary:
        """The stages below paths of `depth` names as one row each."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(_top(row.path, depth), []).append(row)
        rows = tuple(_group(path, members, depth) for path, members in groups.items())
        return replace(self, rows=rows)

    def as_json(self) -> dict[str, object]:
        """All of it as plain data."""
        return {
            "net": self.net,
            "inputs": {key: _sizes(t) for key, t in self.inputs},
            "outputs": {key: _sizes(t) for key, t in self.outputs},
            "rows": [row.as_json() for row in self.rows],
            "params": self.params,
            "buffers": self.buffers,
            "macs": self.macs,
            "bytes": self.bytes,
            "unknown_sizes": list(self.unknown),
        }


def summary(graph: Graph, sizes: Mapping[str, int] | None = None) -> Summary:
    """The rows of a layer graph, `sizes` put for the names of its signature.

    Raises `Problem` where the shape rules do not hold for the sizes.
    """
    graph = with_sizes(graph, sizes) if sizes else graph
    first = batch(graph)
    single = concrete(dict.fromkeys(first, 1))
    fields_of = receptive_fields(graph)
    rows = tuple(_rows(graph, [], single, fields_of, set()))
    free = {name for op in graph.inputs for size in op.type.shape for name in names(size)}
    return Summary(
        net=graph.name,
        inputs=tuple((op.key, op.type) for op in graph.inputs),
        outputs=tuple((out.name, out.value.type) for out in graph.outputs),
        rows=rows,
        buffers=sum(_number(p.type.numel) or 0 for p in graph.parameters if p.buffer),
        unknown=tuple(sorted(free - first)),
        fixed=not first,
    )


@dataclass(frozen=True)
class _Operand:
    """What a stage takes, as the rows name it; `owner`: the parameter or buffer that it is."""

    name: str
    owner: Parameter | None = None


def _rows(
    graph: Graph,
    given: Sequence[_Operand],
    single: Change,
    fields_of: Mapping[int, tuple[int, ...]],
    counted: set[str],
    steps: tuple[Size, ...] = (),
) -> Iterator[Row]:
    """The rows of a graph; of a recurrence those of a step, and then its own. `given`: what the
    inputs of a step are; `counted`: parameters that earlier rows have."""
    fed = iter(given)
    known: dict[int, _Operand] = {}
    for n, node in graph.items:
        if isinstance(node.op, Source):
            inside = steps and isinstance(node.op, Input)
            known[n] = next(fed) if inside else _source(node.op)
            continue
        values = graph.operands(n)
        operands = [
            known[v.node]
            if isinstance(graph.node(v.node).op, Source)
            else _Operand(_name(graph, v))
            for v in values
        ]
        if isinstance(node.op, Recur):
            inputs = _fed(node, operands, steps)
            inner = (*steps, node.op.steps)
            yield from _rows(node.op.body, inputs, single, {}, counted, inner)
        types = tuple(v.type.map(single) for v in values)
        results = tuple(t.map(single) for t in node.types)
        owned = {o.owner.key: o.owner for o in operands if o.owner and not o.owner.buffer}
        fresh = owned.keys() - counted
        counted |= fresh
        own = 0 if isinstance(node.op, Recur) else node.op.map_sizes(single).macs(types, results)
        if node.path:
            yield Row(
                path=node.path,
                op=call(node.op) + "".join(f" × {n}, shared" for n in steps),
                inputs=tuple(o.name for o in operands if o.name and not o.owner),
                shapes=node.types,
                params=sum(_number(owned[key].type.numel) or 0 for key in fresh),
                macs=_number(prod(steps, start=own)),
                bytes=0 if node.op.view or steps else _sum(_bytes(t) for t in results),
                field=fields_of.get(n),
            )


def _source(op: Op) -> _Operand:
    if isinstance(op, Parameter):
        return _Operand(op.key, op)
    return _Operand(op.key if isinstance(op, Input) else "")


def _fed(node: Node, operands: Sequence[_Operand], steps: tuple[Size, ...]) -> list[_Operand]:
    """What a step of a recurrence takes: `x[t]`, `recur1.y0[t-1]`, a weight."""
    op = node.op
    assert isinstance(op, Recur)
    t = "tuvw"[len(steps) % 4]
    found = []
    for feed in op.feeds:
        if isinstance(feed, Carried):
            lag = feed.lag if op.backward else -feed.lag
            found.append(_Operand(f"{node.path}.{op.result_name(feed.result)}[{t}{lag:+d}]"))
        elif isinstance(feed, At) and operands[feed.operand].name:
            found.append(_Operand(f"{operands[feed.operand].name}[{t}]"))
        else:
            found.append(operands[feed.operand])
    return found


def call(op: Op) -> str:
    """The application as one writes it, `conv(64, 3, stride=2, pad=1)`: defaults left out, padding
    as resolved."""
    if isinstance(op, Recur):
        return f"recur over {op.steps} steps{', backward' if op.backward else ''}"
    if isinstance(op, Supplied):
        return f"extern {op.arguments()}"
    shown = []
    for name, f in op.schema().items():
        kind, value = f.metadata["kind"], getattr(op, f.name)
        if f.default is REQUIRED:
            shown.append(kind.show(value))
        elif kind.shown(value, f.default):
            shown.append(f"{name}={kind.show(value)}")
    return f"{op.name}({', '.join(shown)})" if shown else op.name


def _name(graph: Graph, value: Value) -> str:
    node = graph.node(value.node)
    return node.path if value.result == 0 else f"{node.path}.{node.op.result_name(value.result)}"


def _top(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth])


def _group(path: str, members: list[Row], depth: int) -> Row:
    """Several rows as one; a stage at its own path stays as it is."""
    last = members[-1]
    inside = {row.path for row in members}
    outside = [name for row in members for name in row.inputs if name not in inside]
    inputs = tuple(dict.fromkeys(_top(name, depth) for name in outside))
    if len(members) == 1 and last.path == path:
        return replace(last, inputs=inputs)
    return Row(
        path=path,
        op=f"{len(members)} stages",
        inputs=inputs,
        shapes=last.shapes,
        params=sum(row.params for row in members),
        macs=_sum(row.macs for row in members),
        bytes=_sum(row.bytes for row in members),
        field=last.field,
        stages=len(members),
    )


def _number(size: Size) -> int | None:
    return size if isinstance(size, int) else None


def _bytes(t: Type) -> int | None:
    return _number(t.numel * BYTES[t.dtype])


def _sum(numbers: Any) -> int | None:
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


def _sizes(t: Type) -> list[int | str]:
    return [size if isinstance(size, int) else str(size) for size in t.shape]
