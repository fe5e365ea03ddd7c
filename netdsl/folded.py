"""Folded and packed weights between calls: kept while nothing that they were made from can have
changed.

`_version` alone does not see fused optimisers or writes through `p.data`; so a guard holds each
tensor's address and version, the number of optimiser steps taken in this process, and what the
tensors' bits say: vectors whole; of a weight the sum of every row's words, which any write of one
number changes, and a number of every row, of every column and of every place in the window, which
moved and negated ones change. That takes 5 ms of ResNet-50's 110; a frozen net goes by `_version`.

The limit: several numbers of one row written behind autograd's back (`p.data`, a NumPy view) whose
words have the same sum as before and that no sample meets: two swapped ones, an even number of
flipped signs. After such a write call `model.eval()`, which drops what is folded; any other way to
change a weight is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from netdsl.kept import Kept
from netdsl.runtime import versions

_steps = 0


def _count_step(*_: object) -> None:
    global _steps
    _steps += 1


register_optimizer_step_post_hook(_count_step)


# bytes of a number -> the integers that its bits are looked at as
_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


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
    """Kept while the guard of the tensors sees no change."""

    def __init__(self, sources: Sequence[Tensor], results: list[Tensor]) -> None:
        super().__init__(results)
        self._state = _state(sources)
        # views of the sources, which keep their addresses from being used again
        words = [t.detach().view(_WORDS[t.element_size()]) for t in sources]
        samples = [sample for t in words for sample in _samples(t)]
        # apart, since torch.cat is many times faster where all are contiguous
        self._whole = [sample for sample in samples if sample.is_contiguous()]
        self._strided = [sample for sample in samples if not sample.is_contiguous()]
        self._summed = [(t, tuple(range(1, t.dim())), t.dtype) for t in words if t.dim() > 1]
        self._seen = self._look()

    def fresh(self, sources: Sequence[Tensor]) -> bool:
        """Whether versions, addresses and bits are as they were."""
        return (
            _state(sources) == self._state
            and None not in self._state[1]
            and torch.equal(self._look(), self._seen)
        )

    def _look(self) -> Tensor:
        """What the sources' bits say now; sums wrap around, so one changed word changes them."""
        sums = [t.sum(rest, dtype=dtype) for t, rest, dtype in self._summed]
        strided = [torch.cat(self._strided)] if self._strided else []
        return torch.cat([*self._whole, *strided, *sums])


State = tuple[int, tuple[int | None, ...], tuple[int, ...]]


def _state(sources: Sequence[Tensor]) -> State:
    """Optimiser steps, versions (an inference tensor has None: it counts nothing) and addresses."""
    return _steps, versions(sources), tuple([t.data_ptr() for t in sources])


def _samples(t: Tensor) -> list[Tensor]:
    """Views, of one axis each, of the numbers that are looked at."""
    if t.dim() < 2:
        return [t.reshape(-1)]
    if t.numel() == 0:
        return []
    column, row = t[:, 0], t[0]
    for _ in range(t.dim() - 2):
        column, row = column[:, 0], row[:, 0]
    return [column, row, t[0, 0].reshape(-1)] if t.dim() > 2 else [column, row]
