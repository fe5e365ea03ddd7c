"""Indices of tensors: `x[t]` inside a recurrence, `h[T]`, `h[n]` and `h[1]` behind it."""

from __future__ import annotations

from typing import Any

from netdsl.elaborate.ends import End
from netdsl.elaborate.recurrence import Read, Sequence, Step
from netdsl.elaborate.scope import Scope
from netdsl.elaborate.values import is_whole
from netdsl.errors import Edit, Problem, Span
from netdsl.op import Value
from netdsl.ops.lengths import LastStep
from netdsl.ops.pieces import Slice
from netdsl.ops.shape import Reshape
from netdsl.sizes import Poly, Size
from netdsl.syntax import Index


def read_sequence(x: Value, step: Step, node: Index) -> Value:
    """`x[t+k]` of a tensor from outside: what axis 1 has there."""
    recurrence, text = step.of, node.span.text
    if x.type.rank < 2:
        raise Problem(
            "N305",
            f"`{text}` slices along axis 1, but {x.type} has no such axis",
            helps=("time is axis 1 of `[N, T, …]`",),
        )
    if recurrence.lengths is None:
        _check_range(x, step, node)
    else:
        _check_lengths(x, step, node)
    shape = (x.type.shape[0], *x.type.shape[2:])
    return recurrence.read(Read(x, step.offset), x.type.with_shape(*shape), node.span)


def _check_range(x: Value, step: Step, node: Index) -> None:
    """N305 where a sequence is read before its first step or behind its last."""
    recurrence, text = step.of, node.span.text
    assert not isinstance(recurrence.last, End)
    begin = recurrence.first + step.offset
    if begin < 1:
        raise Problem(
            "N305",
            f"`{text}` reads before the first step of `{node.base.span.text}`",
            label=f"at {recurrence.name} = {recurrence.first} this is step {begin}",
            helps=(f"`recur {recurrence.name} in {1 - step.offset}..` starts late enough",),
        )
    end, length = recurrence.last + step.offset, x.type.shape[1]
    spare = length - end
    if isinstance(spare, Poly) or spare < 0:
        raise Problem(
            "N305",
            f"`{text}` reads up to step {end}, but {x.type} has {length} steps",
            label=f"axis 1: {length} and {end}",
            others=((recurrence.node.first.span.to(recurrence.node.last.span), "the steps"),),
            helps=("time is axis 1 of `[N, T, …]`; one name for both sizes makes them equal",),
        )


def _check_lengths(x: Value, step: Step, node: Index) -> None:
    """N305 where a sequence is read at another step than this one, or has other steps or examples
    than those that the recurrence counts."""
    recurrence, text, base = step.of, node.span.text, node.base.span.text
    lengths = recurrence.lengths
    assert lengths is not None
    if step.offset != 0:
        place = "before the first step" if step.offset < 0 else "behind the last step"
        start = recurrence.index(step.offset)
        raise Problem(
            "N305",
            f"`{text}` reads {place} of an example",
            helps=(
                f"a state may: `s[{start}]: … = 0` is there, `s[{recurrence.name}] = "
                f"{base}[{recurrence.name}]` otherwise, and `s[{step}]` reads it",
            ),
        )
    if x.type.shape[0] != lengths.type.shape[0]:
        raise Problem(
            "N305",
            f"`{text}` is of {x.type.shape[0]} examples, and `{recurrence.last}` are the lengths "
            f"of {lengths.type.shape[0]}",
            helps=("the batch is axis 0 of both, `[N, T, …]` and `int[N]`",),
        )
    if recurrence.read_first is None:
        recurrence.read_first = x, node.base.span
    before, span = recurrence.read_first
    if before.type.shape[1] != x.type.shape[1]:
        raise Problem(
            "N305",
            f"`{base}` has {x.type.shape[1]} steps, and `{span.text}` has {before.type.shape[1]}",
            label=f"axis 1: {x.type.shape[1]} and {before.type.shape[1]}",
            others=((span, f"{before.type}"),),
            helps=("what is read in one `recur` is padded alike: one name for both sizes",),
        )


def step_name(scope: Scope) -> str | None:
    """The name of the step of the recurrence that is read here: `t`."""
    inner: Scope | None = scope
    while inner is not None:
        for name, binding in inner.names.items():
            if isinstance(binding.value, Step):
                return name
        inner = inner.parent
    return None


def outside(node: Index) -> Problem:
    """N302: `h[t]` where there is no `t`."""
    base = node.base.span.text
    return Problem(
        "N302",
        f"`{node.span.text}` stands inside `recur` only",
        helps=(f"behind it `{base}` is the whole sequence, and `{base}[T]` its last step",),
    )


def read_end(value: Value, index: Any, node: Index, scope: Scope) -> Value:
    """`h[T]`, `h[1]` behind the recurrence that made h, and `h[0]`, its start value."""
    known: Sequence | None = scope.run.sequences.get(value)
    if known is None:
        raise Problem(
            "N302",
            "a tensor has indices inside `recur` only",
            helps=("`slice(axis, from, to)` takes a part of it",),
        )
    recurrence = known.of
    first, last = recurrence.first, recurrence.last
    number = is_whole(index) or isinstance(index, (Poly, End))
    start = known.state.starts.get(recurrence.distance(index) or 0) if number else None
    if start is not None:
        found, _ = start
        return found
    if index != first and index != last:
        raise Problem(
            "N302",
            f"`{node.span.text}`: behind `recur` a sequence has its first step, `[{first}]`, and "
            f"its last, `[{last}]`",
            helps=("`slice(axis, from, to)` takes a part of it",)
            if recurrence.lengths is None
            else (f"each example ends at its own step: `{node.base.span.text}[{last}]`",),
        )
    if known.backward and index == last != first:
        _lint_last(node, first, scope)
    if isinstance(index, End):
        with scope.run.builder.at(scope.space.operator("last_step"), node.span):
            return scope.run.builder(LastStep(), value, index.lengths)
    return _pick(value, index - first, node.span, scope)


def _lint_last(node: Index, first: int, scope: Scope) -> None:
    base = node.base.span.text
    problem = Problem(
        "W404",
        f"`{base}` runs backward: `{node.span.text}` is its first value, which saw one step only",
        helps=(f"`{base}[{first}]` has seen them all",),
        edits=(Edit(node.index.span, str(first)),),
        sure=True,
    )
    scope.report(problem, node.span)


def _pick(value: Value, place: Size, span: Span, scope: Scope) -> Value:
    """Step number `place`, from 0, of a sequence."""
    builder, shape = scope.run.builder, value.type.shape
    with builder.at(scope.space.operator("slice"), span):
        one = builder(Slice(1, place, place + 1), value)
    with builder.at(scope.space.operator("reshape"), span):
        return builder(Reshape((shape[0], *shape[2:])), one)
