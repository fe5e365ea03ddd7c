"""`recur t in 1..T { h[0]: [N, d] = 0  h[t] = … }`: its statements, in the order they count in.

Start values first, wherever they stand; then the statements as they are written. An equation's
value is the step's; behind the recurrence its name is the whole sequence.
"""

from __future__ import annotations

from typing import Any

from netdsl.elaborate.binding import known_type
from netdsl.elaborate.ends import End, place
from netdsl.elaborate.layers import claim, operand
from netdsl.elaborate.loops import make_loops
from netdsl.elaborate.ranges import opened
from netdsl.elaborate.recurrence import Recurrence, State, Step
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.stages import label_text
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import describe, is_number, is_tensor, is_whole
from netdsl.elaborate.walk import evaluate, execute, statement
from netdsl.errors import Problem, Span
from netdsl.op import Type, Value
from netdsl.ops.shape import Expand
from netdsl.sizes import Poly, Size
from netdsl.syntax import Equation, Label, Recur, Return


@statement(Recur)
def _recur(node: Recur, scope: Scope) -> None:
    errors = len(scope.run.found.errors)
    recurrence = opened(node, scope)
    names = {e.name.text: e.name for e in node.body if isinstance(e, Equation)}
    sequences: dict[str, Any] = {}
    path = None if node.label is None else _path(node.label, scope)
    if recurrence is None and scope.run.exploring:
        _explore(node, scope.inner({n: Binding(UNKNOWN, name.span) for n, name in names.items()}))
    if recurrence is not None:
        begin = len(scope.run.builder.graph)
        scope.run.recurring += 1
        _read(node, recurrence)
        scope.run.recurring -= 1
        whole = all(isinstance(s.now, Value) for s in recurrence.states.values())
        if whole and len(scope.run.found.errors) == errors:
            head = node.name.span.to(node.last.span)
            try:
                made = make_loops(recurrence, begin, head, path, scope)
                sequences = {state.name: value for state, value in made.items()}
            except Problem as problem:
                scope.report(problem, problem.diagnostic.span or head)
    for text, name in names.items():
        scope.define(name, sequences.get(text, UNKNOWN))


def _explore(node: Recur, scope: Scope) -> None:
    """Read the statements for their names and arguments alone, see exploring.py."""
    scope.names[node.name.text] = Binding(UNKNOWN, node.name.span)
    for item in node.body:
        if isinstance(item, Equation):
            evaluate(item.index, scope)
            evaluate(item.value, scope)
        else:
            execute(item, scope)


def _path(label: Label, scope: Scope) -> str:
    """The path of a recurrence with a label: the label names the loop, and opens no scope."""
    path = label.text
    try:
        if label.numbered:
            raise Problem("N123", "`[]` numbers stages; a recurrence is one loop")
        path = scope.space.labelled(label_text(label, scope))
        claim(path, label.span, scope)
    except Problem as problem:
        scope.report(problem, label.span)
    return path


def _read(node: Recur, recurrence: Recurrence) -> None:
    """Execute the body: starts, then all other statements."""
    scope = recurrence.scope
    starts: list[tuple[Equation, int | None]] = []
    others: list[tuple[Any, Step | None]] = []
    for item in node.body:
        if isinstance(item, Equation):
            index = place(item.index, scope)
            _state(item, index, recurrence)
            if isinstance(index, Step):
                others.append((item, index))
            else:
                starts.append((item, None if index is UNKNOWN else _distance(item, index, scope)))
        else:
            others.append((item, None))
    for start, distance in starts:
        _start(start, distance, recurrence)
    for item, index in others:
        if index is not None:
            _define(item, index, recurrence)
        elif isinstance(item, Return):
            problem = Problem(
                "N302",
                "`return` stands behind `recur`, where the sequences are whole",
                helps=("close the recurrence with `}` first",),
            )
            scope.report(problem, item.span)
        else:
            execute(item, scope)
    for state in recurrence.states.values():
        if state.equation is None and state.now is None:
            _without_equation(state, recurrence)
    if recurrence.lengths is not None and recurrence.read_first is None:
        problem = Problem(
            "N305",
            f"nothing says how many steps there are: no sequence is read up to `{recurrence.last}`",
            helps=(f"`x[{recurrence.name}]` of an `x: [N, T, …]` does",),
        )
        scope.report(problem, node.last.span)


def _state(item: Equation, index: Any, recurrence: Recurrence) -> None:
    """The state of an equation or a start value, and which equation defines it."""
    names, name = recurrence.scope.names, item.name.text
    state = recurrence.states.get(name)
    if state is None:
        state = recurrence.states[name] = State(name, recurrence)
        recurrence.scope.define(item.name, state)
    if not isinstance(index, Step):
        return
    if state.equation is not None:
        problem = Problem(
            "N120",
            f"`{name}` has two equations",
            others=((state.equation.name.span, "the first"),),
            helps=("a name keeps its value: take another one",),
        )
        recurrence.scope.report(problem, item.name.span)
    else:
        state.equation = item
        names[name] = Binding(state, item.name.span)


