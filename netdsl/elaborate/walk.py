"""The walks over the syntax: `execute` a statement, `evaluate` an expression, `apply` stages.

Each kind of node has its rule, entered into a table by the file that knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from netdsl.elaborate.scope import Scope
from netdsl.elaborate.values import Bundle
from netdsl.errors import Problem
from netdsl.syntax import Expression, Node, Stage, Statement

Execution: TypeAlias = Callable[[Any, Scope], None]
Evaluation: TypeAlias = Callable[[Any, Scope], Any]
Application: TypeAlias = Callable[[Any, Any, Scope], Any]

EXECUTE: dict[type[Node], Execution] = {}
EVALUATE: dict[type[Node], Evaluation] = {}
APPLY: dict[type[Node], Application] = {}

X = TypeVar("X", bound=Execution)
E = TypeVar("E", bound=Evaluation)
A = TypeVar("A", bound=Application)


def statement(*kinds: type[Node]) -> Callable[[X], X]:
    """Enter the rule that executes such nodes in a scope."""

    def enter(rule: X) -> X:
        EXECUTE.update(dict.fromkeys(kinds, rule))
        return rule

    return enter


def expression(*kinds: type[Node]) -> Callable[[E], E]:
    """Enter the rule that evaluates such nodes in a scope."""

    def enter(rule: E) -> E:
        EVALUATE.update(dict.fromkeys(kinds, rule))
        return rule

    return enter


def stage(*kinds: type[Node]) -> Callable[[A], A]:
    """Enter the rule that applies such nodes to what the pipe carries, in a scope."""

    def enter(rule: A) -> A:
        APPLY.update(dict.fromkeys(kinds, rule))
        return rule

    return enter


def execute(node: Statement, scope: Scope) -> None:
    """Carry out a statement or an item of a file."""
    try:
        EXECUTE[type(node)](node, scope)
    except Problem as problem:
        scope.report(problem, node.span)


def evaluate(node: Expression, scope: Scope) -> Any:
    """What the expression stands for; `UNKNOWN` where that is an error, which is reported."""
    run = scope.run
    start = len(run.builder.graph) if run.trace is not None else 0
    try:
        value = EVALUATE[type(node)](node, scope)
    except Problem as problem:
        value = scope.report(problem, node.span)
    if run.trace is not None:
        run.trace.add(node, value, start)
    return value


def apply(stages: tuple[Stage, ...], value: Any, scope: Scope) -> Any:
    """The value after the stages, one after the other."""
    run = scope.run
    for node in stages:
        start = len(run.builder.graph) if run.trace is not None else 0
        try:
            piped = value.first if isinstance(value, Bundle) else value
            value = APPLY[type(node)](node, piped, scope)
        except Problem as problem:
            value = scope.report(problem, node.span)
        if run.trace is not None:
            run.trace.add(node, value, start)
    return value
