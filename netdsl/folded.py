"""Folded weights between calls: kept while nothing that they were made from can have changed.

`_version` alone does not see fused optimisers or writes through `p.data`; so a guard holds each
tensor's address and version, the number of optimiser steps taken in this process, and a sample of the
numbers themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

SAMPLES = 64  # numbers looked at in each tensor

_steps = 0


def _count_step(*_: object) -> None:
    global _steps
    _steps += 1


register_optimizer_step_post_hook(_count_step)


class Folded:
    """The saved results of a prelude and the guard of the tensors that they came from."""

    def __init__(self, sources: Sequence[Tensor], results: list[Tensor]) -> None:
        self.results = results
        self._sources = [t.detach() for t in sources]
        self._state = _state(sources)
        self._samples = [_sample(t) for t in self._sources]
        self._seen = torch.cat(self._samples) if self._samples else torch.empty(0)

    def fresh(self, sources: Sequence[Tensor]) -> bool:
        """Whether the results still follow from these tensors."""
        return _state(sources) == self._state and (
            not self._samples or torch.equal(torch.cat(self._samples), self._seen)
        )


def _state(sources: Sequence[Tensor]) -> tuple[object, ...]:
    versions = tuple(0 if t.is_inference() else t._version for t in sources)
    return _steps, versions, tuple(t.data_ptr() for t in sources)


def _sample(t: Tensor) -> Tensor:
    """A view of up to SAMPLES numbers spread over the tensor's memory."""
    room = t.untyped_storage().nbytes() // t.element_size() - t.storage_offset()
    count = min(t.numel(), room, SAMPLES)
    step = max(min(t.numel(), room) // max(count, 1), 1)
    return t.as_strided((count,), (step,), t.storage_offset())
