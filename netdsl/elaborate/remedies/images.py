"""Images in another layout than the layers want, windows too large for them, unknown features."""

from __future__ import annotations

import re
from dataclasses import replace

from netdsl.elaborate.remedies.site import Remedy, Site, with_value
from netdsl.elaborate.scope import Scope
from netdsl.errors import Edit, Problem, Span
from netdsl.ir import Input
from netdsl.op import Type, Value
from netdsl.sizes import Poly, Size
from netdsl.syntax import TensorType

CHANNELS = (1, 2, 3, 4)  # of images that come from outside

_SIZES = re.compile(r"\[(.*)\]", re.DOTALL)


def channels_first(site: Site) -> Remedy | None:
    """An input of the net that is [N, H, W, C]."""
    declared = _declared(site)
    if declared is None or not is_channels_last(site.types[0]):
        return None
    return _in_order(*declared)


def is_channels_last(x: Type) -> bool:
    """Whether an image looks as if its last axis were that of the channels."""
    if x.rank != 4 or x.shape[3] not in CHANNELS:
        return False
    return x.shape[1] not in CHANNELS and x.shape[1] != x.shape[3]


def channels_number(site: Site) -> Remedy | None:
    """An input of the net whose channels are a name."""
    declared = _declared(site)
    if declared is None or site.types[0].rank != 4 or not isinstance(site.types[0].shape[1], Poly):
        return None
    span, sizes = declared
    text = f"[{', '.join([sizes[0], '3', *sizes[2:]])}]"
    help = f"the number of channels is fixed by the weights: for colour images declare `{text}`"
    return Remedy(help, (Edit(span, text),))


def misfit(problem: Problem, written: TensorType, value: Value, scope: Scope) -> Problem:
    """The problem of a block's input, with a declaration that fits: the block's or the net's."""
    declared = _declared_as(value, scope)
    sizes = [size.span.text for size in written.sizes]
    remedy: Remedy | None = None
    if is_channels_last(value.type) and declared is not None and len(sizes) == 4:
        remedy = _in_order(declared[0], declared[1])
    elif len(sizes) == value.type.rank == 4 and _is_last(sizes):
        remedy = _in_order(written.span, sizes)
    elif declared is not None and len(declared[1]) == len(sizes):
        span, own = declared
        fitting = [
            text if isinstance(size, Poly) and text.isdigit() else mine
            for size, text, mine in zip(value.type.shape, sizes, own, strict=True)
        ]
        if fitting != own:
            text = f"[{', '.join(fitting)}]"
            remedy = Remedy(f"declare the input of the net as `{text}`", (Edit(span, text),))
    if remedy is None:
        return problem
    made = Problem(problem.diagnostic.code, problem.diagnostic.message)
    made.diagnostic = replace(problem.diagnostic, helps=(remedy.help,), edits=remedy.edits)
    return made


def _is_last(sizes: list[str]) -> bool:
    """Whether the written sizes of an image end in its channels."""
    return sizes[3] in map(str, CHANNELS) and sizes[1] not in map(str, CHANNELS)


def _in_order(span: Span, sizes: list[str]) -> Remedy:
    text = f"[{', '.join([sizes[0], sizes[3], sizes[1], sizes[2]])}]"
    help = f"images are [N, C, H, W] here, this one seems to be [N, H, W, C]: declare `{text}`"
    return Remedy(help, (Edit(span, text),))


def _declared(site: Site) -> tuple[Span, list[str]] | None:
    """The sizes of the net's input that the first operand is, as written, and their place."""
    return _declared_as(site.operands[0], site.scope) if site.operands else None


def _declared_as(value: Value, scope: Scope) -> tuple[Span, list[str]] | None:
    node = scope.run.builder.graph.node(value.node)
    if not isinstance(node.op, Input) or node.span is None:
        return None
    match = _SIZES.search(node.span.text)
    if match is None:
        return None
    start = node.span.start + match.start()
    sizes = [size.strip() for size in match[1].split(",")]
    if len(sizes) != node.op.type.rank:
        return None
    return Span(node.span.source, start, start + len(match[0])), sizes


def pool_features(site: Site) -> Remedy | None:
    """`linear` on an image, or on one that was flattened, whose size is not known."""
    if site.op.name != "linear":
        return None
    x, call = site.types[0], site.call
    here = Span(call.source, call.start, call.start)
    if x.rank == 4 and isinstance(x.shape[1], int):
        help = f"average over the image first: `global_avg_pool -> {call.text}`"
        return Remedy(help, (Edit(here, "global_avg_pool -> "),))
    made = site.scope.run.builder.graph.node(site.operands[0].node)
    flat = x.rank == 2 and made.op.name == "flatten"
    if not flat or made.span is None or made.span.text != "flatten":
        return None
    help = "average over the image instead of `flatten`: `global_avg_pool`"
    return Remedy(help, (Edit(made.span, "global_avg_pool"),))


def smaller_window(site: Site) -> Remedy | None:
    """A window larger than the image: one that covers it."""
    given = site.own("k")
    sizes: list[Size] = list(site.types[0].shape[2:])
    numbers = [size for size in sizes if isinstance(size, int)]
    if given is None or len(numbers) < len(sizes) or not numbers or min(numbers) < 1:
        return None
    if site.own("pad") is not None and site.op.name.startswith("conv"):
        pad = site.own("pad")
        assert pad is not None
        odd = isinstance(given.value, int) and given.value % 2 == 1
        if odd:
            edit = with_value("pad", pad, "half")
            return Remedy("`pad=half` keeps the size of the image: is it meant?", (edit,))
    largest = min(numbers)
    edit = with_value("k", given, str(largest))
    return Remedy(f"the largest window here is `k={largest}`; or pool less before", (edit,))
