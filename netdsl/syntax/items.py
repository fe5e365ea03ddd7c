"""A file and its items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from netdsl.syntax.expressions import Call, Name, Node
from netdsl.syntax.statements import Default, Hyper, Let, Out, Statement, Tensor


@dataclass(frozen=True, eq=False, repr=False)
class File(Node):
    """`netdsl 1`, then items. `edition` is None where the file does not say it."""

    edition: int | None
    items: tuple[Item, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Import(Node):
    """`from blocks import ConvBN, SE`."""

    module: Name
    names: tuple[Name, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Extern(Node):
    """`extern deform(x: [N, C, H, W]; k = 3) -> [N, C, H, W]`: an op that Python supplies."""

    name: Name
    tensors: tuple[Tensor, ...]
    hypers: tuple[Hyper, ...]
    outputs: tuple[Out, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Alias(Node):
    """`net ResNet101 = ResNet(depth=101)`."""

    name: Name
    call: Call


@dataclass(frozen=True, eq=False, repr=False)
class Definition(Node):
    """`net Name(tensors; hypers) -> outputs { body }`, or `block`; no outputs: not declared."""

    kind: str
    name: Name
    tensors: tuple[Tensor, ...]
    hypers: tuple[Hyper, ...]
    outputs: tuple[Out, ...]
    body: tuple[Statement, ...]


Item: TypeAlias = Import | Let | Default | Extern | Alias | Definition