def _distance(item: Equation, index: Any, scope: Scope) -> int | None:
    """How far outside of the range a start value stands."""
    state = scope.names[item.name.text].value
    recurrence: Recurrence = state.of
    name, t = item.name.text, recurrence.name
    if is_whole(index) or isinstance(index, (Poly, End)):
        distance = recurrence.distance(index)
        if distance is not None:
            return distance
    first, last = recurrence.first, recurrence.last
    start = f"`{name}[{first - 1}]`"
    if isinstance(last, End):
        start += f", or backward `{name}[{recurrence.index(1)}]`,"
    problem = Problem(
        "N302",
        f"`{name}[{item.index.span.text}]` is no start value and no step",
        label=f"the steps are {first} to {last}",
        helps=(f"`{name}[{t}] = …` is the equation, {start} the start value",),
    )
    scope.report(problem, item.index.span)
    return None


def _start(item: Equation, distance: int | None, recurrence: Recurrence) -> None:
    scope, state = recurrence.scope, recurrence.states[item.name.text]
    value = _start_value(item, scope)
    if distance is None or value is UNKNOWN:
        state.now = UNKNOWN
        return
    before = state.starts.get(distance)
    if before is not None:
        what = f"`{item.name.text}[{item.index.span.text}]`"
        problem = Problem(
            "N120", f"{what} is defined twice", others=((before[1], "first defined here"),)
        )
        scope.report(problem, item.span)
    elif state.type is not None and state.type != value.type:
        scope.report(_changed(state, value.type), item.value.span)
    else:
        state.starts[distance] = (value, item.span)


def _start_value(item: Equation, scope: Scope) -> Any:
    value = evaluate(item.value, scope)
    declared = None if item.type is None else _declared(item, scope)
    if value is UNKNOWN or declared is UNKNOWN:
        return UNKNOWN
    name = f"{item.name.text}[{item.index.span.text}]"
    if is_number(value) and declared is not None:
        return _filled(declared, value, item.span, scope)
    if is_number(value):
        problem = Problem(
            "N304",
            f"the start value `{name} = {item.value.span.text}` needs its type",
            helps=(f"`{name}: [N, d] = {item.value.span.text}`",),
        )
        return scope.report(problem, item.span)
    return _fitting(item, value, declared, scope)


def _define(item: Equation, index: Step, recurrence: Recurrence) -> None:
    """`h[t] = …`."""
    scope, state = recurrence.scope, recurrence.states[item.name.text]
    if index.offset != 0 or index.of is not recurrence:
        t = recurrence.name
        problem = Problem(
            "N302",
            f"an equation defines `{item.name.text}[{t}]`, "
            f"not `{item.name.text}[{item.index.span.text}]`",
            helps=(f"write it for step {t}: `{item.name.text}[{t}] = …`",),
        )
        state.now = scope.report(problem, item.index.span)
        return
    value = evaluate(item.value, scope)
    declared = state.type if item.type is None else _declared(item, scope)
    if value is UNKNOWN or declared is UNKNOWN:
        state.now = UNKNOWN
        return
    if is_number(value) and declared is not None:
        state.now = _filled(declared, value, item.span, scope)
        return
    found = _fitting(item, value, None if item.type is None else declared, scope)
    if found is not UNKNOWN and state.type is not None and found.type != state.type:
        found = scope.report(_changed(state, found.type), item.value.span)
    if state.now is None:
        state.now = found


def _declared(item: Equation, scope: Scope) -> Any:
    assert item.type is not None
    return known_type(item.type, scope)


def _filled(type: Type, number: float, span: Span, scope: Scope) -> Value:
    """A tensor of one number."""
    builder = scope.run.builder
    constant = builder.constant(float(number))
    with builder.at("", span):
        return builder(Expand(type.shape), constant)


def _fitting(item: Equation, value: Any, declared: Type | None, scope: Scope) -> Any:
    """The value as a tensor with a batch axis, of the declared type."""
    if not is_tensor(value):
        problem = Problem("N113", f"a step is a tensor, not {describe(value)}")
        return scope.report(problem, item.value.span)
    found = operand(value, scope)
    if found is UNKNOWN:
        return UNKNOWN
    if declared is not None and found.type != declared:
        assert item.type is not None
        problem = Problem(
            "N303",
            f"`{item.name.text}` is {declared} at each step, but this is {found.type}",
            others=((item.type.span, "declared here"),),
        )
        return scope.report(problem, item.value.span)
    if found.type.rank == 0:
        problem = Problem("N303", "a step keeps the batch axis: `[N, …]`, but this is one number")
        return scope.report(problem, item.value.span)
    return found


def _changed(state: State, type: Type) -> Problem:
    start = next(iter(state.starts.values()))
    return Problem(
        "N303",
        f"`{state}` is {state.type} at its start and {type} here",
        label=_difference(start[0].type, type),
        others=((start[1], f"{start[0].type}"),),
        helps=("a state keeps its shape from step to step",),
    )


def _difference(a: Type, b: Type) -> str:
    if a.rank != b.rank or a.dtype != b.dtype:
        return ""
    pairs: list[tuple[int, Size, Size]] = [
        (axis, m, n) for axis, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)) if m != n
    ]
    return f"axis {pairs[0][0]}: {pairs[0][1]} and {pairs[0][2]}"


def _without_equation(state: State, recurrence: Recurrence) -> None:
    _, (_, span) = next(iter(state.starts.items()))
    state.now = UNKNOWN
    problem = Problem(
        "N308",
        f"`{state}` has a start value but no equation",
        helps=(f"`{state}[{recurrence.name}] = …` says what a step is",),
    )
    recurrence.scope.report(problem, span)
