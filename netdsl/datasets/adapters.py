"""What fits samples to a net: repeated channels, another size, a border, another scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.datasets.errors import DataError
from netdsl.datasets.samples import Samples
from netdsl.datasets.spec import Arguments

Floats = NDArray[np.float32]


def adapt(samples: Samples, arguments: Arguments) -> tuple[NDArray[Any], tuple[str, ...]]:
    """`x` after every adapter asked for, in the order of `ADAPTERS`, and what was done."""
    x: NDArray[Any] = samples.x
    steps = []
    for name, adapter, phrase in ADAPTERS:
        size: int | None = getattr(arguments, name)
        if size is not None:
            if samples.lengths is not None:
                raise DataError(f"`{name}` is for images; samples are sequences with lengths")
            x = adapter(x, size)
            steps += [phrase.format(size), shape_text(x.shape[1:])]
    return x, tuple(steps)


def repeat_channels(x: Floats, channels: int) -> Floats:
    """`x [N, H, W]` or `[N, 1, H, W] -> [N, channels, H, W]`."""
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4 or x.shape[1] not in (1, channels):
        raise DataError(f"`channels` repeats one channel; samples are {shape_text(x.shape[1:])}")
    return x if x.shape[1] == channels else np.repeat(x, channels, axis=1)


def resize(x: Floats, size: int) -> Floats:
    """`x [N, C, H, W] -> [N, C, size, size]`, bilinear, edges by their own value, no antialias.

    As torch.nn.functional.interpolate(mode="bilinear", align_corners=False).
    """
    _expect_images(x, "resize")
    rows, columns = _bilinear(x.shape[2], size), _bilinear(x.shape[3], size)
    resized: Floats = np.matmul(np.matmul(rows, x), columns.T)
    return resized


def pad(x: Floats, border: int) -> Floats:
    """`x [N, C, H, W] -> [N, C, H + 2*border, W + 2*border]`, filled with the value 0."""
    _expect_images(x, "pad")
    return np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)))


# Before `normalise`, so that a border is as dark as the background of the images.
ADAPTERS: tuple[tuple[str, Callable[[Floats, int], Floats], str], ...] = (
    ("channels", repeat_channels, "repeated to {} channels"),
    ("resize", resize, "resized to {} (bilinear)"),
    ("pad", pad, "padded by {}"),
)


def rows(x: NDArray[Any]) -> NDArray[Any]:
    """Images `x [N, 1, H, W]` as sequences of their rows `[N, H, W]`."""
    _expect_images(x, "rows")
    if x.shape[1] != 1:
        raise DataError(
            f"`rows` is for images of one channel; samples are {shape_text(x.shape[1:])}"
        )
    return x[:, 0]


def normalise(
    x: NDArray[Any], train: NDArray[np.intp], how: str, samples: Samples
) -> tuple[NDArray[Any], str]:
    """`(x - shift) / scale` and the words for it; numbers are taken from the training examples.

    `standard`: mean and standard deviation of each channel of images, of each feature (last axis)
    of anything else. A channel or feature that never varies is only shifted. What is behind the end
    of a sequence does not count and stays 0.
    """
    if how == "none":
        return x, "not scaled"
    if x.dtype.kind == "i":
        raise DataError("symbols cannot be scaled: leave `normalise` out")
    if how == "unit":
        largest = samples.largest or float(np.abs(x[train]).max(initial=0)) or 1.0
        return x / np.float32(largest), f"divided by {largest:.4g}"
    axes = (0, 2, 3) if x.ndim == 4 else tuple(range(x.ndim - 1))
    there: Any = np.True_
    counted: Any = np.True_
    if samples.lengths is not None:
        there = np.arange(x.shape[1])[:, None] < samples.lengths[:, None, None]
        counted = np.broadcast_to(there, x.shape)[train]
    shift = x[train].mean(axes, dtype=np.float64, keepdims=True, where=counted)
    scale = x[train].std(axes, dtype=np.float64, keepdims=True, where=counted)
    scale[scale == 0] = 1.0
    numbers = f" (minus {_numbers(shift)}, divided by {_numbers(scale)})" if shift.size <= 4 else ""
    done = (x - shift.astype(np.float32)) / scale.astype(np.float32) * there
    return done, f"scaled to mean 0, std 1{numbers}"


def adapter_for(shape: Sequence[int], wanted: Sequence[int | None]) -> str | None:
    """What to add to the spec so that samples of a shape fit a net, None where they do.

    Both without the batch axis; a None in `wanted` is a size that the net leaves free.
    """
    if _fits(shape, wanted):
        return None
    if len(wanted) == 2 and len(shape) == 3 and shape[0] == 1 and _fits(shape[1:], wanted):
        return "add `rows`"
    refusal = f"no adapter turns {shape_text(shape)} into {shape_text(wanted)}"
    if len(wanted) != 3 or len(shape) not in (2, 3):
        return refusal
    if len(shape) == 3 and _fits((shape[2], shape[0], shape[1]), wanted):
        return "the samples are stored [N, H, W, C]: transpose them to [N, C, H, W]"
    channels, height, width = (1, *shape) if len(shape) == 2 else shape
    images = (channels, height, width)
    goal = [have if want is None else want for have, want in zip(images, wanted, strict=True)]
    adapters = []
    if len(shape) == 2 or goal[0] != channels:
        if channels != 1:
            return refusal
        adapters.append(f"channels={goal[0]}")
    if (height, width) != (goal[1], goal[2]):
        border, odd = divmod(goal[1] - height, 2)
        if not odd and goal[2] - width == 2 * border and 0 < border <= min(height, width) // 4:
            adapters.append(f"pad={border}")
        elif goal[1] == goal[2]:
            adapters.append(f"resize={goal[1]}")
        else:
            return refusal
    return f"add `{','.join(adapters)}`"


def shape_text(shape: Sequence[int | None]) -> str:
    """`1x28x28`, a free size as `?`."""
    return "x".join("?" if size is None else str(size) for size in shape)


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        want is None or have == want for have, want in zip(shape, wanted, strict=True)
    )


def _expect_images(x: Floats, name: str) -> None:
    if x.ndim != 4:
        text = shape_text(x.shape[1:])
        raise DataError(f"`{name}` is for images [N, C, H, W]; samples are {text}")


def _bilinear(size: int, new: int) -> Floats:
    """The weights `[new, size]` of the pixels on a line, pixels being areas, not points."""
    place = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, size - 1)
    low = place.astype(np.intp)
    high = np.minimum(low + 1, size - 1)
    weights = np.zeros((new, size), np.float64)
    np.add.at(weights, (np.arange(new), low), 1 - (place - low))
    np.add.at(weights, (np.arange(new), high), place - low)
    return weights.astype(np.float32)


def _numbers(values: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.4g}" for value in values.ravel())
