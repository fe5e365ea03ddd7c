"""The names of a file: what each stands for (`Symbol`), where it is known (`Region`), and where it
is written (`Occurrence`).

A file, a body, a loop and a `recur` are regions; a name belongs to the region that gives it, and is
looked up from the innermost region outwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from netdsl import syntax as s
from netdsl.errors import Span


@dataclass(frozen=True, eq=False)
class Symbol:
    """What a name stands for: the name where it is given, and the syntax that gives it.

    `kind`: net, block, extern, import, let, value, param, layer, input, hyper, size or index.
    """

    kind: str
    name: s.Name
    node: s.Node
    region: Region


@dataclass(frozen=True, eq=False)
class Region:
    """A stretch of the text with names of its own."""

    span: Span
    parent: Region | None = None
    symbols: dict[str, Symbol] = field(default_factory=dict)

    def find(self, name: str) -> Symbol | None:
        """What the name stands for in this region."""
        region: Region | None = self
        while region is not None:
            if name in region.symbols:
                return region.symbols[name]
            region = region.parent
        return None

    def visible(self) -> Iterator[Symbol]:
        """Every symbol that can be used here, inner ones first."""
        hidden: set[str] = set()
        region: Region | None = self
        while region is not None:
            yield from (symbol for name, symbol in region.symbols.items() if name not in hidden)
            hidden.update(region.symbols)
            region = region.parent


@dataclass(frozen=True, eq=False)
class Occurrence:
    """A name in the text. `symbol` is None where it is of the library, or unknown.

    `role`: value (given or used); argument or field, a hyper-parameter or an output of `owner`, the
    layer that is written there (None: it is not known by its name); module, of an import.
    """

    name: s.Name
    region: Region
    symbol: Symbol | None
    role: str = "value"
    owner: s.Name | None = None


@dataclass(frozen=True, eq=False)
class Names:
    """Every region and every occurrence of a file, both in the order of the text."""

    file: s.File
    regions: tuple[Region, ...]
    occurrences: tuple[Occurrence, ...]

    @property
    def top(self) -> Region:
        return self.regions[0]

    def at(self, offset: int) -> Occurrence | None:
        """The occurrence at an offset, or right before it."""
        found = [o for o in self.occurrences if _holds(o.name.span, offset)]
        return found[-1] if found else None

    def region_at(self, offset: int) -> Region:
        """The innermost region around an offset."""
        return [r for r in self.regions if r is self.top or _holds(r.span, offset)][-1]


def _holds(span: Span, offset: int) -> bool:
    return span.start <= offset <= span.end
