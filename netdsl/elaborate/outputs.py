"""What is wrong with the outputs of a body: nothing returned, never assigned, of another type."""

from __future__ import annotations

import re
from dataclasses import replace

from netdsl.elaborate.remedies.site import spell
from netdsl.elaborate.scope import Scope
from netdsl.errors import Edit, Problem, Span
from netdsl.op import Value
from netdsl.spelling import closest
from netdsl.syntax import Assign, Definition, Name, TensorType

_NUMBER_OF_FEATURES = re.compile(r"linear\((\d+)\)")


def nothing_returned(definition: Definition) -> tuple[Problem, Span]:
    """N130, where the body ends, with its last value."""
    last = definition.body[-1] if definition.body else None
    message = f"`{definition.name.text}` returns nothing"
    if not isinstance(last, Assign):
        problem = Problem("N130", message, helps=("end the body with `return …`",))
        return problem, definition.name.span
    head = Span(last.span.source, last.name.span.start, last.value.span.start)
    problem = Problem(
        "N130",
        message,
        label="the body ends here",
        helps=(f"is this value meant? `return {_short(last.value.span.text)}`",),
        edits=(Edit(head, "return "),),
        others=((definition.name.span, "this body"),),
    )
    return problem, last.span


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"


def never_assigned(output: Name, scope: Scope) -> tuple[Problem, Span]:
    """N131, at the value that has nearly its name, if there is one."""
    message = f"the output `{output.text}` is never assigned"
    close = closest(output.text, scope.names)
    if close is None:
        help = f"the body says `{output.text} = …`"
        return Problem("N131", message, helps=(help,)), output.span
    assigned = scope.names[close].span
    problem = Problem(
        "N131",
        message,
        helps=(f"is `{close}` meant? then it is called `{output.text}`",),
        edits=(Edit(assigned, output.text),),
        others=((output.span, "declared here"),),
    )
    return problem, assigned


def misdeclared(problem: Problem, written: TensorType, value: Value, scope: Scope) -> Problem:
    """The problem with the declaration that would be right, or the `flatten` that is missing."""
    known = problem.diagnostic
    shape = value.type.shape
    if flat := _unflattened(written, value, scope):
        help = "is a `flatten` missing before the first `linear`?"
        return _with(problem, help, (replace(flat, text="flatten -> "),))
    if narrow := _last_width(written, value, scope):
        return _with(problem, f"is `linear({narrow.text})` meant?", (narrow,))
    sizes = [spell(size, scope) for size in shape]
    if None in sizes or known.code not in ("N201", "N202", "N203"):
        return problem
    dtype = "" if value.type.dtype == "float" else value.type.dtype
    text = f"{dtype}[{', '.join(map(str, sizes))}]"
    if len(shape) == len(written.sizes):
        kept = [
            node.span.text if _same(node.span.text, size, scope) else spelled
            for node, size, spelled in zip(written.sizes, shape, sizes, strict=True)
        ]
        text = f"{dtype}[{', '.join(map(str, kept))}]"
    help = f"the body makes `{text}`: either that is declared, or the body is wrong"
    return _with(problem, help, (Edit(written.span, text),))


def _last_width(written: TensorType, value: Value, scope: Scope) -> Edit | None:
    """The width of the last `linear`, a number, where the declaration has a name."""
    node = scope.run.builder.graph.node(value.node)
    match = None if node.span is None else _NUMBER_OF_FEATURES.fullmatch(node.span.text)
    if node.span is None or match is None or len(written.sizes) != value.type.rank:
        return None
    declared = written.sizes[-1]
    if node.span.source != written.span.source or not isinstance(declared, Name):
        return None
    start = node.span.start + match.start(1)
    return Edit(Span(node.span.source, start, node.span.start + match.end(1)), declared.text)


def _same(text: str, size: object, scope: Scope) -> bool:
    found = scope.find(text)
    return found is not None and found.value == size


def _unflattened(written: TensorType, value: Value, scope: Scope) -> Edit | None:
    """Where a `flatten` is missing: before the first `linear` that was applied to an image."""
    if len(written.sizes) != 2 or value.type.rank != 4:
        return None
    graph = scope.run.builder.graph
    for n in range(len(graph)):
        node = graph.node(n)
        if node.op.name != "linear" or node.types[0].rank != 4 or node.span is None:
            continue
        inside = written.span.source == node.span.source
        if inside and isinstance(node.types[0].shape[2], int):
            return Edit(Span(node.span.source, node.span.start, node.span.start), "")
    return None


def _with(problem: Problem, help: str, edits: tuple[Edit, ...]) -> Problem:
    made = Problem(problem.diagnostic.code, problem.diagnostic.message)
    made.diagnostic = replace(problem.diagnostic, helps=(help,), edits=edits)
    return made
