"""Where arrays come from: shipped and made sets by name, .npz files, Python functions."""

from __future__ import annotations

import importlib
import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.datasets.errors import DataError, did_you_mean
from netdsl.datasets.samples import Samples
from netdsl.datasets.series import SERIES, read_series
from netdsl.datasets.shipped import IMAGES, read_images
from netdsl.datasets.spec import Arguments
from netdsl.datasets.tasks import TASKS

BUILT_IN = (*IMAGES, *SERIES, *TASKS)


def read(source: str, arguments: Arguments) -> Samples:
    """The samples of a source, as they are stored."""
    if source in TASKS:
        if arguments.length is None:
            raise DataError(f"`{source}` is a task of any length: say it, as in `{source}:100`")
        return TASKS[source](arguments.length, arguments.seed)
    if arguments.length is not None:
        raise DataError(f"`{source}` has a length of its own; {', '.join(TASKS)} take one")
    if source in IMAGES:
        return read_images(source)
    if source in SERIES:
        return read_series(source)
    if source.endswith(".npz"):
        return _samples(source, _read_npz(source))
    module, colon, function = source.partition(":")
    if colon:
        return _samples(source, _call(module, function))
    raise DataError(
        f"no data set is called `{source}`: there are {', '.join(BUILT_IN)}, a file.npz, "
        f"or a package:function{did_you_mean(source, BUILT_IN)}"
    )


def _read_npz(source: str) -> dict[str, NDArray[Any]]:
    if not Path(source).is_file():
        raise DataError(f"there is no file `{source}`")
    if not zipfile.is_zipfile(source):
        raise DataError(f"`{source}` is not an .npz file (numpy.savez writes them)")
    try:
        with np.load(source, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"cannot read `{source}`: {error}") from error


def _call(module: str, function: str) -> Mapping[str, Any]:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append("")  # the user's own module beside the net, as `python -m` would find it
    what = f"`{module}:{function}`"
    try:
        target = importlib.import_module(module)
        result = getattr(target, function)()
    except Exception as error:  # whatever the user's code raises is about the user's data
        raise DataError(f"{what} raised {type(error).__name__}: {error}") from error
    if isinstance(result, tuple) and len(result) in (2, 4):
        names = ("x", "y") if len(result) == 2 else ("x_train", "y_train", "x_test", "y_test")
        return dict(zip(names, result, strict=True))
    if isinstance(result, Mapping):
        return result
    raise DataError(f"{what} returns {type(result).__name__}, not (x, y) or a dict of arrays")


def _samples(source: str, arrays: Mapping[str, Any]) -> Samples:
    names = set(arrays)
    if {"x", "y"} <= names:
        x, y = _array(source, arrays["x"]), np.asarray(arrays["y"])
        return _checked(source, x, y, train=None)
    if {"x_train", "y_train", "x_test", "y_test"} <= names:
        x_train, x_test = _array(source, arrays["x_train"]), _array(source, arrays["x_test"])
        y_train, y_test = np.asarray(arrays["y_train"]), np.asarray(arrays["y_test"])
        for name, train, test in (("x", x_train, x_test), ("y", y_train, y_test)):
            if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
                raise DataError(
                    f"`{source}`: {name}_train is {train.dtype} {list(train.shape)} and "
                    f"{name}_test {test.dtype} {list(test.shape)}"
                )
        if len(x_train) != len(y_train):
            raise DataError(f"`{source}`: {len(x_train)} samples and {len(y_train)} targets")
        x, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
        return _checked(source, x, y, train=len(x_train))
    raise DataError(
        f"`{source}` holds {', '.join(sorted(map(str, names))) or 'nothing'}; "
        "it must hold x and y, or x_train, y_train, x_test and y_test"
    )


def _array(source: str, value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise DataError(f"`{source}`: the samples are {array.dtype}, not numbers")
    if array.ndim < 2:
        raise DataError(f"`{source}`: samples are [N, …], these have the shape {list(array.shape)}")
    return array


def _checked(source: str, x: NDArray[Any], y: NDArray[Any], train: int | None) -> Samples:
    if y.dtype.kind not in "buif" or y.ndim < 1:
        raise DataError(f"`{source}`: the targets are {y.dtype} {list(y.shape)}, not numbers [N]")
    if len(x) != len(y):
        raise DataError(f"`{source}`: {len(x)} samples and {len(y)} targets")
    largest = 255.0 if x.dtype == np.uint8 else None
    samples = x.astype(np.float32)
    if not np.isfinite(samples).all():
        raise DataError(f"`{source}`: the samples hold NaN or infinity")
    return Samples(samples, y, train, largest)
