"""Using a layer of the library: its hyper-parameters to an op, its node into the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netdsl.elaborate.arguments import Arguments
from netdsl.elaborate.bounds import weigh
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import LAYERS, Bundle, describe, is_number, is_tensor
from netdsl.errors import Edit, Problem, Span
from netdsl.op import OPS, Op, Value

PATH_LENGTH = 1024  # it stands at every node, and in the keys of the state_dict


def build(
    op: type[Op],
    hypers: Mapping[str, Binding],
    scope: Scope,
    span: Span,
    tensors: tuple[Any, ...] = (),
) -> Any:
    """The op with these hyper-parameters, used at `span` on these tensors; one that it refuses is
    reported where it stands."""
    for binding in hypers.values():
        weigh(binding.value, scope, binding.span)
    given = {name: _plain(binding.value) for name, binding in hypers.items()}
    if any(value is UNKNOWN for value in given.values()):
        return UNKNOWN
    key = (op, repr(given) if given else "")
    found = scope.run.ops.get(key)
    if found is None:
        try:
            found = op.of(**given)
        except Problem as problem:
            from netdsl.elaborate.remedies import Site, refused  # needed for errors only

            place = _culprit(op, hypers, problem)
            operands = tuple(v for v in tensors if isinstance(v, Value))
            site = Site(op, operands, (), span, scope, hypers)
            return scope.report(refused(problem, site), place)
        scope.run.ops[key] = found
    return found


def _plain(value: Any) -> Any:
    """A value as an op takes it: a layer's name is a word, a range a list."""
    if isinstance(value, LAYERS):
        return value.name
    return tuple(value) if isinstance(value, range) else value


def _culprit(op: type[Op], hypers: Mapping[str, Binding], problem: Problem) -> Span:
    """The argument that the op refused: the first that is refused alone, else the last."""
    schema = op.schema()
    for name, binding in hypers.items():
        field = schema[name]
        try:
            field.metadata["kind"].coerce(_plain(binding.value), name, op)
        except Problem as alone:
            if alone.diagnostic == problem.diagnostic:
                return binding.span
    return list(hypers.values())[-1].span


def add(
    op: Op, arguments: Arguments, spans: tuple[Span, ...], path: str, scope: Scope, span: Span
) -> Any:
    """The results of the op under a path; `spans` say where the operands are, for the message."""
    scope.run.step(scope, span)
    claim(path, span, scope)
    if scope.run.recurring and op.modal and not op.random:
        raise Problem(
            "N307",
            f"`{op.name}` inside `recur` would mix the statistics of all steps",
            helps=("`ln` normalises each example alone",),
            edits=(Edit(span, "ln"),),
        )
    builder = scope.run.builder
    operands = tuple([operand(value, scope) for value in arguments.tensors])
    if any(value is UNKNOWN for value in operands):
        return UNKNOWN
    try:
        with builder.at(path, span):
            results = builder.layer(op, *operands)
    except Problem as problem:
        from netdsl.elaborate.remedies import Site, explain  # needed for errors only

        site = Site(op, operands, spans, span, scope, arguments.hypers)
        raise explain(problem, site) from None
    if len(results) == 1:
        return results[0]
    return Bundle({op.result_name(i): value for i, value in enumerate(results)})


def operand(value: Any, scope: Scope) -> Any:
    """The tensor that a value is; a number becomes a constant, what is unknown stays so."""
    if value is UNKNOWN or isinstance(value, Value):
        return value
    if is_tensor(value):
        return operand(value.first, scope)
    if not is_number(value):
        raise Problem("N113", f"a tensor is wanted here, not {describe(value)}")
    with scope.run.builder.at("", None):
        return scope.run.builder.constant(float(value))


def claim(path: str, span: Span, scope: Scope) -> None:
    """Take the path for the instance at `span`; N121 where another has it, N322 for a long one."""
    if len(path) > PATH_LENGTH:
        raise Problem("N322", f"the path of this instance has more than {PATH_LENGTH} characters")
    run = scope.run
    if run.exploring:  # both branches of a choice may have one name
        return
    before = run.instances.setdefault(path, span)
    if before is not span and not run.sharing:
        raise Problem(
            "N121",
            f"two instances are called `{path}`",
            others=((before, "the first"),),
            helps=("another label, `as name`, tells them apart",),
        )


def infix(
    name: str, left: Any, right: tuple[Any, ...], spans: tuple[Span, ...], scope: Scope, span: Span
) -> Any:
    """The node of an operator between tensors, `a + b`."""
    op = OPS.get(name)
    if op is None:
        raise Problem("N101", f"this version has no operator `{name}` for tensors")
    path = scope.implied(name, span, operator=True)
    made = build(op, {}, scope, span)
    return add(made, Arguments((left, *right), {}), spans, path, scope, span)
