"""The seeds of layers that draw numbers: one a call, of which each layer's stream tells its own."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import NamedTuple

import torch
from torch import Tensor


def draw_seed() -> Tensor:
    """A seed from torch's generator."""
    return torch.randint(0, 2**63 - 1, ())


class OneSeed:
    """The seed of a net's call in pieces, drawn where the first piece asks; each thread has its
    own."""

    def __init__(self) -> None:
        self._seeds: dict[int, Tensor] = {}

    def forget(self) -> None:
        """The call is over."""
        self._seeds.pop(_thread(), None)

    def __call__(self) -> Tensor:
        thread = _thread()
        if thread not in self._seeds:
            self._seeds[thread] = draw_seed()
        return self._seeds[thread]


def _thread() -> int:
    return 0 if torch.compiler.is_compiling() else get_ident()


class Draws(NamedTuple):
    """Where a net's layers have their numbers from.

    seed     gives the seed of a call
    streams  of its modal layers in canonical order, those that they have in a net of which it is a
             part (none: counted from 0)
    """

    seed: Callable[[], Tensor] = draw_seed
    streams: tuple[int, ...] = ()

    def seeds(self, wanted: bool) -> list[Tensor]:
        """The seed of a call node by node, if it wants one."""
        if not wanted:
            return []
        seed = self.seed()
        if torch._C._functorch.is_batchedtensor(seed):
            raise RuntimeError(
                'a net that draws numbers runs under vmap with randomness="same" only: for masks '
                "of their own give the examples as one batch"
            )
        return [seed]
