"""Folded and packed weights between calls: kept while nothing that they were made from can have
changed. A frozen net goes by the writes that autograd counts, any other by a watch that sees all.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_

from torch import Tensor

from netdsl.kept import Kept
from netdsl.runtime import versions
from netdsl.watched import Watched


class Frozen(Kept):
    """Kept for the same tensors, whatever is written through `p.data`."""

    def __init__(self, sources: Sequence[Tensor], results: list[Tensor]) -> None:
        super().__init__(results)
        self._sources = list(sources)
        self._versions = versions(sources)

    def fresh(self, sources: Sequence[Tensor]) -> bool:
        """Whether these are the same tensors, and autograd has seen no write to any."""
        return all(map(is_, sources, self._sources)) and versions(sources) == self._versions


class Folded(Kept):
    """Kept as long as nobody writes to the tensors."""

    def __init__(self, sources: Sequence[Tensor], results: list[Tensor]) -> None:
        super().__init__(results)
        self._watched = Watched(sources, results)

    def fresh(self, sources: Sequence[Tensor]) -> bool:
        """Whether these are the same tensors, with the numbers that they had."""
        return self._watched.unchanged(sources)
