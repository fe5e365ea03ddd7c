"""Walks over the syntax of a file, without recursion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TypeVar

from netdsl.syntax import Field, Keyword, Label, Name, Node

N = TypeVar("N", bound=Node)


def nodes(root: Node, kind: type[N]) -> Iterator[N]:
    """Every node of a kind, in the order of the text."""
    pending: list[object] = [root]
    while pending:
        item = pending.pop()
        if isinstance(item, kind):
            yield item
        if isinstance(item, Node):
            pending += [getattr(item, f.name) for f in reversed(fields(item)[2:])]
        elif isinstance(item, tuple):
            pending += reversed(item)


def used(root: object) -> Iterator[str]:
    """Every name that is read below a node: no names of arguments and fields, but those in the
    `{…}` of labels."""
    import re

    pending: list[object] = [root]
    while pending:
        item = pending.pop()
        if isinstance(item, Name):
            yield item.text
        elif isinstance(item, Keyword):
            pending.append(item.value)
        elif isinstance(item, Field):
            pending.append(item.base)
        elif isinstance(item, Label):
            for part in re.findall(r"\{([^{}]*)\}", item.text):
                yield from re.findall(r"[A-Za-z_]\w*", part)
        elif isinstance(item, Node):
            pending += [getattr(item, f.name) for f in fields(item)[2:]]
        elif isinstance(item, tuple):
            pending += item
