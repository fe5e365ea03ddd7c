"""Stages of a chain: layers, groups, loops, choices, and the labels that name them."""

from __future__ import annotations

import re
from typing import Any

from netdsl.elaborate.arguments import NO_PIPE
from netdsl.elaborate.bounds import weigh
from netdsl.elaborate.calls import place, use
from netdsl.elaborate.least import check_growth, check_room
from netdsl.elaborate.naming import inside
from netdsl.elaborate.numbers import truth
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import LAYERS, describe, is_number, is_tensor, is_whole, show
from netdsl.elaborate.walk import apply, evaluate, expression, stage
from netdsl.errors import Edit, Problem, Span
from netdsl.parser import parse_expression
from netdsl.syntax import (
    Bare,
    Call,
    Chain,
    Choose,
    Comprehension,
    Expression,
    For,
    Group,
    Label,
    Labelled,
    Repeat,
    Target,
)


@expression(Chain)
def _chain(node: Chain, scope: Scope) -> Any:
    value = evaluate(node.head, scope)
    if isinstance(value, LAYERS):
        value = scope.report(_starts_with_a_layer(node, value, scope), node.head.span)
    elif value is not UNKNOWN and not is_tensor(value):
        problem = Problem("N113", f"a pipe carries a tensor, not {describe(value)}")
        value = scope.report(problem, node.head.span)
    return apply(node.stages, value, scope)


def _starts_with_a_layer(node: Chain, layer: Any, scope: Scope) -> Problem:
    """`relu -> x`, or layers in a row without a tensor."""
    message = f"`{layer}` is a layer, not a tensor"
    first = node.stages[0]
    found = scope.find(first.name.text) if isinstance(first, (Bare, Call)) else None
    if isinstance(first, (Bare, Call)) and found is not None and is_tensor(found.value):
        name, head = first.name.span, node.head.span
        swapped = (Edit(head, name.text), Edit(name, head.text))
        help = f"the tensor comes first: `{name.text} -> {head.text}`"
        return Problem("N111", message, helps=(help,), edits=swapped, sure=True)
    help = "a chain starts with a tensor: `x -> …`; layers in a row are `(a -> b)`"
    return Problem("N111", message, helps=(help,))


@stage(Call, Bare)
def _layer(node: Call | Bare, piped: Any, scope: Scope) -> Any:
    return use(node, piped, scope)


@stage(Labelled)
def _labelled(node: Labelled, piped: Any, scope: Scope) -> Any:
    path = scope.space.labelled(label_text(node.label, scope))
    return place(node.stage, piped, scope, path, node.label.numbered)


@expression(Labelled)
def _labelled_call(node: Labelled, scope: Scope) -> Any:
    assert isinstance(node.stage, Call)
    path = scope.space.labelled(label_text(node.label, scope))
    if node.label.numbered:
        return use(node.stage, NO_PIPE, scope.under(inside(path, True)))
    return use(node.stage, NO_PIPE, scope, path)


@stage(Group)
def _group(node: Group, piped: Any, scope: Scope) -> Any:
    return apply(node.stages, piped, scope)


@stage(For)
def _for(node: For, piped: Any, scope: Scope) -> Any:
    elements = _elements(node.over, scope)
    if elements is UNKNOWN:
        if scope.run.exploring:
            apply(node.stages, UNKNOWN, scope.inner(_unknown(node.target)))
        return UNKNOWN
    check_room(len(elements), node.stages, scope, node.span)
    for element in elements:
        scope.run.turn(scope, node.span, node.span)
        inner = scope.inner(bound(node.target, element))
        piped = apply(node.stages, piped, inner)
    return piped


@stage(Repeat)
def _repeat(node: Repeat, piped: Any, scope: Scope) -> Any:
    count = evaluate(node.count, scope)
    if count is UNKNOWN:
        if scope.run.exploring:
            apply(node.stages, UNKNOWN, scope)
        return UNKNOWN
    if not is_whole(count) or count < 0:
        problem = Problem("N143", f"`repeat` takes a whole number from 0, not {describe(count)}")
        return scope.report(problem, node.count.span)
    check_room(count, node.stages, scope, node.span)
    graph = scope.run.builder.graph
    for i in range(count):
        scope.run.turn(scope, node.span, node.span)
        before = len(graph)
        piped = apply(node.stages, piped, scope)
        if i == 1:  # further turns make as many; the first may make what they share
            check_growth((count - 2) * (len(graph) - before), scope, node.span)
    return piped


@stage(Choose)
def _choose(node: Choose, piped: Any, scope: Scope) -> Any:
    condition = evaluate(node.condition, scope)
    if condition is UNKNOWN:
        if scope.run.exploring:
            apply(node.yes.stages, UNKNOWN, scope)
            apply(node.no.stages, UNKNOWN, scope)
        return UNKNOWN
    branch = node.yes if truth(condition, "the condition of `if`") else node.no
    return apply(branch.stages, piped, scope)


@expression(Comprehension)
def _comprehension(node: Comprehension, scope: Scope) -> Any:
    elements = _elements(node.over, scope)
    if elements is UNKNOWN:
        if scope.run.exploring:
            evaluate(node.value, scope.inner(_unknown(node.target)))
        return UNKNOWN
    found = []
    for element in elements:
        scope.run.turn(scope, node.span, node.span)
        found.append(evaluate(node.value, scope.inner(bound(node.target, element))))
    if any(value is UNKNOWN for value in found):
        return UNKNOWN
    weigh(tuple(found), scope, node.span)
    return tuple(found)


def _elements(node: Expression, scope: Scope) -> Any:
    """What a loop runs over."""
    value = evaluate(node, scope)
    if value is UNKNOWN or isinstance(value, (tuple, range)):
        return value
    message = f"a loop runs over a list, not over {describe(value)}"
    problem = Problem("N143", message)
    if is_whole(value):
        help = f"`range({show(value)})` counts from 0 to {value - 1}"
        edits = (Edit(node.span, f"range({node.span.text})"),)
        problem = Problem("N143", message, helps=(help,), edits=edits, sure=True)
    return scope.report(problem, node.span)


def bound(target: Target, element: Any) -> dict[str, Binding]:
    """The names of a loop with their values in one turn."""
    names = target.names
    if not target.several:
        return {names[0].text: Binding(element, names[0].span)}
    if not isinstance(element, tuple) or len(element) != len(names):
        raise Problem(
            "N143",
            f"the loop has {len(names)} names, and an element is {describe(element)}",
        )
    return {n.text: Binding(v, n.span) for n, v in zip(names, element, strict=True)}


def _unknown(target: Target) -> dict[str, Binding]:
    """The names of a loop, its elements not being known."""
    return {name.text: Binding(UNKNOWN, name.span) for name in target.names}


_BRACES = re.compile(r"\{([^{}]*)\}")


def label_text(label: Label, scope: Scope) -> str:
    """The label, its `{expr}` parts evaluated."""
    if not label.template:
        return label.text
    start = label.span.start + 1

    def value(match: re.Match[str]) -> str:
        span = Span(label.span.source, start + match.start(1), start + match.end(1))
        templates = scope.run.templates
        if span not in templates:
            templates[span] = parse_expression(span, scope.run.found)
        parsed = templates[span]
        found = UNKNOWN if parsed is None else evaluate(parsed, scope)
        if found is UNKNOWN:
            return "unknown"
        if not (is_number(found) or isinstance(found, str)):
            raise Problem("N123", f"a name is made of numbers and words, not of {describe(found)}")
        return str(found)

    return _BRACES.sub(value, label.text)
