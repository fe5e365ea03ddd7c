"""Images in another layout than the layers want, windows too large for them, unknown features."""

from __future__ import annotations

import re

from netdsl.elaborate.remedies.site import Remedy, Site, with_value
from netdsl.errors import Edit, Span
from netdsl.ir import Input
from netdsl.op import Type
from netdsl.sizes import Poly, Size

CHANNELS = (1, 2, 3, 4)  # of images that come from outside

_SIZES = re.compile(r"\[(.*)\]", re.DOTALL)


def channels_first(site: Site) -> Remedy | None:
    """An input of the net that is [N, H, W, C]."""
    declared = _declared(site)
    if declared is None or not is_channels_last(site.types[0]):
        return None
    span, sizes = declared
    text = f"[{', '.join([sizes[0], sizes[3], sizes[1], sizes[2]])}]"
    help = f"images are [N, C, H, W] here, this one seems to be [N, H, W, C]: declare `{text}`"
    return Remedy(help, (Edit(span, text),))


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


def _declared(site: Site) -> tuple[Span, list[str]] | None:
    """The sizes of the net's input that the first operand is, as written, and their place."""
    if not site.operands:
        return None
    node = site.scope.run.builder.graph.node(site.operands[0].node)
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
