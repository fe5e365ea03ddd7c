"""The values of a recurrence while its equations are read (language.md §9).

`t` is a `Step`, `h` a `State`: what the equations read of earlier, later and other sequences' steps
stands in the graph as an input of role `step`, until loops.py makes the loops.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from netdsl.elaborate.scope import Scope
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import describe, is_whole
from netdsl.errors import Edit, Problem, Span
from netdsl.ir import Input
from netdsl.op import Type, Value
from netdsl.ops.pieces import Slice
from netdsl.ops.shape import Reshape
from netdsl.sizes import Poly, Size
from netdsl.syntax import Equation, Index, Recur


@dataclass(frozen=True)
class Read:
    """What stands for one step of a sequence: of `base`, a tensor or a state, `offset` steps on."""

    base: Value | State
    offset: int


@dataclass(eq=False)
class Recurrence:
    """One `recur name in first..last` that is being read; `reads` has what stands for steps."""

    name: str
    first: int
    last: Size
    node: Recur
    scope: Scope
    states: dict[str, State] = field(default_factory=dict)
    reads: dict[Read, Value] = field(default_factory=dict)

    @property
    def steps(self) -> Size:
        return self.last - (self.first - 1)

    def read(self, what: Read, type: Type, span: Span) -> Value:
        """The input that stands for one step, the same at each use."""
        if what not in self.reads:
            builder = self.scope.run.builder
            with builder.at("", span):
                self.reads[what] = builder(Input(type, f"#step{len(builder.graph)}", "step"))
        return self.reads[what]

    def distance(self, index: Any) -> int | None:
        """How far outside of the range an index is: -1 for `h[0]`, 1 for `h[T+1]`; None: inside, or
        unknown."""
        if isinstance(before := index - self.first, int) and before < 0:
            return before
        if isinstance(behind := index - self.last, int) and behind > 0:
            return behind
        return None

    def index(self, distance: int) -> str:
        """The index that is so far outside, as text."""
        return str(self.first + distance if distance < 0 else self.last + distance)


@dataclass(frozen=True)
class Step:
    """The value of `t`, `t - 1`, `t + 2` inside a recurrence."""

    of: Recurrence
    offset: int = 0

    def __str__(self) -> str:
        return step_text(self.of.name, self.offset)


@dataclass(eq=False)
class State:
    """A name that equations of a recurrence define step by step: its start values by their
    distance, and its value at this step once its equation is read."""

    name: str
    of: Recurrence
    equation: Equation | None = None
    starts: dict[int, tuple[Value, Span]] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    now: Any = None

    def __str__(self) -> str:
        return self.name

    @property
    def type(self) -> Type | None:
        """The type of one step, as the start values have it."""
        return next((value.type for value, _ in self.starts.values()), None)


@dataclass(frozen=True)
class Sequence:
    """Of which recurrence and state a tensor came, and whether it ran from the last step to the
    first."""

    of: Recurrence
    state: State
    backward: bool


def step_text(name: str, offset: int) -> str:
    return name if offset == 0 else f"{name}{offset:+d}"


def move(symbol: str, left: Any, right: Any) -> Step:
    """`t + 1`, `t - 2`: arithmetic on a step of a recurrence."""
    if isinstance(left, Step) and is_whole(right) and symbol in "+-":
        return Step(left.of, left.offset + (right if symbol == "+" else -right))
    if isinstance(right, Step) and is_whole(left) and symbol == "+":
        return Step(right.of, right.offset + left)
    name = left if isinstance(left, Step) else right
    raise Problem(
        "N302",
        f"`{name}` is a step of `recur`, no number",
        label=f"`{name.of.name}`, `{name.of.name}-1`, `{name.of.name}+1` are indices",
        helps=("a whole number may be added to it or taken away, inside `[…]` only",),
    )


def read_state(state: State, index: Any, node: Index) -> Any:
    """`h[t]`, `h[t-1]` inside the recurrence that defines h."""
    recurrence = state.of
    if not isinstance(index, Step) or index.of is not recurrence:
        name = recurrence.name
        raise Problem(
            "N302",
            f"`{node.span.text}`: inside `recur`, `{state}` is read at `{name}`, `{name}-1`, "
            f"`{name}+1` …, not at {describe(index)}",
        )
    if index.offset == 0:
        return _read_now(state, node)
    sign = -1 if index.offset < 0 else 1
    for distance in range(sign, index.offset + sign, sign):
        if distance not in state.starts:
            if state.now is UNKNOWN:  # a start value is wrong, which is said there
                return UNKNOWN
            raise _no_start(state, index, distance)
    state.used |= {d for d in state.starts if 0 < d * sign <= index.offset * sign}
    assert state.type is not None
    return recurrence.read(Read(state, index.offset), state.type, node.span)


def _read_now(state: State, node: Index) -> Any:
    if state.now is not None:
        return state.now
    earlier = f"{state}[{state.of.name}-1]"
    others = ((state.equation.span, "its equation"),) if state.equation else ()
    raise Problem(
        "N301",
        f"`{node.span.text}` is read before its equation",
        label="an instantaneous loop, if it is not only a matter of order",
        others=others,
        helps=(f"use `{earlier}`, the step before, or move the equation up",),
        edits=(Edit(node.span, earlier),),
    )


def _no_start(state: State, index: Step, distance: int) -> Problem:
    start = f"{state}[{state.of.index(distance)}]"
    side = "first" if distance < 0 else "last"
    return Problem(
        "N304",
        f"`{state}[{index}]` needs a start value at the {side} step",
        label=f"`{start}` is missing",
        helps=(f"write it first: `{start}: [N, d] = 0`, of the shape that a step has",),
    )


def read_sequence(x: Value, step: Step, node: Index) -> Value:
    """`x[t+k]` of a tensor from outside: what axis 1 has there."""
    recurrence, text = step.of, node.span.text
    if x.type.rank < 2:
        raise Problem(
            "N305",
            f"`{text}` slices along axis 1, but {x.type} has no such axis",
            helps=("time is axis 1 of `[N, T, …]`",),
        )
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
    shape = (x.type.shape[0], *x.type.shape[2:])
    return recurrence.read(Read(x, step.offset), x.type.with_shape(*shape), node.span)


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
    number = is_whole(index) or isinstance(index, Poly)
    start = known.state.starts.get(recurrence.distance(index) or 0) if number else None
    if start is not None:
        found, _ = start
        return found
    if index != first and index != last:
        raise Problem(
            "N302",
            f"`{node.span.text}`: behind `recur` a sequence has its first step, `[{first}]`, and "
            f"its last, `[{last}]`",
            helps=("`slice(axis, from, to)` takes a part of it",),
        )
    if known.backward and index == last != first:
        _lint_last(node, first, scope)
    place = index - first
    return _pick(value, place, node.span, scope)


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
