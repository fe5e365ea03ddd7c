"""Signatures, and the statements of a body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from netdsl.syntax.expressions import Call, Expression, Label, Name, Node, Stage


@dataclass(frozen=True, eq=False, repr=False)
class Tensor(Node):
    """`x: [N, 3, H, W]` in a signature."""

    name: Name
    type: TensorType | None


@dataclass(frozen=True, eq=False, repr=False)
class TensorType(Node):
    """`[N, 16*h]`, `int[N, T]`."""

    dtype: Name | None
    sizes: tuple[Expression, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Hyper(Node):
    """`depth = 50` in a signature; None: it must be given."""

    name: Name
    default: Expression | None


@dataclass(frozen=True, eq=False, repr=False)
class Out(Node):
    """`train aux1: [N, classes]`; a single output without a name is returned."""

    name: Name | None
    type: TensorType
    train: bool


@dataclass(frozen=True, eq=False, repr=False)
class Let(Node):
    """`let n = depths[depth]`: a name for a value of compile time; in a file or a block."""

    name: Name
    value: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Default(Node):
    """`default conv(bias=false)`; in a file or a block."""

    call: Call


@dataclass(frozen=True, eq=False, repr=False)
class Assign(Node):
    """`f = x -> conv(64, 3)`."""

    name: Name
    value: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Unpack(Node):
    """`y, h, c = x -> lstm(64)`."""

    names: tuple[Name, ...]
    value: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Equation(Node):
    """`h[t] = …`, `h[0]: [N, d] = 0` inside `recur`."""

    name: Name
    index: Expression
    type: TensorType | None
    value: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Param(Node):
    """`param W: [D, hidden] = orthogonal`; `as "cell.W"` is its key, where that is not `W`."""

    name: Name
    type: TensorType
    init: Expression | None
    label: Label | None


@dataclass(frozen=True, eq=False, repr=False)
class Layer(Node):
    """`layer enc = Encoder(d)`: one instance, shared by every use."""

    name: Name
    stage: Stage


@dataclass(frozen=True, eq=False, repr=False)
class Require(Node):
    """`require depth % 6 == 2, "a CIFAR ResNet has depth 6n+2"`."""

    condition: Expression
    text: str | None


@dataclass(frozen=True, eq=False, repr=False)
class Recur(Node):
    """`recur t in 1..T { … }`; `as name`: one loop, of that name."""

    name: Name
    first: Expression
    last: Expression
    body: tuple[Statement, ...]
    label: Label | None


@dataclass(frozen=True, eq=False, repr=False)
class Return(Node):
    """`return e`."""

    value: Expression


Statement: TypeAlias = (
    Assign | Unpack | Let | Equation | Param | Layer | Default | Require | Recur | Return
)
