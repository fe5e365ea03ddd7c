"""Arguments of a layer that its shapes forbid: even windows, groups, axes, another rank."""

from __future__ import annotations

from netdsl.elaborate.remedies.site import Remedy, Site, with_value, without_argument
from netdsl.elaborate.scope import Binding
from netdsl.elaborate.values import is_whole
from netdsl.errors import Edit, Span
from netdsl.op import OPS

SUFFIXES = {3: "1d", 4: "", 5: "3d"}  # rank -> how the layer of that rank ends
LARGE = 8  # a window that is more likely a number of channels


def keep_middle(site: Site) -> Remedy | None:
    """An even window: its padding, or an odd one."""
    k, stride = site.own("k"), site.own("stride")
    if (known := channels_known(site)) is not None:
        return known
    if k is None or not is_whole(k.value):
        return Remedy(SIDES, (site.with_argument("pad=0"),))
    step = stride.value if stride is not None and is_whole(stride.value) else 1
    if step == 1 and k.value > 2:
        edit = with_value("k", k, str(k.value - 1))
        return Remedy(f"an odd window has a middle: `k={k.value - 1}`; or {SIDES}", (edit,))
    pad = step // 2 if k.value == 2 * step and step % 2 == 0 else 0
    return Remedy(SIDES.replace("pad=0", f"pad={pad}"), (site.with_argument(f"pad={pad}"),))


SIDES = "write `pad=0`, or both sides of every axis: `pad=(top, bottom, left, right)`"


def channels_known(site: Site) -> Remedy | None:
    """PyTorch's `Conv2d(in, out, k)`, whose `out` was taken for the window."""
    first, k, stride = site.own("c"), site.own("k"), site.own("stride")
    if first is None or k is None or stride is None or not is_whole(k.value):
        return None
    if any("=" in given.span.text for given in (first, k, stride)):
        return None
    if k.value < LARGE and not _is_known(first, site):
        return None
    call, start = site.call.text, site.call.start
    text = f"{call[: first.span.start - start]}{call[k.span.start - start :]}"
    help = f"the input's channels are known, `c` is those of the output: `{text}`"
    return Remedy(help, (without_argument(first.span),), _is_known(first, site))


def half(site: Site) -> Remedy | None:
    """TensorFlow's `pad=same`."""
    pad = site.own("pad")
    if pad is None:
        return None
    help = "`pad=half` is symmetric and gives the same shapes"
    return Remedy(help, (with_value("pad", pad, "half"),))


def features_first(site: Site) -> Remedy | None:
    """PyTorch's `Linear(in, out)`, whose `out` was taken for the bias."""
    d, bias = site.own("d"), site.own("bias")
    if d is None or bias is None or not is_whole(bias.value) or "=" in bias.span.text:
        return None
    help = f"the input's features are known, `d` is those of the output: `linear({bias.span.text})`"
    return Remedy(help, (without_argument(d.span),), _is_known(d, site))


def _is_known(given: Binding, site: Site) -> bool:
    """Whether a number is that of the input's channels or features."""
    x = site.types[0] if site.operands else None
    return x is not None and x.rank > 1 and given.value in (x.shape[1], x.shape[-1])


def smaller_groups(site: Site) -> Remedy | None:
    """`groups` that divide no channels: the nearest number that does."""
    given, c = site.own("groups"), site.own("c")
    if given is None or c is None or not is_whole(c.value) or not is_whole(given.value):
        return None
    counts = [c.value]
    if site.operands:
        channels = site.types[0].shape[1]
        if not isinstance(channels, int):
            return None
        counts.append(channels)
    good = [n for n in range(1, min(counts) + 1) if all(count % n == 0 for count in counts)]
    nearest = min(good, key=lambda n: abs(n - given.value))
    of = " and ".join(map(str, counts))
    return Remedy(
        f"`groups` divides the channels: {nearest} divides {of}",
        (with_value("groups", given, str(nearest)),),
    )


def other_rank(site: Site) -> Remedy | None:
    """A layer of images on signals or volumes: the one that takes them."""
    if not site.operands:
        return None
    family = site.op.name.removesuffix("1d").removesuffix("3d")
    suffix = SUFFIXES.get(site.types[0].rank)
    name = f"{family}{suffix}"
    if suffix is None or name == site.op.name or name not in OPS:
        return None
    if not site.call.text.startswith(site.op.name):
        return None
    start = site.call.start
    span = Span(site.call.source, start, start + len(site.op.name))
    return Remedy(f"for {site.types[0]} it is `{name}`", (Edit(span, name),))


def say_axis(site: Site) -> Remedy | None:
    """A layer that must say its axis."""
    if "axis" not in site.op.schema() or site.own("axis") is not None or not site.operands:
        return None
    if site.types[0].rank in (2, 4):
        return None
    text = "axis=-1"
    whole_call = len(site.spans) == len(site.operands) and ";" not in site.call.text
    edit = site.with_argument(text)
    if whole_call:
        edit = Edit(edit.span, f"; {text}")
    return Remedy(f"write `{text}` for the last axis", (edit,))
