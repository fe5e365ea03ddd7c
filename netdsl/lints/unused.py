"""Values, hyper-parameters, imports and shared layers that nothing reads: N122, W403."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from netdsl.errors import Diagnostic, Edit, Span
from netdsl.ir import Graph
from netdsl.lints.walk import used
from netdsl.syntax import (
    Assign,
    Definition,
    Equation,
    File,
    Import,
    Layer,
    Let,
    Name,
    Node,
    Param,
    Recur,
    Unpack,
)

# a statement -> the names that it gives, and what it reads
GIVES: dict[type[Node], Callable[[Any], tuple[tuple[Name, ...], Any]]] = {
    Assign: lambda s: ((s.name,), s.value),
    Unpack: lambda s: (s.names, s.value),
    Let: lambda s: ((s.name,), s.value),
    Param: lambda s: ((s.name,), (s.type, s.init)),
    Layer: lambda s: ((s.name,), s.stage),
    Equation: lambda s: ((s.name,), (s.index, s.type, s.value)),
}
REMOVABLE = (Let, Import, Layer)  # without them the net is the same


def unused(file: File, graphs: Sequence[Graph]) -> Iterator[Diagnostic]:
    """Of every body, and the imports of the file. `let` of a file may be imported elsewhere."""
    for item in file.items:
        if isinstance(item, Definition):
            yield from _in_body(item)
    imports = [item for item in file.items if isinstance(item, Import)]
    if imports:
        reads = Counter(n for i in file.items if not isinstance(i, Import) for n in used(i))
        for item in imports:
            for name in item.names:
                if not reads[name.text]:
                    yield _finding(name, item, f"`{name.text}` is imported and never used")


def _in_body(definition: Definition) -> Iterator[Diagnostic]:
    statements = list(_flat(definition.body))
    given = [(n, s) for s in statements if type(s) in GIVES for n in GIVES[type(s)](s)[0]]
    reads = Counter(out.name.text for out in definition.outputs if out.name)
    for statement in statements:
        row = GIVES.get(type(statement))
        reads.update(used(row(statement)[1] if row else statement))
    for part in (definition.outputs, definition.hypers, definition.tensors):
        reads.update(_signature_reads(part))
    told: set[str] = set()
    for name, statement in given:
        if isinstance(statement, Unpack) and any(reads[n.text] for n in statement.names):
            continue  # each result must have a name
        if not reads[name.text] and not name.text.startswith("_") and name.text not in told:
            told.add(name.text)
            yield _of_statement(name, statement)
    for hyper in definition.hypers:
        if not reads[hyper.name.text] and not hyper.name.text.startswith("_"):
            message = f"the hyper-parameter `{hyper.name.text}` is never used"
            yield Diagnostic("N122", message, hyper.name.span)


def _signature_reads(part: tuple[Any, ...]) -> Iterator[str]:
    for entry in part:
        yield from used(getattr(entry, "type", None))
        yield from used(getattr(entry, "default", None))


def _flat(body: tuple[Any, ...]) -> Iterator[Any]:
    """The statements, those of recurrences among them; of these the range alone."""
    for statement in body:
        if isinstance(statement, Recur):
            yield statement.first
            yield statement.last
            yield from _flat(statement.body)
        else:
            yield statement


def _of_statement(name: Name, statement: Node) -> Diagnostic:
    if isinstance(statement, Layer):
        message = f"the shared layer `{name.text}` is never used"
        return _finding(name, statement, message, "W403")
    return _finding(name, statement, f"`{name.text}` is never used")


def _finding(name: Name, node: Node, message: str, code: str = "N122") -> Diagnostic:
    if not isinstance(node, REMOVABLE):
        start = Span(name.span.source, name.span.start, name.span.start)
        help = f"`_{name.text}` says that it is meant"
        return Diagnostic(code, message, name.span, helps=(help,), edits=(Edit(start, "_"),))
    if isinstance(node, Import) and len(node.names) > 1:
        edit = _from_list(name, node)
    else:
        edit = Edit(_whole_line(node.span), "")
    return Diagnostic(
        code, message, name.span, helps=("it can be left out",), edits=(edit,), sure=True
    )


def _from_list(name: Name, item: Import) -> Edit:
    """The edit that takes a name out of an import of several."""
    i = item.names.index(name)
    source = name.span.source
    if i == 0:
        return Edit(Span(source, name.span.start, item.names[1].span.start), "")
    return Edit(Span(source, item.names[i - 1].span.end, name.span.end), "")


def _whole_line(span: Span) -> Span:
    """The span with its line, if nothing else stands in it."""
    text = span.source.text
    start = text.rfind("\n", 0, span.start) + 1
    end = text.find("\n", span.end)
    end = len(text) if end < 0 else end + 1
    rest = text[span.end : end].strip()
    alone = not text[start : span.start].strip() and (not rest or rest.startswith("#"))
    return Span(span.source, start, end) if alone else span
