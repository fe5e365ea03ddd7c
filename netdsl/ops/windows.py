"""What the pools share: the rule for a window's extent and padding, and ATen's form of a signal.

ATen pools a signal [N, C, L] as an image [N, C, 1, L] of one row; volumes have their own kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netdsl.errors import Problem
from netdsl.op import Op, Type
from netdsl.shapes import axis_name, checked_images, window

if TYPE_CHECKING:
    from torch import Tensor

Pairs = tuple[tuple[int, int], ...]


class PoolForm(Op):
    """A pool as differentiation needs it, for any number of spatial axes: those of its window."""

    layer = False
    k: tuple[int, ...]

    @property
    def spatial(self) -> int:
        return len(self.k)


def check_pad(name: str, pad: Pairs, k: tuple[int, ...]) -> None:
    """N106 where torch has no such padding of a window of k elements."""
    for (first, last), elements in zip(pad, k, strict=True):
        if first != last:
            raise Problem(
                "N106",
                f"`{name}` pads both sides of an axis alike, not {first} and {last}",
                helps=("pad before it: `x -> pad((top, bottom, left, right)) -> …`",),
            )
        if 2 * first > elements:
            raise Problem(
                "N106",
                f"`{name}` pads by at most half of its window",
                label=f"padding {first}, window of {elements}",
            )


def window_spans(k: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    """The extent of a window along every axis."""
    return tuple(d * (n - 1) + 1 for n, d in zip(k, dilation, strict=True))


def pooled(
    name: str, x: Type, spans: tuple[int, ...], stride: tuple[int, ...], pad: Pairs, ceil: bool
) -> Type:
    """The type after windows over the spatial axes of x."""
    checked_images(name, x, len(spans))
    geometry = zip(x.shape[2:], spans, stride, pad, strict=True)
    extents = (
        window(name, axis_name(i, len(spans)), n, span, step, sides, ceil=ceil)
        for i, (n, span, step, sides) in enumerate(geometry)
    )
    return x.with_shape(*x.shape[:2], *extents)


def image(x: Tensor) -> Tensor:
    """A signal as an image of one row; others as they are."""
    return x.unsqueeze(2) if x.dim() == 3 else x


def unimage(y: Tensor, x: Tensor) -> Tensor:
    """`image` undone where x is a signal."""
    return y.squeeze(2) if x.dim() == 3 else y


def planar(
    k: tuple[int, ...], stride: tuple[int, ...], pad: Pairs, *dilation: tuple[int, ...]
) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """The spatial axes of ATen's kernel, and its window, stride, padding and dilation."""
    sides = tuple(first for first, _ in pad)
    if len(k) > 1:
        return len(k), (k, stride, sides, *dilation)
    return 2, ((1, *k), (1, *stride), (0, *sides), *((1, *d) for d in dilation))


def on_planes(
    function: Callable[..., Any], spatial: int, *arguments: Any
) -> Callable[[Tensor], Tensor]:
    """A kernel over planes or volumes with its arguments given; a signal is an image of one row."""
    if spatial == 1:
        return lambda x: function(x.unsqueeze(2), *arguments).squeeze(2)
    return lambda x: function(x, *arguments)
