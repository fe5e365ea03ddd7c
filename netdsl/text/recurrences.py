"""A recurrence as its equations: `recur t in 1..T { h[0] = v1  h[t] = tanh(…) } as "path"`.

Steps count from 1, so that `x[t+2]` is what the operand has two steps further; the label says that
it is one loop.
"""

from __future__ import annotations

from collections.abc import Callable

from netdsl.elaborate.recurrence import step_text
from netdsl.ir import Graph, Input, Node, Source
from netdsl.loop import At, Carried, Feed, Whole
from netdsl.op import Value
from netdsl.ops.shape import Expand
from netdsl.recur import Recur
from netdsl.text.sizes import size_text
from netdsl.text.stages import application
from netdsl.text.writing import Writing, type_text

Statement = Callable[[int, Node, Writing], list[str]]


def recurrence(n: int, node: Node, writing: Writing, statement: Statement) -> list[str]:
    """The statements of a recurrence; `statement` writes those of its body."""
    op, graph = node.op, writing.graph
    assert isinstance(op, Recur)
    time = writing.names.fresh() if "t" in writing.names.taken else "t"
    states = [writing.name(value) for value in graph.results(n)]
    inner = writing.inside(op.body)
    operands = graph.operands(n)
    lines, filled = _starts(op, operands, states, writing)
    for (m, _), feed in zip(op.body.sources(Input), op.feeds, strict=True):
        text = _fed(feed, op, operands, states, time, writing)
        if text is not None:
            inner.values[op.body.results(m)[0]] = text
    equations = {out.value: state for out, state in zip(op.body.outputs, states, strict=True)}
    written: set[str] = set()
    for m, body_node in op.body.items:
        if isinstance(body_node.op, Source):
            continue
        value, *others = op.body.results(m)
        state = equations.get(value)
        if state is None or others or not body_node.op.layer:
            lines += statement(m, body_node, inner)
            continue
        inner.values[value] = f"{state}[{time}]"
        lines.append(f"{state}[{time}] = {application(m, body_node, inner)}")
        written.add(state)
    for out, state in zip(op.body.outputs, states, strict=True):
        if state not in written:
            lines.append(f"{state}[{time}] = {inner.value(out.value)}")
    writing.values |= filled  # `h[0]` behind the recurrence
    head = f"recur {time} in 1..{_bound(op)} {{"
    return [head, *lines, f'}} as "{node.path}"']


def is_start(n: int, graph: Graph) -> bool:
    """Whether a node is a start value, `h[0]: [N, d] = 0`, before it is anything else."""
    (value,) = graph.results(n)
    users = graph.users.get(value, ())
    op = graph.node(users[0][0]).op if users else None
    if not isinstance(op, Recur):
        return False
    positions = [position for user, position in users if user == users[0][0]]
    starts = [position for started in op.starts for position in started]
    fed = {feed.operand for feed in op.feeds if not isinstance(feed, Carried)}
    return starts.count(positions[0]) == len(positions) == 1 and not fed & {*positions}


def _bound(op: Recur) -> str:
    text = size_text(op.steps)
    return text if text.isalnum() else f"({text})"


def _starts(
    op: Recur, operands: tuple[Value, ...], states: list[str], writing: Writing
) -> tuple[list[str], dict[Value, str]]:
    """The start values, before the first step or behind the last, and what those that are filled
    with a number are called afterwards."""
    lines = []
    filled = {}
    for state, starts in zip(states, op.starts, strict=True):
        for distance, position in enumerate(starts, start=1):
            place = size_text(op.steps + distance) if op.backward else str(1 - distance)
            value = operands[position]
            found = writing.graph.node(value.node).op
            if isinstance(found, Expand) and value not in writing.values:
                (filler,) = writing.graph.operands(value.node)
                lines.append(f"{state}[{place}]: {type_text(value.type)} = {writing.value(filler)}")
                filled[value] = f"{state}[{place}]"
            else:
                lines.append(f"{state}[{place}] = {writing.value(value)}")
    return lines, filled


def _fed(
    feed: Feed,
    op: Recur,
    operands: tuple[Value, ...],
    states: list[str],
    time: str,
    writing: Writing,
) -> str | None:
    """How the body refers to one of its inputs; None: a parameter, which its layer brings."""
    if isinstance(feed, At):
        sequence = writing.value(operands[feed.operand])
        return f"{sequence}[{step_text(time, feed.shift)}]"
    if isinstance(feed, Carried):
        lag = feed.lag if op.backward else -feed.lag
        return f"{states[feed.result]}[{step_text(time, lag)}]"
    assert isinstance(feed, Whole), "a layer graph has no seeds"
    return writing.values.get(operands[feed.operand])
