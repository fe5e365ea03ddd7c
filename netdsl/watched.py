"""Whether a tensor was written to, told without reading it.

`_version` does not see fused optimisers or writes through `p.data`, and reading all weights takes
as long as memory does (5 ms for ResNet-50's). So a watched tensor is lazily cloned (torch's copy on
write): whatever then writes to its memory, through `p.data`, a view, an optimiser or NumPy, is
given new memory first, and the address changes; `data_ptr()`, too, counts as a write. Memory that
cannot be cloned lazily (shared with another process, NumPy's), or that something else holds when
the watch begins (a NumPy view made before writes as it likes), is copied and compared, number by
number.

The limit: a bare pointer that somebody outside torch took earlier and kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import is_

import torch
from torch import Tensor

_address: Callable[[Tensor], int] = torch._C._data_address  # type: ignore[attr-defined]
# bytes of a number -> the integers that its bits are compared as
_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Watched:
    """Tensors, and what tells of a write to one of them.

    ours  further tensors that may share their memory and that nobody writes to
    """

    def __init__(self, tensors: Sequence[Tensor], ours: Iterable[Tensor] = ()) -> None:
        self._tensors = list(tensors)
        holders = {id(t): t for t in (*tensors, *ours)}.values()
        self._holders = Counter(t.untyped_storage()._cdata for t in holders)
        self._cloned: list[Tensor] = []
        self._clones: list[Tensor] = []
        self._copies: list[tuple[Tensor, Tensor]] = []
        self._watch(self._tensors)

    def unchanged(self, tensors: Sequence[Tensor]) -> bool:
        """Whether these are the same tensors, with the numbers that they had."""
        return (
            all(map(is_, tensors, self._tensors))
            and list(map(_address, self._cloned)) == self._addresses
            and (not self._copies or self._compare())
        )

    def _watch(self, tensors: Iterable[Tensor]) -> None:
        for t in tensors:
            clone = self._clone(t)
            if clone is None:
                self._copies.append((t, _words(t).clone()))
            else:
                self._cloned.append(t)
                self._clones.append(clone)
        self._addresses = list(map(_address, self._cloned))

    def _clone(self, t: Tensor) -> Tensor | None:
        """A lazy clone, where nobody else holds the memory and torch can make one."""
        storage = t.untyped_storage()
        held = torch._C._storage_Use_Count(storage._cdata) - 1  # `storage` is one
        if held > self._holders[storage._cdata]:
            return None
        try:
            return torch._lazy_clone(t.detach())
        except RuntimeError:
            return None

    def _compare(self) -> bool:
        if not all(torch.equal(_words(t), copy) for t, copy in self._copies):
            return False
        copied = [t for t, _ in self._copies]
        self._copies.clear()
        self._watch(copied)
        return True


def _words(t: Tensor) -> Tensor:
    return t.detach().view(_WORDS[t.element_size()])
