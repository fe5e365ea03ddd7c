"""The modules of a net: a namespace of parameters for every stage, and the numbers in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor, nn

from netdsl.initial import Init
from netdsl.ir import Parameter

# the owner, its `_parameters` or `_buffers`, and the name there; the dict is looked up at each use,
# since torch.export and functional calls put another in its place
Place: TypeAlias = tuple[nn.Module, str, str]
# the path of a child, its parent, its name there, and the child that was grown
Branch: TypeAlias = tuple[str, nn.Module, str, nn.Module]
# the path of a child that is called, and whether another module or `forward` is in its place
Called: TypeAlias = tuple[str, bool]

# where a child has the attributes that are not as they were grown, what it computes, and the names
# of its stages that have no module; no name of the text has this form
CHANGED, REGION, STAGES = "#changed", "#region", "#stages"


class Namespace(nn.Module):
    """Holds the parameters, buffers and training flag of one stage. The net itself computes, but
    for a child that is called (it has a hook, or another module in its place may wrap it)."""

    def forward(self, *tensors: Any) -> Any:
        region = self.__dict__.get(REGION)
        if region is None:
            raise RuntimeError(
                "a part of a net is not called on its own; ask for its path by `outputs=`"
            )
        return region(*tensors)

    def __setattr__(self, name: str, value: Any) -> None:
        """As of any module; refused where the net has a stage without a module, which would not be
        replaced."""
        if name in self.__dict__.get(STAGES, ()) and isinstance(value, nn.Module):
            raise RuntimeError(
                f"`{name}` is a stage without parameters: the net has no module there that could "
                "be replaced; change the .net file"
            )
        super().__setattr__(name, value)

    def __getitem__(self, number: int) -> nn.Module:
        """Of a group whose stages have numbers (`as layer1[]`), the module at one, from the end if
        negative, as of nn.Sequential; a stage without parameters has none."""
        names = {*self._modules, *self.__dict__.get(STAGES, ())}
        count = len([name for name in names if name.isdecimal()])
        if not -count <= number < count:
            raise IndexError(f"there are {count} numbered stages, and {number} was asked for")
        found = self._modules.get(str(number % count))
        if found is None:
            raise RuntimeError(f"{number % count} is a stage without parameters: it has no module")
        return found

    def train(self, mode: bool = True) -> Self:
        """As of any module, where a child is called `training` too."""
        self.__dict__["training"] = mode
        for child in self.children():
            child.train(mode)
        return self


def held(place: Place) -> dict[str, Any]:
    """The dict that holds a parameter or buffer under its name."""
    owner, kind, _ = place
    found: dict[str, Any] = owner.__dict__[kind]
    return found


def descend(
    root: nn.Module, path: str, stages: Mapping[str, nn.Module] = MappingProxyType({})
) -> nn.Module:
    """The child at a path, made where it is missing. Any name will do, `forward` too."""
    module, above = root, ""
    for name in path.split(".") if path else ():
        if name not in module._modules:
            module._modules[name] = stages.get(above + name) or Namespace()
        module, above = module._modules[name], f"{above}{name}."  # type: ignore[assignment]
    return module


@torch.no_grad()
def initialise(places: Iterable[Place], parameters: Iterable[Parameter]) -> None:
    """Fill every parameter and buffer from its distribution, in the order of the text."""
    for place, op in zip(places, parameters, strict=True):
        fill(held(place)[place[-1]], op.init)


def adopt(
    places: Iterable[Place], parameters: Iterable[Parameter], weights: Mapping[str, Tensor]
) -> None:
    """Copies of given numbers, in their dtype and the layout that was grown."""
    for place, op in zip(places, parameters, strict=True):
        given, there, name = weights[op.key], held(place), place[-1]
        copied = torch.empty_like(there[name], dtype=given.dtype, requires_grad=False).copy_(given)
        there[name] = copied if op.buffer else nn.Parameter(copied)


def fill(tensor: Tensor, init: Init) -> None:
    """Draw a tensor from its initial distribution, in the order of its axes whatever its layout: a
    seed gives the numbers that it gives torch.nn."""
    drawn = tensor if tensor.is_contiguous() else torch.empty_like(tensor, memory_format=_ROWS)
    _FILLS[init.name](drawn, *init.arguments)
    if drawn is not tensor:
        tensor.copy_(drawn)


_ROWS = torch.contiguous_format
_FILLS: dict[str, Callable[..., object]] = {
    "constant": lambda t, value: t.fill_(value),
    "uniform": lambda t, low, high: t.uniform_(low, high),
    "normal": lambda t, mean, std: t.normal_(mean, std),
    "orthogonal": nn.init.orthogonal_,
    "identity": lambda t: nn.init.eye_(t) if t.dim() == 2 else nn.init.dirac_(t),
}
