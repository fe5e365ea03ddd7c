"""How many nodes a stage or a block makes at least, seen without expanding it.

Products of the counts of loops, each block counted once: what would take hours is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netdsl.elaborate.builtins import BUILTINS
from netdsl.elaborate.scope import NESTING, Scope
from netdsl.elaborate.values import Block, Instance, Library, is_whole
from netdsl.errors import Span
from netdsl.op import OPS
from netdsl.syntax import (
    Assign,
    Bare,
    Binary,
    Call,
    Chain,
    Choose,
    Comprehension,
    Equation,
    Expression,
    Field,
    For,
    Group,
    Index,
    Keyword,
    Labelled,
    Literal,
    Name,
    Node,
    Recur,
    Repeat,
    Return,
    Sequence,
    Ternary,
    Unary,
    Unpack,
)


def check_room(count: int, nodes: tuple[Node, ...], scope: Scope, span: Span) -> None:
    """N323 where `count` expansions of the nodes must grow beyond the limit."""
    check_growth(count * _sum(nodes, scope), scope, span)


def check_growth(nodes: int, scope: Scope, span: Span) -> None:
    """N323 where the graph must grow beyond the limit by so many nodes."""
    run = scope.run
    if len(run.builder.graph) + nodes > run.limit:
        run.exceed(scope, span)


def least(node: Node, scope: Scope) -> int:
    """A lower bound of the nodes that one expansion makes."""
    rule = RULES.get(type(node))
    return 0 if rule is None else rule(node, scope)


def least_of(target: Block | Instance, scope: Scope) -> int:
    """The same of one use; what depends on its arguments is not known, and counts little."""
    nodes = target.definition.body if isinstance(target, Block) else (target.stage,)
    run, key = scope.run, (target.definition if isinstance(target, Block) else target.stage).span
    if key not in run.least:
        run.least[key] = 0  # inside itself
        run.counting += 1
        if run.counting <= NESTING:
            run.least[key] = _sum(nodes, target.scope)
        run.counting -= 1
    return run.least[key]


def _sum(nodes: tuple[Any, ...], scope: Scope) -> int:
    return sum([least(node, scope) for node in nodes])


def _application(node: Call | Bare, scope: Scope) -> int:
    found = scope.find(node.name.text)
    inside = 0
    if isinstance(node, Call):
        inside = _sum((*node.before, *(node.after or ())), scope)
    if found is None:
        return inside + (node.name.text in OPS and node.name.text not in BUILTINS)
    if isinstance(found.value, (Block, Instance)):
        return inside + least_of(found.value, scope)
    return inside + isinstance(found.value, Library)


def _count(node: Expression, scope: Scope) -> int:
    """How often a loop turns, where that stands there; else 0."""
    if isinstance(node, Literal):
        return node.value if is_whole(node.value) else 0  # type: ignore[return-value]
    if isinstance(node, Sequence):
        return len(node.items)
    if isinstance(node, Call) and node.name.text == "range" and len(node.before) == 1:
        return _count(node.before[0], scope) if not isinstance(node.before[0], Keyword) else 0
    if isinstance(node, Name) and (found := scope.find(node.text)) is not None:
        if is_whole(found.value):
            return int(found.value)
        return len(found.value) if isinstance(found.value, (tuple, range)) else 0
    return 0


def _branches(node: Choose | Ternary, scope: Scope) -> int:
    return min(least(node.yes, scope), least(node.no, scope))


VALUED: tuple[type[Node], ...] = (Assign, Unpack, Equation, Return)
RULES: dict[type[Node], Callable[[Any, Scope], int]] = {
    Call: _application,
    Bare: _application,
    Labelled: lambda node, scope: least(node.stage, scope),
    Group: lambda node, scope: _sum(node.stages, scope),
    For: lambda node, scope: _count(node.over, scope) * _sum(node.stages, scope),
    Repeat: lambda node, scope: _count(node.count, scope) * _sum(node.stages, scope),
    Choose: _branches,
    Chain: lambda node, scope: least(node.head, scope) + _sum(node.stages, scope),
    Ternary: _branches,
    Comprehension: lambda node, scope: _count(node.over, scope) * least(node.value, scope),
    Binary: lambda node, scope: least(node.left, scope) + least(node.right, scope),
    Unary: lambda node, scope: least(node.operand, scope),
    Sequence: lambda node, scope: _sum(node.items, scope),
    Index: lambda node, scope: least(node.base, scope),
    Field: lambda node, scope: least(node.base, scope),
    Recur: lambda node, scope: _sum(node.body, scope),
    Keyword: lambda node, scope: least(node.value, scope),
    **dict.fromkeys(VALUED, lambda node, scope: least(node.value, scope)),
}
