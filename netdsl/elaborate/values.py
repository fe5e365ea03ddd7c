"""What an expression of a .net file stands for.

At compile time: int, float, bool, str, None (`none`), tuple, range, dict (a table), a size
(`Poly`), an initial value, a layer. In the graph: `ir.Value`, or a `Bundle` of several results.
`UNKNOWN` is what an error leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from netdsl.elaborate.scope import Scope
from netdsl.errors import Problem
from netdsl.initial import Init
from netdsl.op import Op, Value
from netdsl.sizes import Poly
from netdsl.syntax import Definition, Extern, Stage

SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Bundle:
    """Several results by name; None: an output that is `none`. A pipe carries the first."""

    results: Mapping[str, Any]

    @property
    def first(self) -> Any:
        name, value = next(iter(self.results.items()))
        if value is None:
            raise Problem("N115", f"the first output, `{name}`, is none here")
        return value


@dataclass(frozen=True)
class Library:
    """A layer of the op table."""

    op: type[Op]

    @property
    def name(self) -> str:
        return self.op.name

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Block:
    """A block or net under a name; an alias brings hyper-parameters of its own (`preset`)."""

    name: str
    definition: Definition
    scope: Scope = field(repr=False)
    preset: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Foreign:
    """An op that Python supplies, as a file declares it."""

    name: str
    declared: Extern
    scope: Scope = field(repr=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Instance:
    """A declared `layer`: one set of parameters under `path` for every use."""

    name: str
    stage: Stage
    scope: Scope = field(repr=False)
    path: str
    numbered: bool

    def __str__(self) -> str:
        return self.name


LAYERS: Final = (Library, Block, Foreign, Instance)
NUMBERS: Final = (int, float)


def is_tensor(value: Any) -> bool:
    return isinstance(value, (Value, Bundle))


def are_tensors(value: Any) -> bool:
    """Whether it is a list of tensors, as `average([…])` takes."""
    return isinstance(value, tuple) and bool(value) and all(is_tensor(v) for v in value)


def is_number(value: Any) -> bool:
    return isinstance(value, NUMBERS) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def describe(value: Any) -> str:
    """The value as a message names it: `the number 3`, `a tensor [N, 10]`."""
    if isinstance(value, Value):
        return f"a tensor {value.type}"
    if isinstance(value, Bundle):
        first = value.first
        return f"a tensor {first.type}" if isinstance(first, Value) else "a tensor"
    if isinstance(value, LAYERS):
        return f"the layer `{value}`"
    if isinstance(value, Poly):
        return f"the size {value}"
    if isinstance(value, Init):
        return f"an initial value ({value.name})"
    if is_number(value):
        return f"the number {value}"
    return show(value)


def show(value: Any) -> str:
    """The value as .net text, shortened."""
    text = _text(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, range):
        return f"range({value.start}, {value.stop})"
    if isinstance(value, tuple):
        return f"[{', '.join(_enough(map(_text, value)))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(_enough(f'{_text(k)}: …' for k in value))}}}"
    if isinstance(value, (Value, Bundle)):
        return describe(value)
    return str(value)


def _enough(texts: Iterable[str]) -> Iterator[str]:
    """As many of the texts as are shown of a list."""
    length = 0
    for text in texts:
        yield text
        length += len(text)
        if length > SHOWN:
            return
