"""Tasks made to measure what a recurrent net remembers, of any length: `adding:200`, `copy:50`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from netdsl.datasets.samples import Samples

EXAMPLES = 10_000
SYMBOLS, REMEMBERED = 8, 10


def adding(length: int, seed: int) -> Samples:
    """The sum of two numbers of a sequence, one marked in each half; 1 is a guess with a mean
    square error of 1/6.

    Hochreiter & Schmidhuber 1997, experiment 4, as in Le et al. 2015, section 4.1.
    x [N, length, 2]: a number from 0 to 1 and its mark, 0 or 1 -> y [N]
    """
    random = np.random.RandomState(seed)
    x = np.zeros((EXAMPLES, length, 2), np.float32)
    x[:, :, 0] = random.uniform(size=(EXAMPLES, length))
    every, half = np.arange(EXAMPLES), length // 2
    for first, end in ((0, half), (half, length)):
        x[every, random.randint(first, end, EXAMPLES), 1] = 1
    y = (x[:, :, 0] * x[:, :, 1]).sum(axis=1)
    return Samples(x, y, normalise="none")


def copy(length: int, seed: int) -> Samples:
    """Ten symbols, said again after `length` steps; forgetting all costs 10 ln 8 / (length + 20).

    Hochreiter & Schmidhuber 1997 as in Arjovsky et al. 2016, section 5.1.
    x [N, length + 20]: 10 symbols from 1 to 8, blanks 0, the sign to begin 9 in front of the last
    10 -> y alike: blanks, then the symbols in the last 10 places
    """
    random = np.random.RandomState(seed)
    symbols = random.randint(1, SYMBOLS + 1, (EXAMPLES, REMEMBERED))
    x = np.zeros((EXAMPLES, length + 2 * REMEMBERED), np.int64)
    y = np.zeros_like(x)
    x[:, :REMEMBERED] = y[:, -REMEMBERED:] = symbols
    x[:, -REMEMBERED - 1] = SYMBOLS + 1
    return Samples(x, y, normalise="none")


TASKS: Mapping[str, Callable[[int, int], Samples]] = {"adding": adding, "copy": copy}
