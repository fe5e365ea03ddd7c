"""What an editor tells about the place under the pointer: shape, path, cost, signature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from netdsl import syntax as s
from netdsl.editors.callee import Callee, callee, comment
from netdsl.editors.instances import costs_of, instances, listed, text
from netdsl.editors.links import Place, target
from netdsl.editors.names import Occurrence
from netdsl.editors.snapshot import Snapshot, walk
from netdsl.elaborate.recurrence import State, Step
from netdsl.elaborate.unknown import Unknown
from netdsl.elaborate.values import is_tensor
from netdsl.errors import Span

ITEMS = ("net", "block", "extern")
HIDDEN = (Unknown, State, Step)  # what has no value of its own


@dataclass(frozen=True)
class Hover:
    """A text in Markdown about a stretch of the file."""

    text: str
    span: Span


def hover(snapshot: Snapshot, offset: int) -> Hover | None:
    """What there is to say about the place, if anything."""
    around = snapshot.around(offset)
    occurrence = snapshot.names.at(offset)
    if occurrence is None:
        return _expression(snapshot, around)
    name = occurrence.name
    if occurrence.role == "argument":
        parts = _argument(snapshot, occurrence)
    elif _is_applied(around, name):
        node = next((n for n in reversed(around) if snapshot.seen(n)), None)
        told = [] if node is None else instances(snapshot, node, around)
        parts = [*told, *_signature(_callee(snapshot, occurrence, name.text))]
    else:
        parts = _value(snapshot, occurrence) or _word(snapshot, around)
    return Hover("\n\n".join(parts), name.span) if parts else None


def _expression(snapshot: Snapshot, around: list[s.Node]) -> Hover | None:
    """An operator, a parenthesis: the innermost tensor around."""
    for node in reversed(around):
        if any(is_tensor(seen.value) for seen in snapshot.seen(node)):
            return Hover("\n\n".join(instances(snapshot, node, around)), node.span)
    return None


def _is_applied(around: list[s.Node], name: s.Name) -> bool:
    return any(isinstance(n, (s.Call, s.Bare)) and n.name is name for n in around)


def _argument(snapshot: Snapshot, occurrence: Occurrence) -> list[str]:
    if occurrence.owner is None:
        return []
    found = _callee(snapshot, occurrence, occurrence.owner.text)
    parameter = None if found is None else found.hyper(occurrence.name.text)
    if found is None or parameter is None:
        return []
    words = f" ({', '.join(parameter.words)})" if parameter.words else ""
    text = f"{parameter.about}{words}" if parameter.about else ""
    return [f"`{parameter}` of `{found.name}`", *([text] if text else [])]


def _word(snapshot: Snapshot, around: list[s.Node]) -> list[str]:
    """A word of the library: what is said about the hyper-parameter that it is given to."""
    keyword = next((n for n in reversed(around) if isinstance(n, s.Keyword)), None)
    occurrence = snapshot.names.at(keyword.name.span.start) if keyword is not None else None
    return _argument(snapshot, occurrence) if occurrence is not None else []


def _callee(snapshot: Snapshot, occurrence: Occurrence, name: str) -> Callee | None:
    return callee(snapshot.files, snapshot.key, occurrence.region, name)


def _signature(found: Callee | None) -> list[str]:
    if found is None:
        return []
    return [f"```net\n{found.text}\n```", *([found.about] if found.about else [])]


def _value(snapshot: Snapshot, occurrence: Occurrence) -> list[str]:
    """A name that is given: its values, by what was seen where it stands and is used."""
    place = target(snapshot.files, snapshot.key, occurrence)
    if place is None:
        return _signature(_callee(snapshot, occurrence, occurrence.name.text))
    symbol = place.symbol
    if symbol.kind in ITEMS:
        return _item(snapshot, place)
    names = [o.name for o in snapshot.names.occurrences if o.symbol is symbol]
    given = symbol.node.value if isinstance(symbol.node, (s.Assign, s.Let)) else None
    whole = _texts(snapshot, [*names, *([given] if given else [])])
    steps = _texts(snapshot, _indexed(snapshot, names)) if not whole else []
    told = [f"`{t}`" for t in whole if t != symbol.name.text]
    told += [f"`{t}` at each step" for t in steps]
    return [f"{symbol.kind} `{symbol.name.text}`", *listed(told)]


def _item(snapshot: Snapshot, place: Place) -> list[str]:
    """A block or net: its cost, how it is called or what an alias is, what is said about it."""
    symbol, costs = place.symbol, []
    trace = snapshot.analysis.traces.get(symbol.name.text)
    if trace is not None and place.key == snapshot.key:
        costs = costs_of(trace, range(len(trace.graph)))
    first = [" · ".join(costs)] if costs else []
    if isinstance(symbol.node, s.Alias):
        said = comment(symbol.node.span)
        return [*first, f"```net\n{symbol.node.span.text}\n```", *([said] if said else [])]
    found = callee(snapshot.files, place.key, symbol.region, symbol.name.text)
    return [*first, *_signature(found)]


def _texts(snapshot: Snapshot, nodes: Iterable[s.Node]) -> list[str]:
    """What the nodes were seen to be, each once."""
    seen = (seen.value for node in nodes for seen in snapshot.seen(node))
    return list(dict.fromkeys(text(value) for value in seen if not isinstance(value, HIDDEN)))


def _indexed(snapshot: Snapshot, names: list[s.Name]) -> list[s.Node]:
    """`h[t]`, `h[t-1]` for the name h."""
    bases = set(map(id, names))
    return [n for n in walk(snapshot.file) if isinstance(n, s.Index) and id(n.base) in bases]
