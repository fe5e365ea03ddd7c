"""Instantiating a block or net: its hyper-parameters and sizes bind, its body is executed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netdsl.elaborate.arguments import Arguments
from netdsl.elaborate.binding import known_type, match
from netdsl.elaborate.layers import operand
from netdsl.elaborate.least import check_growth, least_of
from netdsl.elaborate.naming import inside
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import (
    LAYERS,
    Block,
    Bundle,
    Foreign,
    Library,
    describe,
    is_number,
    is_tensor,
    show,
)
from netdsl.elaborate.walk import evaluate, execute
from netdsl.errors import Frame, Problem, Span
from netdsl.op import OPS, Value
from netdsl.supplied import Supplied
from netdsl.syntax import Definition, Extern, Hyper, Out

INSTANCE = 4  # steps that an instantiation takes beside those of its text
RETURN = "return"  # what a body returns is kept under this name, which no file can give


def instantiate(block: Block, given: Arguments, path: str, caller: Scope, span: Span) -> Any:
    """The outputs of a new instance of the block: a tensor, or a `Bundle` of named ones."""
    definition = block.definition
    caller.run.step(caller, span, INSTANCE)
    caller.run.turn(caller, span, definition.span)
    check_growth(least_of(block, caller), caller, span)
    if any(value is UNKNOWN for value in given.tensors):  # once is enough for the errors in it
        if definition.span in caller.run.explored:
            return UNKNOWN
        caller.run.explored.add(definition.span)
    stack = (Frame(block.name, span), *caller.stack)
    scope = Scope(caller.run, block.scope, inside(path), stack)
    bind_hypers(definition, given.hypers, scope, caller)
    for tensor, value in zip(definition.tensors, given.tensors, strict=True):
        actual = operand(value, caller)
        if tensor.type is not None:
            try:
                match(tensor.type, actual, f"`{tensor.name.text}` of `{block.name}`", scope)
            except Problem as problem:
                assert isinstance(actual, Value)  # what is unknown fits
                from netdsl.elaborate.remedies.images import misfit  # needed for errors only

                raise misfit(problem, tensor.type, actual, caller) from None
        scope.define(tensor.name, actual)
    with caller.run.nested():
        return run(definition, scope)


def call_extern(target: Foreign, given: Arguments, path: str, caller: Scope, span: Span) -> Any:
    """The results of an op that Python supplies, of the types that its declaration gives."""
    if any(value is UNKNOWN for value in given.tensors):
        return UNKNOWN
    declared = target.declared
    scope = Scope(caller.run, target.scope, inside(path), (Frame(target.name, span), *caller.stack))
    bind_hypers(declared, given.hypers, scope, caller)
    operands = [operand(value, caller) for value in given.tensors]
    if any(value is UNKNOWN for value in operands):
        return UNKNOWN
    for tensor, value in zip(declared.tensors, operands, strict=True):
        if tensor.type is not None:
            match(tensor.type, value, f"`{tensor.name.text}` of `{target.name}`", scope)
    types = [known_type(out.type, scope) for out in declared.outputs]
    hypers = {h.name.text: scope.names[h.name.text].value for h in declared.hypers}
    if any(value is UNKNOWN for value in (*types, *hypers.values())):
        return UNKNOWN
    names = tuple(out.name.text if out.name else "y" for out in declared.outputs)
    op = Supplied(
        target.name,
        tuple(hypers.items()),
        tuple(value.type for value in operands),
        tuple(types),
        names,
        path,
    )
    with caller.run.builder.at(path, span):
        results = caller.run.builder.all(op, *operands)
    if declared.outputs[0].name is None:
        return results[0]
    return Bundle(dict(zip(names, results, strict=True)))


def run(definition: Definition, scope: Scope) -> Any:
    """Execute the body; its outputs."""
    for statement in definition.body:
        execute(statement, scope)
    if definition.outputs and definition.outputs[0].name is not None:
        return Bundle({out.name.text: _named(out, scope) for out in definition.outputs if out.name})
    found = scope.names.get(RETURN)
    if found is None:
        from netdsl.elaborate import outputs  # needed for errors only

        return scope.report(*outputs.nothing_returned(definition))
    declared = definition.outputs[0] if definition.outputs else None
    return _checked(found, declared, "the output", scope)


def _named(out: Out, scope: Scope) -> Any:
    assert out.name is not None
    found = scope.names.get(out.name.text)
    if RETURN in scope.names:
        problem = Problem("N131", "a body with named outputs assigns them and returns nothing")
        return scope.report(problem, scope.names[RETURN].span)
    if found is None:
        from netdsl.elaborate import outputs  # needed for errors only

        return scope.report(*outputs.never_assigned(out.name, scope))
    if found.value is None:
        return None
    return _checked(found, out, f"the output `{out.name.text}`", scope)


def _checked(found: Binding, declared: Out | None, what: str, scope: Scope) -> Any:
    """An output as one tensor, of the declared type."""
    value = found.value
    if value is UNKNOWN:
        return UNKNOWN
    try:
        if not is_tensor(value):
            raise Problem("N112", f"{what} is a tensor, not {describe(value)}")
        tensor = value.first if isinstance(value, Bundle) else value
        if declared is not None:
            match(declared.type, tensor, what, scope)
    except Problem as problem:
        if declared is not None and is_tensor(value):
            from netdsl.elaborate import outputs  # needed for errors only

            problem = outputs.misdeclared(problem, declared.type, operand(value, scope), scope)
        return scope.report(problem, found.span)
    return tensor


def bind_hypers(
    definition: Definition | Extern, given: Mapping[str, Binding], scope: Scope, caller: Scope
) -> None:
    """Give each hyper-parameter its value: what is given, else its default."""
    for hyper in definition.hypers:
        binding = given.get(hyper.name.text)
        origin = hyper.default.span if hyper.default is not None else None
        if hyper.default is None:
            value = UNKNOWN if binding is None else binding.value
        else:
            value = evaluate(hyper.default, scope)
            if binding is not None:
                value = _alike(hyper, binding, value, caller)
        if binding is not None:
            origin = binding.origin
        scope.define(hyper.name, value, origin)


def _alike(hyper: Hyper, given: Binding, default: Any, caller: Scope) -> Any:
    """The value given, where it is of the default's kind; N106 where it is not."""
    value = given.value
    if isinstance(default, LAYERS) and isinstance(value, str) and value in OPS:
        value = Library(OPS[value])  # a word from outside: -D act=gelu
    if value is UNKNOWN or default is UNKNOWN or _fits(value, default):
        return value
    problem = Problem(
        "N106",
        f"`{hyper.name.text}` is {_kind(default)}, not {show(value)}",
        notes=(f"its default is {show(default)}",),
    )
    return caller.report(problem, given.span)


def _fits(value: Any, default: Any) -> bool:
    if default is None or isinstance(default, str):
        return not is_tensor(value)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, LAYERS):
        return value is None or isinstance(value, (str, *LAYERS))
    if is_number(default):
        return value is not None and not isinstance(value, (str, Value, *LAYERS))
    return isinstance(value, (type(default), tuple, range))


def _kind(default: Any) -> str:
    if isinstance(default, bool):
        return "true or false"
    if is_number(default):
        return "a number"
    return "a layer" if isinstance(default, LAYERS) else "a list"
