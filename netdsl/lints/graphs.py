"""Lints about layers in the graph: a bias before `bn`, a softmax at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netdsl.errors import Diagnostic, Edit, Span
from netdsl.ir import Graph
from netdsl.op import Value
from netdsl.syntax import Default, File

BIASED = {"conv", "conv1d", "conv3d", "linear"}
NORMS = {"bn", "bn1d", "bn3d"}
LOGITS = {"return", "logits", "scores"}  # outputs that a loss takes


def bias_before_norm(file: File, graphs: Sequence[Graph]) -> Iterator[Diagnostic]:
    """W401, of a place in the text whose every instance goes into `bn` and nowhere else."""
    wasted: dict[Span, bool] = {}
    for graph in graphs:
        for n, node in graph.items:
            biased = node.op.name in BIASED and getattr(node.op, "bias", False)
            if biased and node.span is not None and node.span.source == file.span.source:
                value = Value(n, 0, node.types[0])
                wasted[node.span] = wasted.get(node.span, True) and _feeds_norm(graph, value)
    for span in (span for span, always in wasted.items() if always):
        yield Diagnostic(
            "W401",
            "this bias does nothing: `bn` behind it takes the mean away",
            span,
            notes=_default_in_force(file, span),
            helps=("`bias=false` leaves it out",),
            edits=(_without_bias(span),),
            sure=True,
        )


def _feeds_norm(graph: Graph, value: Value) -> bool:
    """Whether a `bn` that takes the mean along the bias is all that reads the value."""
    if graph.node(value.node).op.name == "linear" and value.type.rank != 2:
        return False  # of [N, T, D], `bn1d` takes the mean of each T, and a bias is along D
    if any(out.value == value for out in graph.outputs):
        return False
    users = graph.users.get(value, ())
    return len(users) == 1 and graph.node(users[0][0]).op.name in NORMS


def _without_bias(span: Span) -> Edit:
    at = span.text.find("bias=true")
    if at >= 0:
        start = span.start + at
        return Edit(Span(span.source, start, start + len("bias=true")), "bias=false")
    from netdsl.elaborate.remedies.site import with_argument  # needed for warnings only

    return with_argument(span, "bias=false")


def _default_in_force(file: File, span: Span) -> tuple[str, ...]:
    """What a `default` of the file says about the layer already."""
    layer = span.text.partition("(")[0].strip()
    for item in file.items:
        if isinstance(item, Default) and item.call.name.text == layer:
            return (f"`{item.span.text}` is in force here: `bias=false` there says it for all",)
    return ()


def softmax_at_the_end(file: File, graphs: Sequence[Graph]) -> Iterator[Diagnostic]:
    """W402, of the output that a loss takes."""
    told: set[Span] = set()
    for graph in graphs:
        for out in graph.outputs:
            node = graph.node(out.value.node)
            if node.op.name != "softmax" or out.name not in LOGITS or out.value.type.rank != 2:
                continue
            if node.span is None or node.span.source != file.span.source or node.span in told:
                continue
            told.add(node.span)
            edits = _without_stage(node.span)
            yield Diagnostic(
                "W402",
                "the net ends in `softmax`, and losses such as cross entropy apply one themselves",
                node.span,
                helps=("leave it out: the net gives logits",),
                edits=edits,
                sure=bool(edits),
            )


def _without_stage(span: Span) -> tuple[Edit, ...]:
    """The edit that takes a stage out, with its arrow."""
    before = span.source.text[: span.start].rstrip()
    if not before.endswith("->"):
        return ()
    start = len(before.removesuffix("->").rstrip())
    return (Edit(Span(span.source, start, span.end), ""),)
