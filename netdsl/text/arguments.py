"""Hyper-parameters as arguments: `64, 3, stride=2`, none that follows from the others."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from netdsl.errors import Problem
from netdsl.kinds import REQUIRED
from netdsl.op import Op
from netdsl.sizes import map_sizes
from netdsl.text.sizes import size_text


def arguments(op: Op, word: Callable[[str], str]) -> str:
    """The arguments of an application; `word` writes a value that begins with a name."""
    schema = op.schema()
    shown = []
    for name, value in _needed(op).items():
        field = schema[name]
        shown_value = map_sizes(value, size_text)  # type: ignore[arg-type]
        text = field.metadata["kind"].show(shown_value)
        if shown_value == value and text[:1].isalpha() and not isinstance(value, bool):
            text = word(text)
        shown.append(text if field.default is REQUIRED else f"{name}={text}")
    return ", ".join(shown)


@lru_cache(maxsize=4096)
def _needed(op: Op) -> dict[str, Any]:
    """The hyper-parameters without which it would be another op."""
    given = op.hypers()
    for name, field in reversed(op.schema().items()):
        if field.default is REQUIRED:
            continue
        rest = {other: value for other, value in given.items() if other != name}
        try:
            same = repr(op.of(**rest)) == repr(op)  # by its digits: -0.0 is not 0.0
        except Problem:  # an even kernel needs its padding
            same = False
        if same:
            given = rest
    return given
