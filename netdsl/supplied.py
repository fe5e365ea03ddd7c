"""An op that Python supplies: declared by `extern` in a file, called where the graph has it.

The graph knows its types only. The function or module comes with the net that runs it
(`load(…, ops={"deform": …})`), and its gradient is torch's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netdsl.errors import Problem
from netdsl.op import Op, Type
from netdsl.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Supplied(Op):
    """One use of an extern.

    extern    the name it is declared under
    given     its hyper-parameters
    operands  the types that it takes, and `types` those that it gives, called `names`
    path      of the instance: two uses are never one, the function may have a state
    """

    extern: str
    given: tuple[tuple[str, Any], ...]
    operands: tuple[Type, ...]
    types: tuple[Type, ...]
    names: tuple[str, ...]
    path: str

    name = "extern"
    layer = False
    autocast = "inside"

    def __post_init__(self) -> None:
        pass

    @property
    def results(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.names

    def infer(self, *operands: Type) -> tuple[Type, ...]:
        if operands != self.operands:
            raise Problem(
                "N202",
                f"`{self.extern}` takes {', '.join(map(str, self.operands))} at `{self.path}`, "
                f"but is given {', '.join(map(str, operands))}",
            )
        return self.types

    def reference(self, *operands: Any, **_: Any) -> Any:
        raise missing(self)

    def map_sizes(self, change: Callable[[Size], Size]) -> Op:
        operands = tuple(t.map(change) for t in self.operands)
        types = tuple(t.map(change) for t in self.types)
        same = (operands, types) == (self.operands, self.types)
        return self if same else replace(self, operands=operands, types=types)

    def at_sizes(self, size: Callable[[Size], Any]) -> Op:
        return self.map_sizes(size)

    def arguments(self) -> str:
        return ", ".join((self.extern, *(f"{name}={value}" for name, value in self.given)))

    def call(self, function: Callable[..., Any], operands: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What the function gives, which must be what the file declares."""
        made = function(*operands, **dict(self.given))
        results = tuple(made) if isinstance(made, (tuple, list)) else (made,)
        shapes = [list(getattr(y, "shape", ())) for y in results]
        if shapes != [list(t.shape) for t in self.types]:
            raise Problem(
                "N202",
                f"`{self.extern}` gave {', '.join(map(str, shapes))} at `{self.path}`, "
                f"but its `extern` declares {', '.join(map(str, self.types))}",
            )
        return results


def missing(op: Supplied) -> Problem:
    """N116: nobody supplied the op."""
    return Problem(
        "N116",
        f"`{op.extern}` is supplied by Python, and nothing was",
        helps=(f'`netdsl.load(…, ops={{"{op.extern}": function_or_module}})` supplies it',),
    )
