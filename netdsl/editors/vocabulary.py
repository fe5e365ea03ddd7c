"""The words of the language that no file gives: layers, functions, values of hyper-parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import netdsl.ops  # noqa: F401  the op table is the vocabulary
from netdsl.elaborate.builtins import BUILTINS
from netdsl.errors import Problem
from netdsl.initial import Initial
from netdsl.kinds import (
    Axes,
    Axis,
    Choice,
    Extent,
    Flag,
    Int,
    Kind,
    Number,
    Padding,
    Shape,
    Spatial,
)
from netdsl.op import Op, layers

NOTHING = "none"

# functions of compile time -> how they are called, what they give
FUNCTIONS: dict[str, tuple[str, str]] = {
    "range": ("range(from, to, step)", "`range(n)` counts from 0 to n-1."),
    "len": ("len(list)", "How many elements a list, a range or a table has."),
    "min": ("min(a, b)", "The least of some numbers, or of a list."),
    "max": ("max(a, b)", "The greatest of some numbers, or of a list."),
    "sum": ("sum(list)", "The sum of some numbers, or of a list."),
    "normal": ("normal(std)", "An initial value: normal around 0."),
    "uniform": ("uniform(a, b)", "An initial value: uniform from a to b."),
}

# kinds of hyper-parameters -> what such a one takes
TAKES: dict[type[Kind], Callable[[Any], str]] = {
    Int: lambda kind: f"a whole number from {kind.low}",
    Number: lambda kind: kind.rule.removeprefix("is "),
    Flag: lambda kind: "true or false",
    Choice: lambda kind: "one of the words",
    Spatial: lambda kind: f"a whole number from {kind.low}, or one an axis",
    Padding: lambda kind: "a number, one an axis, or both sides of every axis in order",
    Axis: lambda kind: "an axis number, from the end if negative",
    Axes: lambda kind: "an axis number or a list of them",
    Extent: lambda kind: "a size",
    Shape: lambda kind: "a list of sizes",
    Initial: lambda kind: "a number, `normal(std)`, `uniform(a, b)`, or a word",
}


@cache
def functions() -> tuple[str, ...]:
    """What can be applied: the layers of the op table, the functions of compile time."""
    return tuple(sorted({*layers(), *BUILTINS} - {NOTHING}))


@cache
def words() -> frozenset[str]:
    """Names that stand for values of hyper-parameters: `half`, `zeros`, `he`."""
    kinds = [f.metadata["kind"] for op in layers().values() for f in op.schema().values()]
    return frozenset(word for kind in kinds for word in kind.words)


def known(name: str) -> bool:
    """Whether a name means something without being given."""
    return name in functions() or name in words() or name == NOTHING


def about(layer: str) -> str:
    """What a layer or function of the library does, in a line or two."""
    op = layers().get(layer)
    if op is None:
        return FUNCTIONS[layer][1]
    return " ".join((inspect.getdoc(op) or "").partition("\n\n")[0].split())


def takes(kind: Kind) -> str:
    """What a hyper-parameter of the kind takes."""
    found = next((TAKES[cls] for cls in type(kind).__mro__ if cls in TAKES), None)
    return "a value" if found is None else found(kind)


def accepted(op: type[Op], hyper: str) -> tuple[str, ...]:
    """The words that a hyper-parameter of a layer may be."""
    kind = op.schema()[hyper].metadata["kind"]
    if isinstance(kind, Flag):
        return ("true", "false")
    return tuple(word for word in kind.words if _takes(kind, word, hyper, op))


def _takes(kind: Kind, word: str, hyper: str, op: type[Op]) -> bool:
    try:
        kind.coerce(word, hyper, op)
    except Problem:
        return False
    return True
