"""Statements of a body: each gives a name its value, once, or says something about the net."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from netdsl.elaborate.binding import known_type
from netdsl.elaborate.blocks import RETURN
from netdsl.elaborate.calls import resolve
from netdsl.elaborate.facts import learn
from netdsl.elaborate.layers import claim
from netdsl.elaborate.numbers import truth
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.signature import of_definition, of_op
from netdsl.elaborate.stages import label_text
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import (
    LAYERS,
    Block,
    Bundle,
    Instance,
    Library,
    are_tensors,
    describe,
    is_number,
    is_tensor,
    is_whole,
    show,
)
from netdsl.elaborate.walk import evaluate, statement
from netdsl.errors import Diagnostics, Edit, Problem
from netdsl.initial import Init, Initial, weight_init
from netdsl.op import Param as Owned
from netdsl.op import Type
from netdsl.sizes import Poly
from netdsl.syntax import (
    Assign,
    Default,
    Equation,
    Keyword,
    Labelled,
    Layer,
    Let,
    Name,
    Param,
    Require,
    Return,
    Unpack,
    names_in,
)

TRIED = 12  # values on either side of one that a `require` refuses


@statement(Assign)
def _assign(node: Assign, scope: Scope) -> None:
    value = evaluate(node.value, scope)
    if isinstance(value, LAYERS):
        problem = Problem(
            "N112",
            f"`{value}` is a layer, and `=` names a tensor",
            helps=(f"`let {node.name.text} = {value}` names a layer",),
        )
        value = scope.report(problem, node.value.span)
    scope.define(node.name, value)


@statement(Unpack)
def _unpack(node: Unpack, scope: Scope) -> None:
    value = evaluate(node.value, scope)
    parts: list[Any] = [UNKNOWN] * len(node.names)
    if value is not UNKNOWN:
        found = _parts(value)
        if len(found) == len(parts):
            parts = list(found.values())
        else:
            listed = f" ({', '.join(found)})" if isinstance(value, Bundle) else ""
            names = node.names[0].span.to(node.names[-1].span)
            problem = Problem("N114", f"{len(parts)} names for {len(found)} results{listed}")
            if edit := _as_many(node, len(found)):
                helps = (f"write `{edit.text} = …`",)
                problem = Problem("N114", problem.args[0], helps=helps, edits=(edit,))
            scope.report(problem, names)
    for name, part in zip(node.names, parts, strict=True):
        if name.text != "_":
            scope.define(name, part)


def _as_many(node: Unpack, count: int) -> Edit | None:
    """The names, as many as there are results: `_` for those that are missing."""
    if count == 0:
        return None
    texts = [name.text for name in node.names[:count]] + ["_"] * (count - len(node.names))
    return Edit(node.names[0].span.to(node.names[-1].span), ", ".join(texts))


def _parts(value: Any) -> dict[str, Any]:
    """What can be unpacked from a value, by name."""
    if isinstance(value, Bundle):
        return dict(value.results)
    if isinstance(value, tuple):
        return {str(i): part for i, part in enumerate(value)}
    return {"y": value}


@statement(Let)
def _let(node: Let, scope: Scope) -> None:
    value = evaluate(node.value, scope)
    if is_tensor(value) or are_tensors(value):
        problem = Problem(
            "N112",
            f"`let` names a value of compile time, but this is {describe(value)}",
            helps=(f"write `{node.name.text} = {node.value.span.text}`",),
        )
        value = scope.report(problem, node.value.span)
    scope.define(node.name, value)


@statement(Param)
def _param(node: Param, scope: Scope) -> None:
    try:
        value = _parameter(node, scope)
    except Problem as problem:
        value = scope.report(problem, (node.label or node).span)
    scope.define(node.name, value)


def _parameter(node: Param, scope: Scope) -> Any:
    type = known_type(node.type, scope)
    init = "torch" if node.init is None else evaluate(node.init, scope)
    if type is UNKNOWN or init is UNKNOWN:
        return UNKNOWN
    for size, written in zip(type.shape, node.type.sizes, strict=True):
        if isinstance(size, Poly):
            problem = Problem(
                "N210",
                f"the parameter `{node.name.text}` would have the symbolic size {size}",
                helps=("a number for the size in the signature makes it fixed",),
            )
            return scope.report(problem, written.span)
    if node.label is not None and node.label.numbered:
        raise Problem("N123", "`[]` numbers stages, and a parameter has none")
    label = node.name.text if node.label is None else label_text(node.label, scope)
    key = scope.space.labelled(label)
    claim(key, node.name.span, scope)
    path, _, name = key.rpartition(".")
    owned = Owned(name, type.shape, _distribution(init, type, scope), dtype=type.dtype)
    with scope.run.builder.at(path, node.span):
        return scope.run.builder.parameter(owned)


def _distribution(init: Any, type: Type, scope: Scope) -> Init:
    """The initial distribution; fan in is over all axes but the last, as in `x @ W`."""
    word = str(init) if isinstance(init, LAYERS) else init
    accepted = Initial().coerce(word, "the initial value", None)
    fan_in = math.prod([s for s in type.shape[:-1] if isinstance(s, int)])
    fan_out = type.shape[-1] if type.shape and isinstance(type.shape[-1], int) else 1
    return weight_init(accepted, fan_in if type.rank > 1 else fan_out, fan_out)


@statement(Layer)
def _layer(node: Layer, scope: Scope) -> None:
    stage, label, numbered = node.stage, node.name.text, False
    if isinstance(stage, Labelled):
        label, numbered = label_text(stage.label, scope), stage.label.numbered
        stage = stage.stage
    path = scope.space.labelled(label)
    scope.define(node.name, Instance(node.name.text, stage, scope, path, numbered))


@statement(Default)
def _default(node: Default, scope: Scope) -> None:
    target = resolve(node.call.name, scope)
    if not isinstance(target, (Library, Block)):
        raise Problem("N112", f"`default` is for layers and blocks, not for {show(target)}")
    if isinstance(target, Library):
        key: object = target.op
        signature = of_op(target.op.name)
    else:
        key = target.definition.span
        signature = of_definition(target.definition, target.name)
    given: dict[str, Binding] = {}
    for argument in (*node.call.before, *(node.call.after or ())):
        if not isinstance(argument, Keyword):
            problem = Problem("N104", "`default` gives hyper-parameters by name: `name=value`")
            scope.report(problem, argument.span)
        elif argument.name.text not in signature.hypers:
            from netdsl.elaborate.hypers import unknown  # needed for errors only

            problem = unknown(signature, argument.name.text, argument.span, node.call.span)
            scope.report(problem, argument.span)
        else:
            given[argument.name.text] = Binding(evaluate(argument.value, scope), argument.span)
    scope.defaults[key] = {**scope.defaults.get(key, {}), **given}


@statement(Require)
def _require(node: Require, scope: Scope) -> None:
    learn(node.condition, scope)
    value = evaluate(node.condition, scope)
    if value is UNKNOWN or truth(value, "what `require` demands"):
        return
    bound = {n.text: scope.find(n.text) for n in names_in(node.condition)}
    notes = tuple(
        f"{name} = {show(b.value)}"
        for name, b in bound.items()
        if b is not None and (is_number(b.value) or isinstance(b.value, (bool, str, Poly)))
    )
    message = node.text or f"`{node.condition.span.text}` does not hold"
    near = _near(node, scope)
    raise Problem(
        "N140",
        message,
        label="required here",
        notes=notes,
        helps=(f"it would hold for {near[0]} = {near[1].text}",) if near else (),
        edits=near[1:] if near else (),
    )


def _near(node: Require, scope: Scope) -> tuple[str, Edit] | None:
    """The nearest value of a number in the condition that makes it true, put where it is given."""
    for name in names_in(node.condition):
        found = scope.find(name.text)
        if found is None or found.origin is None or not is_whole(found.value):
            continue
        for step in sorted(range(-TRIED, TRIED + 1), key=abs):
            changed = found.value + step
            inner = scope.inner({name.text: Binding(changed, found.span)})
            inner.run = replace(scope.run, found=Diagnostics())
            if changed > 0 and evaluate(node.condition, inner) is True:
                return name.text, Edit(found.origin, str(changed))
    return None


@statement(Return)
def _return(node: Return, scope: Scope) -> None:
    name = Name(node.value.span, 1, RETURN)
    if RETURN in scope.names:
        first = scope.names[RETURN].span
        problem = Problem("N120", "a body returns once", others=((first, "the first `return`"),))
        scope.report(problem, node.span)
    else:
        scope.define(name, evaluate(node.value, scope))


@statement(Equation)
def _equation(node: Equation, scope: Scope) -> None:
    scope.names.setdefault(node.name.text, Binding(UNKNOWN, node.name.span))
    raise Problem(
        "N302", f"`{node.name.text}[{node.index.span.text}] = …` stands inside `recur` only"
    )
