"""Real data by a one-line spec, offline, with numpy alone: read → split → adapt → normalise.

`load("mnist5k:pad=2")` gives arrays that LeNet takes. The specs are described in `spec`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.datasets.adapters import adapt, adapter_for, normalise, rows, shape_text
from netdsl.datasets.errors import DataError, MissingPackage
from netdsl.datasets.samples import Samples
from netdsl.datasets.sources import BUILT_IN, read
from netdsl.datasets.spec import Arguments, parse

__all__ = ["BUILT_IN", "DataError", "Dataset", "MissingPackage", "adapter_for", "load"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples to train on and examples held out.

    `x_train`, `x_test`: float32 `[N, C, H, W]` for images, `[N, T, D]` for sequences, else as the
    source has them; int64 for symbols. `y_train`, `y_test`: int64 class numbers `[N]`, or `[N, T]`
    of every step, or float32 targets, then `classes` is 0. `lengths_train`, `lengths_test`: int64
    `[N]`, the steps of each sequence, behind which x is 0; None where all are of one length.
    `description`: one line that says all that was done to the data.
    """

    name: str
    x_train: NDArray[np.float32] | NDArray[np.int64]
    y_train: NDArray[np.int64] | NDArray[np.float32]
    x_test: NDArray[np.float32] | NDArray[np.int64]
    y_test: NDArray[np.int64] | NDArray[np.float32]
    classes: int
    description: str
    lengths_train: NDArray[np.int64] | None = None
    lengths_test: NDArray[np.int64] | None = None

    @property
    def train(self) -> tuple[NDArray[Any], ...]:
        """What a net takes to train on: x, and lengths where there are some."""
        return (self.x_train,) if self.lengths_train is None else (self.x_train, self.lengths_train)

    @property
    def test(self) -> tuple[NDArray[Any], ...]:
        """The same of the examples held out."""
        return (self.x_test,) if self.lengths_test is None else (self.x_test, self.lengths_test)


def load(spec: str) -> Dataset:
    """The data set of a spec, the same for ever: its split depends on nothing but the spec.

    Raises `DataError` for a spec or data that cannot be used, `MissingPackage` where a package that
    ships the data is not installed.
    """
    source, arguments = parse(spec, BUILT_IN)
    samples = read(source, arguments)
    y, classes, targets = _targets(source, samples.y)
    train, test, split = _split(source, samples, arguments)
    x, steps = adapt(samples, arguments)
    x, scaled = normalise(x, train, arguments.normalise or samples.normalise, samples)
    stages = " → ".join([shape_text(samples.x.shape[1:]), *steps])
    words = [targets, stages, scaled]
    if arguments.rows:
        x = rows(x)
        words.append(f"read by rows → {shape_text(x.shape[1:])}")
    lengths = samples.lengths
    if lengths is not None:
        words.append(f"lengths {lengths.min()} to {lengths.max()}")
    description = f"{source}: {len(train)} train / {len(test)} test ({split}), {', '.join(words)}"
    of_train, of_test = (None if lengths is None else lengths[part] for part in (train, test))
    return Dataset(
        source, x[train], y[train], x[test], y[test], classes, description, of_train, of_test
    )


def _targets(
    source: str, y: NDArray[Any]
) -> tuple[NDArray[np.int64] | NDArray[np.float32], int, str]:
    """Whole numbers are classes, of an example or of each of its steps; others values to be met."""
    if y.dtype.kind == "f":
        if not np.isfinite(y).all():
            raise DataError(f"`{source}`: the targets hold NaN or infinity")
        return y.astype(np.float32), 0, "real targets"
    if y.ndim > 2:
        raise DataError(
            f"`{source}`: classes are one number an example or a step; y is {list(y.shape)}"
        )
    if y.min(initial=0) < 0:
        raise DataError(f"`{source}`: a class is 0 or more; y holds {y.min()}")
    classes = int(y.max(initial=-1)) + 1
    return y.astype(np.int64), classes, f"{classes} classes{' a step' if y.ndim == 2 else ''}"


def _split(
    source: str, samples: Samples, arguments: Arguments
) -> tuple[NDArray[np.intp], NDArray[np.intp], str]:
    """Indices to train on and to test on, in words too.

    A source without a split of its own is shuffled (the shipped sets are sorted by class), not
    stratified, and 80 % of it, or `train`, are for training. With one, `train` takes a part.
    """
    count, own = len(samples.x), samples.train
    if own and arguments.train is None:
        return np.arange(own), np.arange(own, count), "as the source splits it"
    pool, most = (count, count - 1) if own is None else (own, own)
    train = arguments.train or pool * 4 // 5
    if not 1 <= train <= most:
        raise DataError(f"`{source}` has {pool} examples, too few for {train} to train on")
    # RandomState, as NumPy promises its stream for ever (NEP 19): nobody's held-out set changes.
    order = np.random.RandomState(arguments.seed).permutation(pool)
    held_out = order[train:] if own is None else np.arange(own, count)
    return order[:train], held_out, f"shuffled, seed {arguments.seed}"
