"""An op of many steps, and what each of them is fed with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from netdsl.ir import Graph
from netdsl.op import Op

if TYPE_CHECKING:
    from torch import Tensor

# the operands of one step, in the order of the step graph's inputs -> its outputs
Step: TypeAlias = Callable[[Sequence["Tensor"]], Sequence["Tensor"]]


@dataclass(frozen=True)
class At:
    """What a step reads of a sequence: operand[:, τ + shift]."""

    operand: int
    shift: int


@dataclass(frozen=True)
class Carried:
    """The result of the step `lag` steps earlier; before the first, a start value."""

    result: int
    lag: int


@dataclass(frozen=True)
class Whole:
    """An operand as it is, the same at every step."""

    operand: int


@dataclass(frozen=True)
class Drawn:
    """A seed of the step's own, which follows from the operand's; `mirrored`: the first step to run
    has that of the last one elsewhere."""

    operand: int
    mirrored: bool = False


Feed: TypeAlias = At | Carried | Whole | Drawn


class Loop(Op):
    """An op of many steps: `run` is given how one is run, for each of `graphs`."""

    layer = False
    autocast = "inside"

    def __post_init__(self) -> None:
        pass

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The graphs of the steps number 0, 1, …; the last is that of all further ones, too."""
        raise NotImplementedError

    def run(self, steps: Sequence[Step], operands: Sequence[Tensor]) -> tuple[Tensor, ...]:
        raise NotImplementedError
