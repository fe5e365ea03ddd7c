"""What stands right of `=`: expressions, and the stages of chains."""

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


@dataclass(frozen=True, eq=False, repr=False)
class Name(Node):
    """A name where it is used, or where it is given."""

    text: str


@dataclass(frozen=True, eq=False, repr=False)
class Literal(Node):
    """A number, a string, true or false."""

    value: int | float | str | bool

    def _said(self) -> tuple[object, ...]:
        return type(self.value), self.value  # True is not 1


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


Stage: TypeAlias = Call | Bare | Labelled | Group | For | Repeat | Choose
Argument: TypeAlias = Union["Expression", Keyword]
Expression: TypeAlias = (
    Name
    | Literal
    | Sequence
    | Table
    | Comprehension
    | Unary
    | Binary
    | Index
    | Field
    | Ternary
    | Chain
    | Call
    | Labelled
)


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
