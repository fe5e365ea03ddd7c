"""What the calls of a net have in common as long as its parameters stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netdsl.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

PLANS_PACKED = 4  # sizes whose packed weights are kept


class Kept:
    """What calls share that have the same parameters: the results of a prelude, and the packed
    operands of the last few plans. A subclass says how a change of a parameter is seen."""

    def __init__(self, results: list[Tensor]) -> None:
        self.results = results
        self._packed: dict[int, tuple[Plan, list[Tensor]]] = {}  # by the plan's id, latest last

    def fresh(self, sources: Sequence[Tensor]) -> bool:
        """Whether the results still follow from these tensors."""
        raise NotImplementedError

    def packed(self, plan: Plan, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The packed operands of a plan, which takes these tensors."""
        found = self._packed.pop(id(plan), None)
        if found is None:
            found = plan, plan.pack(tensors)
            for old in list(self._packed)[: 1 - PLANS_PACKED]:
                self._packed.pop(old, None)
        self._packed[id(plan)] = found
        return found[1]
