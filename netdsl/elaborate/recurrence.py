"""The values of a recurrence while its equations are read (language.md §9).

`t` is a `Step`, `h` a `State`: what the equations read of earlier, later and other sequences' steps
stands in the graph as an input of role `step`, until loops.py makes the loops.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from netdsl.elaborate.ends import End
from netdsl.elaborate.scope import Scope
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import describe, is_whole
from netdsl.errors import Edit, Problem, Span
from netdsl.ir import Input
from netdsl.op import Op, Type, Value, Values
from netdsl.sizes import Size
from netdsl.syntax import Equation, Index, Recur


@dataclass(frozen=True)
class Read:
    """What stands for one step of a sequence: of `base`, a tensor or a state, `offset` steps on."""

    base: Value | State
    offset: int


@dataclass(eq=False)
class Recurrence:
    """One `recur name in first..last` that is being read; `reads` has what stands for steps.

    Each example ends at its own step where `last` are lengths; `read_first` is then the sequence
    that was read first, which has as many steps as there are.
    """

    name: str
    first: int
    last: Size | End
    node: Recur
    scope: Scope
    states: dict[str, State] = field(default_factory=dict)
    reads: dict[Read, Value] = field(default_factory=dict)
    read_first: tuple[Value, Span] | None = None
    shared: dict[tuple[Op, Values], Value] = field(default_factory=dict)  # nodes of several loops

    @property
    def lengths(self) -> Value | None:
        return self.last.lengths if isinstance(self.last, End) else None

    @property
    def steps(self) -> Size:
        if not isinstance(self.last, End):
            return self.last - (self.first - 1)
        assert self.read_first is not None
        return self.read_first[0].type.shape[1]

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
        if isinstance(index, End):
            return index.offset if index.offset > 0 and index + -index.offset == self.last else None
        if isinstance(before := index - self.first, int) and before < 0:
            return before
        if isinstance(self.last, End):
            return None
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


STEPS: Final = (Step, End)


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


def move(symbol: str, left: Any, right: Any) -> Step | End:
    """`t + 1`, `t - 2`, `n + 1`: arithmetic on a step of a recurrence."""
    if isinstance(left, STEPS) and is_whole(right) and symbol in "+-":
        return replace(left, offset=left.offset + (right if symbol == "+" else -right))
    if isinstance(right, STEPS) and is_whole(left) and symbol == "+":
        return replace(right, offset=right.offset + left)
    step = left if isinstance(left, STEPS) else right
    name = replace(step, offset=0)
    raise Problem(
        "N302",
        f"`{step}` is a step of `recur`, no number",
        label=f"`{name}`, `{name}-1`, `{name}+1` are indices",
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
