"""What a net and its parts have in common: how they run, and whether they may learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Settings:
    """How a net runs; a change holds for its parts too.

    backend  "auto": our plans; "reference": node by node with torch's autograd
    off      names of passes to leave out
    synced   the name of the process group whose batches bn in training takes as one ("": the
             default group, None: this process's batch alone)
    frozen   of a frozen net, the names of the parameters that required a gradient before
    """

    backend: str
    off: tuple[str, ...] = ()
    synced: str | None = None
    frozen: tuple[str, ...] | None = None

    def check_not_frozen(self, what: str) -> None:
        """`RuntimeError` where a frozen net cannot do what is asked of it."""
        if self.frozen is not None:
            raise RuntimeError(f"a frozen net cannot {what}: call `unfreeze()` first")

    def check_untrained(self, training: tuple[bool, ...], owned: Sequence[Tensor]) -> None:
        """Refuse to train a part of a frozen net, whatever it runs by."""
        learning = torch.is_grad_enabled() and any(t.requires_grad for t in owned)
        if learning or True in training:
            self.check_not_frozen("be trained")
