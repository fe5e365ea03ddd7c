"""The syntax tree of a .net file: frozen dataclasses, each with its `Span`; nothing is resolved.

Two trees are equal when they say the same, wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TypeAlias, Union

from netdsl.errors import Span


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """Something written: where, and how deep the tree below it is (1: a leaf)."""

    span: Span
    depth: int

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._said() == other._said()

    def __hash__(self) -> int:
        return hash((type(self), self._said()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._said()))})"

    def _said(self) -> tuple[object, ...]:
        return tuple([getattr(self, f.name) for f in fields(self)[2:]])


# ---- a file


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
class Let(Node):
    """`let n = depths[depth]`: a name for a value of compile time; in a file or a block."""

    name: Name
    value: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Default(Node):
    """`default conv(bias=false)`; in a file or a block."""

    call: Call


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


# ---- statements of a body


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
    """`param W: [D, hidden] = orthogonal`."""

    name: Name
    type: TensorType
    init: Expression | None


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
    """`recur t in 1..T { … }`."""

    name: Name
    first: Expression
    last: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Return(Node):
    """`return e`."""

    value: Expression


# ---- expressions


@dataclass(frozen=True, eq=False, repr=False)
class Name(Node):
    """A name where it is used, or where it is given."""

    text: str


@dataclass(frozen=True, eq=False, repr=False)
class Literal(Node):
    """A number, a string, true or false."""

    value: int | float | str | bool


@dataclass(frozen=True, eq=False, repr=False)
class Sequence(Node):
    """`(1, 64)` or, in brackets, `[3, 4, 6, 3]`."""

    items: tuple[Expression, ...]
    brackets: bool


@dataclass(frozen=True, eq=False, repr=False)
class Table(Node):
    """`{ 50: [3, 4, 6, 3], 101: [3, 4, 23, 3] }`."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Pair(Node):
    """`50: [3, 4, 6, 3]` of a table."""

    key: Expression
    value: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Target(Node):
    """The name or, in parentheses, the names that a `for` binds."""

    names: tuple[Name, ...]
    several: bool


@dataclass(frozen=True, eq=False, repr=False)
class Comprehension(Node):
    """`[value for target in over]`."""

    value: Expression
    target: Target
    over: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Unary(Node):
    """`-x`, `not x`."""

    operator: str
    operand: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Binary(Node):
    """`left operator right`, of arithmetic, comparison or logic."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Index(Node):
    """`depths[depth]`, `h[t-1]`."""

    base: Expression
    index: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Field(Node):
    """`v.c`: an output by name."""

    base: Expression
    name: Name


@dataclass(frozen=True, eq=False, repr=False)
class Ternary(Node):
    """`if condition then yes else no`."""

    condition: Expression
    yes: Expression
    no: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Chain(Node):
    """`head -> stage -> stage`."""

    head: Expression
    stages: tuple[Stage, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Keyword(Node):
    """`stride=2` among arguments."""

    name: Name
    value: Expression


@dataclass(frozen=True, eq=False, repr=False)
class Call(Node):
    """`conv(x; 64, 3)`: the arguments before the semicolon, and after it (None: no semicolon)."""

    name: Name
    before: tuple[Argument, ...]
    after: tuple[Argument, ...] | None


# ---- stages of a chain (a `Call` is one too)


@dataclass(frozen=True, eq=False, repr=False)
class Bare(Node):
    """`relu`: a layer without arguments."""

    name: Name


@dataclass(frozen=True, eq=False, repr=False)
class Label(Node):
    """`as fc`, `as features[]` (numbered), `as "denselayer{i}"` (a template)."""

    text: str
    template: bool
    numbered: bool


@dataclass(frozen=True, eq=False, repr=False)
class Labelled(Node):
    """`stage as label`; also a call outside of a chain."""

    stage: Stage
    label: Label


@dataclass(frozen=True, eq=False, repr=False)
class Group(Node):
    """`(stage -> stage)`."""

    stages: tuple[Stage, ...]


@dataclass(frozen=True, eq=False, repr=False)
class For(Node):
    """`for i in range(3) { stage -> stage }`."""

    target: Target
    over: Expression
    stages: tuple[Stage, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Repeat(Node):
    """`repeat 2 { stage -> stage }`."""

    count: Expression
    stages: tuple[Stage, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Choose(Node):
    """`if condition then stages else stages`, inside parentheses or braces."""

    condition: Expression
    yes: Group
    no: Group


Item: TypeAlias = Union[Import, Let, Default, Extern, Alias, Definition]
Statement: TypeAlias = Union[
    Assign, Unpack, Let, Equation, Param, Layer, Default, Require, Recur, Return
]
Stage: TypeAlias = Union[Call, Bare, Labelled, Group, For, Repeat, Choose]
Argument: TypeAlias = Union["Expression", Keyword]
Expression: TypeAlias = Union[
    Name,
    Literal,
    Sequence,
    Table,
    Comprehension,
    Unary,
    Binary,
    Index,
    Field,
    Ternary,
    Chain,
    Call,
    Labelled,
]

STATEMENTS = Statement.__args__
STAGES = Stage.__args__
EXPRESSIONS = Expression.__args__


def names_in(node: Node) -> Iterator[Name]:
    """Every name used in a node, in the order of the text."""
    pending: list[object] = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, Name):
            yield item
        elif isinstance(item, Node):
            pending += [getattr(item, f.name) for f in reversed(fields(item))]
        elif isinstance(item, tuple):
            pending += reversed(item)
