"""What every source of data gives: samples and targets as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Samples:
    """Raw samples `x [N, …]` and targets `y [N, …]`.

    `train`: the first so many are the source's own training set (None: it is not split).
    `largest`: the value that means full brightness (None: not known).
    `lengths`: the steps of every sequence, those of `x` behind them are 0 (None: all are full).
    `normalise`: what is done where nothing is asked for.
    """

    x: NDArray[np.float32] | NDArray[np.int64]
    y: NDArray[Any]
    train: int | None = None
    largest: float | None = None
    lengths: NDArray[np.int64] | None = None
    normalise: str = "standard"
