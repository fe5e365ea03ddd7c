"""Operands that do not fit each other: projections, widths, transpositions, another axis."""

from __future__ import annotations

import re

from netdsl.elaborate.indices import step_name
from netdsl.elaborate.remedies.site import Remedy, Site, with_value
from netdsl.elaborate.values import is_whole
from netdsl.errors import Edit, Span
from netdsl.ir import Source
from netdsl.op import Type
from netdsl.sizes import ceildiv

POINTWISE = {"add", "sub", "mul", "div", "maximum", "minimum"}
KEEPING = {"bn", "relu", "dropout", "ln", "max_pool", "avg_pool"}  # they keep the channels
STRIDES = (1, 2, 3, 4, 8)


def unequal(a: Type, b: Type) -> list[int]:
    """The axes along which two types of one rank differ."""
    if a.rank != b.rank:
        return []
    return [i for i, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)) if m != n]


def one_step(site: Site) -> Remedy | None:
    """`x + h[t-1]`, where x is a sequence: inside a recurrence `x[t]` is its step."""
    step = step_name(site.scope)
    ranks = [t.rank for t in site.types]
    if step is None or len(ranks) < 2 or max(ranks) != min(ranks) + 1:
        return None
    lower = site.types[ranks.index(min(ranks))]
    for i, type in enumerate(site.types):
        span = site.written(i)
        if span is None or not span.text.isidentifier() or type.rank == lower.rank:
            continue
        if type.shape[0] == lower.shape[0]:
            end = Span(span.source, span.end, span.end)
            help = f"`{span.text}` is the whole sequence here: `{span.text}[{step}]` is its step"
            return Remedy(help, (Edit(end, f"[{step}]"),))
    return None


def multiply_transposed(site: Site) -> Remedy | None:
    """`x @ W` where `W` is [N, K]."""
    if site.op.name != "matmul" or any(t.rank < 2 for t in site.types):
        return None
    x, y = site.types
    right = site.written(1)
    if right is None or y.rank != 2:
        return None
    if x.shape[-1] == y.shape[1]:
        text = f"({right.text} -> transpose([1, 0]))"
        return Remedy(f"`{right.text}` transposed fits: `{text}`", (Edit(right, text),))
    left = site.written(0)
    if left is not None and x.rank == 2 and y.shape[1] == x.shape[0]:
        text = f"{right.text} @ {left.text}"
        return Remedy(f"the other order fits: `{text}`", (Edit(left.to(right), text),))
    return None


def over_channels(site: Site) -> Remedy | None:
    """`x * s` where s is [N, C] and x an image: a weight for each channel."""
    if site.op.name not in POINTWISE or {t.rank for t in site.types} != {2, 4}:
        return None
    vector = 0 if site.types[0].rank == 2 else 1
    sizes, span = site.types[vector].shape, site.written(vector)
    if span is None or sizes != site.types[1 - vector].shape[:2]:
        return None
    spelled = [site.spell(size) for size in sizes]
    if None in spelled:
        return None
    text = f"reshape({span.text}; [{', '.join(map(str, spelled))}, 1, 1])"
    return Remedy(f"one number for each channel is `{text}`", (Edit(span, text),))


def transpose(site: Site) -> Remedy | None:
    """The same sizes in another order."""
    if len(site.types) != 2:
        return None
    a, b = site.types
    if a.rank != b.rank or len(set(map(str, a.shape))) < a.rank:
        return None
    if sorted(map(str, a.shape)) != sorted(map(str, b.shape)):
        return None
    span = site.written(1)
    if span is None:
        return None
    axes = [b.shape.index(size) for size in a.shape]
    text = f"({span.text} -> transpose({axes}))"
    return Remedy(f"the axes are in another order: `{text}`", (Edit(span, text),))


