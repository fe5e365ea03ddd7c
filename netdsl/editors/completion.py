"""Completion and signature help: what can be written where the cursor stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from netdsl import syntax as s
from netdsl.editors.callee import Callee, callee
from netdsl.editors.cursor import Call, Cursor, cursor
from netdsl.editors.names import Region
from netdsl.editors.resolve import producer
from netdsl.editors.snapshot import Snapshot
from netdsl.editors.vocabulary import FUNCTIONS, NOTHING, about, functions

LAYERS = ("block", "net", "extern", "layer", "import", "let", "hyper")
ITEMS = ("net", "block", "let", "default", "from", "extern", "netdsl")
STATEMENTS = ("return", "let", "param", "layer", "require", "recur", "default")
CONTROL = ("repeat", "for", "if")
VALUES = ("if", "not", "true", "false", NOTHING)


@dataclass(frozen=True)
class Item:
    """What can be inserted. `kind`: that of a symbol, or function, keyword, word, module, output,
    argument."""

    name: str
    kind: str
    detail: str = ""
    about: str = ""
    insert: str = ""

    @property
    def text(self) -> str:
        return self.insert or self.name


@dataclass(frozen=True)
class Help:
    """The call around the cursor: where its parameters stand in the text of its signature, and
    which of them is written (None: none)."""

    callee: Callee
    parameters: tuple[tuple[int, int], ...]
    active: int | None


def complete(snapshot: Snapshot, offset: int) -> list[Item]:
    """Everything that can be written at an offset, by name."""
    here = cursor(snapshot.source, offset)
    asked = Asked(snapshot, here, snapshot.names.region_at(offset))
    found = {item.name: item for item in reversed(list(RULES[here.place](asked)))}
    return sorted(found.values(), key=lambda item: item.name)


def signature(snapshot: Snapshot, offset: int) -> Help | None:
    """The call that is written at an offset."""
    call = cursor(snapshot.source, offset).call
    if call is None:
        return None
    region = snapshot.names.region_at(offset)
    found = callee(snapshot.files, snapshot.key, region, call.name.text)
    if found is None:
        return None
    places, end = [], len(found.name)
    for parameter in (*found.tensors, *map(str, found.hypers)):
        start = found.text.index(parameter, end)
        end = start + len(parameter)
        places.append((start, end))
    return Help(found, tuple(places), _active(found, call))


def _active(found: Callee, call: Call) -> int | None:
    """Which parameter is written, by its name or its place (language.md §2)."""
    names = [*found.tensors, *(p.name for p in found.hypers)]
    if call.keyword is not None:
        return names.index(call.keyword) if call.keyword in names else None
    place = call.before
    if call.behind:
        place += len(found.tensors)
    elif call.piped:
        place += 1  # the pipe brings the first
    return place if place < len(names) else None


@dataclass(frozen=True)
class Asked:
    """A question for completion."""

    snapshot: Snapshot
    cursor: Cursor
    region: Region

    def callee(self, name: str) -> Callee | None:
        return callee(self.snapshot.files, self.snapshot.key, self.region, name)


def _keywords(words: Iterable[str]) -> Iterator[Item]:
    return (Item(word, "keyword") for word in words)


def _given(asked: Asked, kinds: tuple[str, ...] | None = None) -> Iterator[Item]:
    """The names that files give, of these kinds."""
    for symbol in asked.region.visible():
        if kinds is None or symbol.kind in kinds:
            name = symbol.name.text
            found = asked.callee(name) if symbol.kind in LAYERS else None
            detail = found.text if found else symbol.kind
            yield Item(name, symbol.kind, detail, found.about if found else "")


def _library(asked: Asked, values: bool) -> Iterator[Item]:
    """The layers of the library, the functions of compile time too where values can stand."""
    for name in functions():
        found = asked.callee(name)
        if found is not None and (values or not found.values):
            detail = FUNCTIONS[name][0] if found.values else found.text
            yield Item(name, "function", detail, about(name))


def _stages(asked: Asked) -> Iterator[Item]:
    yield from _given(asked, LAYERS)
    yield from _library(asked, values=False)
    yield from _keywords(CONTROL)


def _expressions(asked: Asked) -> Iterator[Item]:
    yield from _arguments(asked)
    yield from _given(asked)
    yield from _library(asked, values=True)
    yield from _keywords(VALUES)


def _arguments(asked: Asked) -> Iterator[Item]:
    """The hyper-parameters of the call around, or the words of the one that is written."""
    call = asked.cursor.call
    found = asked.callee(call.name.text) if call else None
    if call is None or found is None:
        return
    if call.keyword is not None:
        parameter = found.hyper(call.keyword)
        for word in parameter.words if parameter else ():
            yield Item(word, "word", f"{call.keyword} of {found.name}")
        return
    for p in found.hypers:
        if p.name not in call.given:
            default = "must be given" if p.default is None else f"{p.default} by default"
            yield Item(p.name, "argument", default, p.about, f"{p.name}=")


def _statements(asked: Asked) -> Iterator[Item]:
    """Keywords, and the outputs of the block that have no value yet."""
    yield from _keywords(STATEMENTS)
    for symbol in asked.region.symbols.values():
        if isinstance(symbol.node, s.Out):
            yield Item(symbol.name.text, "output", symbol.node.type.span.text)


def _modules(asked: Asked) -> Iterator[Item]:
    return (Item(name, "module") for name in asked.snapshot.modules())


def _imported(asked: Asked) -> Iterator[Item]:
    """The names of the file that is imported."""
    kinds = [token.type for token in asked.cursor.tokens]
    start = len(kinds) - kinds[::-1].index("FROM")
    module = "".join(t.text for t in asked.cursor.tokens[start : kinds.index("IMPORT", start)])
    for symbol in asked.snapshot.exported(module):
        yield Item(symbol.name.text, symbol.kind, symbol.kind)


def _fields(asked: Asked) -> Iterator[Item]:
    """The outputs of what stands before the dot."""
    tokens = asked.cursor.tokens
    symbol = asked.region.find(tokens[-2].text) if len(tokens) > 1 else None
    layer = producer(symbol.name, asked.region) if symbol else None
    found = asked.callee(layer.text) if layer else None
    yield from (Item(name, "output", "output") for name in (found.results if found else ()))


RULES: dict[str, Callable[[Asked], Iterable[Item]]] = {
    "item": lambda asked: _keywords(ITEMS),
    "statement": _statements,
    "stage": _stages,
    "expression": _expressions,
    "module": _modules,
    "imported": _imported,
    "field": _fields,
    **dict.fromkeys(("name", "label", "none"), lambda asked: ()),
}
