"""Folded weights between calls: kept while nothing that they were made from can have changed.

`_version` alone does not see fused optimisers or writes through `p.data`; so a guard holds each
tensor's address and version, the number of optimiser steps taken in this process, and numbers out
of the tensors themselves: vectors whole, of a weight at least one number of every row, of every
column and of every place in the window. Reading all of ResNet-50's weights would take 15 ms a call;
this takes 0.5.

The limit: a write of single numbers behind autograd's back (`p.data[7, 5] = 0`, a NumPy view) can
miss all of those. After such a write call `model.eval()`, which drops what is folded; any other way
to change a weight is seen, and a write through `p.data` to whole tensors, rows or columns is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

_steps = 0


def _count_step(*_: object) -> None:
    global _steps
    _steps += 1


register_optimizer_step_post_hook(_count_step)


class Folded:
    """The saved results of a prelude and the guard of the tensors that they came from."""

    def __init__(self, sources: Sequence[Tensor], results: list[Tensor]) -> None:
        self.results = results
        self._state = _state(sources)
        # views of the sources, which keep their addresses from being used again
        self._samples = [sample for t in sources for sample in _samples(t.detach())]
        self._seen = torch.cat(self._samples)

    def fresh(self, sources: Sequence[Tensor]) -> bool:
        """Whether the results still follow from these tensors."""
        return (
            _state(sources) == self._state
            and None not in self._state[1]
            and torch.equal(torch.cat(self._samples), self._seen)
        )


State = tuple[int, tuple[int | None, ...], tuple[int, ...]]


def _state(sources: Sequence[Tensor]) -> State:
    """Optimiser steps, versions (an inference tensor has None: it counts nothing) and addresses."""
    versions = tuple([None if t.is_inference() else t._version for t in sources])
    return _steps, versions, tuple([t.data_ptr() for t in sources])


def _samples(t: Tensor) -> list[Tensor]:
    """Views, of one axis each, of the numbers that are looked at."""
    if t.dim() < 2:
        return [t.reshape(-1)]
    (short, across), (long, along) = sorted(zip(t.shape, t.stride()[:2], strict=False))
    at = t.storage_offset()
    if short * short > long:  # diagonals, one below the other
        step = along + across
        found = [
            t.as_strided((min(short, long - i),), (step,), at + i * along)
            for i in range(0, long, short)
        ]
    else:
        found = [t.as_strided((long,), (along,), at + i * across) for i in range(short)]
    return [*found, t[0, 0].reshape(-1)] if t.dim() > 2 and t.numel() else found
