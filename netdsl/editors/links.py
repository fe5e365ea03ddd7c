"""Names across the files of a program: what an occurrence means, where else, and renaming."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from netdsl import syntax as s
from netdsl.editors.names import Names, Occurrence, Region, Symbol
from netdsl.elaborate.files import SHIPPED, keys
from netdsl.parser.tables import keywords, pattern
from netdsl.parser.tokens import NAME_LENGTH

Files: TypeAlias = Mapping[str, Names]  # by the key of the file


@dataclass(frozen=True)
class Place:
    """A symbol, and the key of the file that gives it."""

    key: str
    symbol: Symbol


@dataclass(frozen=True)
class Definition:
    """A block, net or extern, the region of its body, and the key of its file."""

    key: str
    node: s.Definition | s.Extern
    region: Region


class Refused(Exception):
    """A name that cannot be given; the message says why."""


def target(files: Files, key: str, occurrence: Occurrence) -> Place | None:
    """What a name stands for, where that is given in one of the files."""
    if occurrence.role in ("argument", "field"):
        return _member(files, key, occurrence)
    if occurrence.symbol is None:
        return None
    return follow(files, Place(key, occurrence.symbol))


def follow(files: Files, place: Place) -> Place:
    """Through imports to where the name is given; an import that leads nowhere stays."""
    for _ in files:
        node = place.symbol.node
        if not isinstance(node, s.Import):
            break
        found = imported(files, place.key, node)
        symbol = files[found].top.symbols.get(place.symbol.name.text) if found else None
        if found is None or symbol is None:
            break
        place = Place(found, symbol)
    return place


def imported(files: Files, key: str, node: s.Import) -> str | None:
    """The key of the file that an import of the file `key` names."""
    return next((k for k in keys(node.module.text, key) if k in files), None)


def definition(files: Files, key: str, region: Region, layer: str) -> Definition | None:
    """The block, net or extern that a name stands for, through imports, aliases and `let`s."""
    symbol = region.find(layer)
    for _ in range(8):
        if symbol is None:
            return None
        place = follow(files, Place(key, symbol))
        key, node = place.key, place.symbol.node
        if isinstance(node, (s.Definition, s.Extern)):
            body = next(r for r in files[key].regions if r.span is node.span)
            return Definition(key, node, body)
        if isinstance(node, s.Alias):
            symbol = files[key].top.find(node.call.name.text)
        elif isinstance(node, s.Let) and isinstance(node.value, s.Name):
            symbol = place.symbol.region.find(node.value.text)
        elif isinstance(node, s.Layer) and isinstance(node.stage, (s.Call, s.Bare)):
            symbol = place.symbol.region.find(node.stage.name.text)
        else:
            return None
    return None


def _member(files: Files, key: str, occurrence: Occurrence) -> Place | None:
    """A hyper-parameter, tensor or output of the layer that is written there."""
    owner = occurrence.owner
    found = definition(files, key, occurrence.region, owner.text) if owner is not None else None
    if found is None:
        return None
    symbol = found.region.symbols.get(occurrence.name.text)
    kinds = ("hyper", "input") if occurrence.role == "argument" else ("value",)
    return Place(found.key, symbol) if symbol is not None and symbol.kind in kinds else None


def references(files: Files, place: Place) -> Iterator[tuple[str, s.Name]]:
    """Every occurrence of the symbol, where it is given too."""
    for key, names in files.items():
        for occurrence in names.occurrences:
            if occurrence.name.text != place.symbol.name.text:
                continue
            found = target(files, key, occurrence)
            if found is not None and found.symbol is place.symbol:
                yield key, occurrence.name


def rename(files: Files, place: Place, new: str) -> list[tuple[str, s.Name]]:
    """The names to replace by `new`; raises `Refused` where that is no name, or would be mixed up
    with another one."""
    old = place.symbol.name.text
    check_name(new)
    found = list(references(files, place))
    for key in dict.fromkeys(key for key, _ in found):
        if key.startswith(SHIPPED):
            raise Refused(f"`{old}` stands in a model that is shipped with netdsl")
        local = key == place.key and place.symbol.region.parent is not None
        region = place.symbol.region if local else files[key].top
        _check_free(files[key], region, new)
    return found


def check_name(new: str) -> None:
    """Raise `Refused` for what cannot be a name."""
    if new in keywords():
        raise Refused(f"`{new}` is a keyword and cannot be a name")
    if new == "none" or not re.fullmatch(pattern("NAME"), new) or len(new) > NAME_LENGTH:
        raise Refused(f"`{new}` is no name: letters, digits and _, no digit first")


def _check_free(names: Names, region: Region, new: str) -> None:
    """Refuse a name that means something in the region, or around it."""
    known = region.find(new)
    for occurrence in names.occurrences:
        inside = region.span.start <= occurrence.name.span.start < region.span.end
        if occurrence.name.text == new and occurrence.role == "value" and inside:
            known = known or occurrence.symbol
            line = known.name.span.line if known else occurrence.name.span.line
            what = "is given" if known else "is used, for a layer of the library,"
            raise Refused(f"`{new}` {what} in line {line}")
    if known is not None:
        raise Refused(f"`{new}` is given in line {known.name.span.line}")