def project(site: Site) -> Remedy | None:
    """The skip of a residual block, by a 1x1 convolution with the stride of the other branch."""
    if site.op.name != "add" or any(t.rank != 4 for t in site.types):
        return None
    skip = min((0, 1), key=lambda i: site.operands[i].node)  # what is older
    if (span := site.written(skip)) is None or not span.text.isidentifier():
        skip = 1 - skip
        if (span := site.written(skip)) is None or not span.text.isidentifier():
            return None
    x, f = site.types[skip], site.types[1 - skip]
    channels, stride = f.shape[1], _stride(x, f)
    if channels == x.shape[1] and (pooled := _pooled(x, f, span)) is not None:
        return pooled
    if not isinstance(channels, int) or stride is None or x.shape[0] != f.shape[0]:
        if channels == x.shape[1]:
            return None
        return Remedy(f"project the skip with a 1x1 convolution: `{span.text} -> conv(c, 1)`")
    written = _stride_text(site, stride)
    text = f"{span.text} -> conv({site.spell(channels)}, 1{written})"
    return Remedy(f"project the skip with a 1x1 convolution: `{text}`", (Edit(span, f"({text})"),))


def same_width(site: Site) -> Remedy | None:
    """Two branches of one stride whose last convolutions have different widths."""
    if site.op.name != "add" or unequal(*site.types) != [1]:
        return None
    producers = [_convolution(site, value.node) for value in site.operands]
    left, right = producers
    wanted = site.spell(site.types[1].shape[1])
    if left is None or right is None or wanted is None or left == right:
        return None
    match = _WIDTH.match(left.text)
    if match is None:
        return None
    place = Span(left.source, left.start + match.start(1), left.start + match.end(1))
    text = f"{left.text[: match.start(1)]}{wanted}{left.text[match.end(1) :]}"
    return Remedy(f"the two branches need one width: is `{text}` meant?", (Edit(place, wanted),))


_WIDTH = re.compile(r"conv\(\s*([^,()]+)")


def _convolution(site: Site, n: int) -> Span | None:
    """The place of the convolution that a value comes from, behind what keeps its channels."""
    graph = site.scope.run.builder.graph
    source, here = site.call.source, site.scope.space.prefix
    while True:
        node = graph.node(n)
        if node.span is None or node.span.source != source or not node.path.startswith(here):
            return None  # it comes from outside of the body
        if node.op.name == "conv":
            return node.span
        makers = {m for m, _ in graph.in_edges(n) if not isinstance(graph.node(m).op, Source)}
        if node.op.name not in KEEPING or len(makers) != 1:
            return None
        (n,) = makers


def _pooled(x: Type, f: Type, span: Span) -> Remedy | None:
    """The skip of a branch that was pooled: its size is rounded down."""
    for k in STRIDES[1:]:
        if all(x.shape[axis] // k == f.shape[axis] for axis in (2, 3)):
            text = f"{span.text} -> avg_pool({k})"
            return Remedy(f"pool the skip as well: `{text}`", (Edit(span, f"({text})"),))
    return None


def _stride(x: Type, f: Type) -> int | None:
    """The stride that makes the sizes of x those of f."""
    for stride in STRIDES:
        if all(ceildiv(x.shape[axis], stride) == f.shape[axis] for axis in (2, 3)):
            return stride
    return None


def _stride_text(site: Site, stride: int) -> str:
    """`, stride=s`, where the block has a stride of its own that is the same."""
    for name in ("s", "stride"):
        own = site.scope.names.get(name)
        if own is not None and is_whole(own.value) and own.value == stride:
            return f", stride={name}"
    return f", stride={stride}" if stride > 1 else ""


def join_elsewhere(site: Site) -> Remedy | None:
    """`concat` of tensors that differ on one axis alone, and it is another one."""
    first = site.types[0]
    axes = {axis for other in site.types[1:] for axis in unequal(first, other)}
    if site.op.name != "concat" or len(axes) != 1 or any(t.rank != first.rank for t in site.types):
        return None
    (axis,) = axes
    given = site.own("axis")
    edit = with_value("axis", given, str(axis)) if given else _with_axis(site, axis)
    help = f"along axis {axis}, where they differ, they can be joined: `axis={axis}`"
    return Remedy(help, (edit,))


def _with_axis(site: Site, axis: int) -> Edit:
    edit = site.with_argument(f"axis={axis}")
    if ";" in site.call.text or len(site.spans) < len(site.operands):
        return edit
    return Edit(edit.span, f"; axis={axis}")
