"""A sum that goes into a long pipe, without parentheses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netdsl.errors import Diagnostic, Edit
from netdsl.ir import Graph
from netdsl.lints.walk import nodes
from netdsl.syntax import Binary, Call, Chain, File, Labelled, Name, Stage


def sum_into_a_pipe(file: File, graphs: Sequence[Graph]) -> Iterator[Diagnostic]:
    """W405: `x + y -> linear(8) -> relu`. An activation alone behind a sum, `f + x -> relu`, is
    how residual blocks are written."""
    for node in nodes(file, Chain):
        head = node.head
        if not isinstance(head, Binary) or head.operator not in ("+", "-"):
            continue
        if not (isinstance(head.left, Name) and isinstance(head.right, Name)):
            continue
        if not _is_branch(node.stages):
            continue
        if head.span.text.startswith("(") and head.span.text.endswith(")"):
            continue
        left, right = head.left.text, head.right.text
        rest = "…" if len(node.stages) > 1 else node.stages[0].span.text
        yield Diagnostic(
            "W405",
            f"the pipe takes the whole sum, `{head.span.text}`",
            head.span,
            helps=(
                f"`({head.span.text}) -> {rest}` says so; "
                f"the other reading is `{left} {head.operator} ({right} -> {rest})`",
            ),
            edits=(Edit(head.span, f"({head.span.text})"),),
            sure=True,
        )


def _is_branch(stages: Sequence[Stage]) -> bool:
    """Whether the stages look like a branch of their own: several, with arguments at the start."""
    first = stages[0].stage if isinstance(stages[0], Labelled) else stages[0]
    return len(stages) > 1 and isinstance(first, Call)
