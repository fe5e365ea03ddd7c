"""Time series of the UCR and UEA archives, in the .ts files that the package aeon ships.

A .ts file is a header of lines `@key value`, then, behind `@data`, an example a line: its channels
with `:` between them, numbers with `,` between them, then the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netdsl.datasets.errors import DataError
from netdsl.datasets.samples import Samples
from netdsl.datasets.shipped import installed_file

SERIES = ("JapaneseVowels", "ItalyPowerDemand", "BasicMotions")


def read_series(name: str) -> Samples:
    """`x [N, T, D]`, padded with 0 behind the end of shorter ones, their lengths and classes; the
    archive's own training and test set."""
    train, test = (
        read_ts(
            installed_file(name, "aeon", "aeon", f"datasets/data/{name}/{name}_{part}.ts", True)
        )
        for part in ("TRAIN", "TEST")
    )
    series = [*train[0], *test[0]]
    lengths = np.array([len(s) for s in series], np.int64)
    x = np.zeros((len(series), lengths.max(), series[0].shape[1]), np.float32)
    for row, s in zip(x, series, strict=True):
        row[: len(s)] = s
    equal = bool((lengths == lengths[0]).all())
    y = np.concatenate([train[1], test[1]])
    return Samples(x, y, train=len(train[0]), lengths=None if equal else lengths)


def read_ts(file: Path) -> tuple[list[NDArray[np.float32]], NDArray[np.int64]]:
    """The series `[T, D]` of a .ts file, and their classes as numbers in the header's order."""
    header, _, body = file.read_text("utf-8").partition("@data\n")
    words = [line[1:].split() for line in header.splitlines() if line.startswith("@")]
    keys = {key.lower(): values for key, *values in words}
    if keys.get("timestamps", ["false"]) != ["false"]:
        raise DataError(f"{file} has a time beside every value, which is not read")
    has_label, *labels = keys.get("classlabel", ["false"])
    if has_label != "true":
        raise DataError(f"{file} has no classes")
    number = {label: i for i, label in enumerate(labels)}
    series, classes = [], []
    for line in filter(None, map(str.strip, body.splitlines())):
        *channels, label = line.split(":")
        series.append(_channels(file, channels))
        if label not in number:
            raise DataError(f"{file} has the class {label}, which its header does not name")
        classes.append(number[label])
    return series, np.array(classes, np.int64)


def _channels(file: Path, channels: Sequence[str]) -> NDArray[np.float32]:
    """Text of one channel each -> `[T, D]`."""
    try:
        return np.array([c.split(",") for c in channels], np.float32).T
    except ValueError as error:
        raise DataError(f"{file} has a series that cannot be read: {error}") from error
