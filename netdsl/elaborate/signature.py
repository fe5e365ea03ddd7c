"""What a layer or block is called with, seen alike: `Signature` of an op or of a definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from netdsl.kinds import REQUIRED
from netdsl.op import OPS
from netdsl.syntax import Definition, Extern


@dataclass(frozen=True)
class Signature:
    """`name(tensors; hypers)`. The last `optional` tensors may be left out; the last may repeat
    where it is `variadic`; `numbers` may stand for tensors where every element is on its own."""

    name: str
    text: str
    tensors: tuple[str, ...]
    hypers: Mapping[str, Any]  # name -> default, or REQUIRED
    optional: int = 0
    variadic: bool = False
    numbers: bool = False


@cache
def of_op(name: str) -> Signature:
    """The signature of a layer of the library."""
    op = OPS[name]
    return Signature(
        op.name,
        op.signature(),
        op.tensors,
        {name: field.default for name, field in op.schema().items()},
        op.optional,
        op.variadic,
        op.pointwise,
    )


def of_definition(definition: Definition | Extern, name: str) -> Signature:
    """The signature of a block, net or extern, under the name it has where it is called."""
    hypers = {h.name.text: REQUIRED if h.default is None else h.default for h in definition.hypers}
    tensors = tuple(t.name.text for t in definition.tensors)
    shown = [
        h.name.text if h.default is None else f"{h.name.text} = {h.default.span.text}"
        for h in definition.hypers
    ]
    text = f"{name}({', '.join(tensors)}{'; ' if shown else ''}{', '.join(shown)})"
    return Signature(name, text, tensors, hypers)
