"""The outline of a file: its items, and the values of their bodies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl import syntax as s
from netdsl.editors.names import Names, Region, Symbol
from netdsl.errors import Span

SHOWN = ("input", "hyper", "value", "let", "param", "layer")


@dataclass(frozen=True)
class Entry:
    """A name that is given: its kind (see `names.Symbol`), what is about it, what is below it."""

    name: str
    kind: str
    detail: str
    whole: Span
    place: Span
    inner: tuple[Entry, ...] = ()


def symbols(names: Names) -> tuple[Entry, ...]:
    """The items of a file, in the order of the text."""
    bodies = {id(region.span): region for region in names.regions}
    return tuple(
        _entry(symbol, tuple(_body(bodies.get(id(symbol.node.span)))))
        for symbol in _ordered(names.top)
        if symbol.kind != "import"
    )


def _body(region: Region | None) -> Iterator[Entry]:
    if region is not None:
        yield from (_entry(symbol) for symbol in _ordered(region) if symbol.kind in SHOWN)


def _ordered(region: Region) -> list[Symbol]:
    return sorted(region.symbols.values(), key=lambda symbol: symbol.name.span.start)


def _entry(symbol: Symbol, inner: tuple[Entry, ...] = ()) -> Entry:
    node = symbol.node
    detail = symbol.kind
    if isinstance(node, s.Tensor) and node.type is not None:
        detail = node.type.span.text
    return Entry(symbol.name.text, symbol.kind, detail, node.span, symbol.name.span, inner)
