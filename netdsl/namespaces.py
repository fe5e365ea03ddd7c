"""The module tree of a net: a child for every namespace of its parameters, with their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from netdsl.initial import Init
from netdsl.ir import Graph, Parameter

# the owner's dict of parameters or buffers, and the name there
Place: TypeAlias = tuple[dict[str, Any], str]
# the parent's children, the name there, and the child that was grown
Branch: TypeAlias = tuple[dict[str, Any], str, nn.Module]


class Namespace(nn.Module):
    """Holds the parameters, buffers and training flag of one stage; the net itself computes."""

    def forward(self, *_: Any) -> Any:
        raise RuntimeError("a part of a net is not called on its own; ask for its path by `outputs=`")


def grow(root: nn.Module, graph: Graph, paths: Iterable[str], channels_last: bool) -> list[Place]:
    """Give `root` the graph's parameters, uninitialised, and a child for every path; the places of
    the parameters, in order."""
    places = []
    for op in graph.parameters:
        path, _, name = op.key.rpartition(".")
        owner = descend(root, path)
        tensor = torch.empty(op.type.shape, dtype=_DTYPES[op.type.dtype])  # type: ignore[arg-type]
        if channels_last and tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        held: dict[str, Any] = owner._buffers if op.buffer else owner._parameters
        held[name] = tensor if op.buffer else nn.Parameter(tensor)
        places.append((held, name))
    for path in paths:
        descend(root, path)
    return places


def descend(root: nn.Module, path: str) -> nn.Module:
    """The child at a path, made where it is missing. Any name will do, `forward` too."""
    module = root
    for name in path.split(".") if path else ():
        if name not in module._modules:
            module._modules[name] = Namespace()
        module = module._modules[name]  # type: ignore[assignment]
    return module


def branches(root: nn.Module) -> list[Branch]:
    """Every parent and child of the tree as it was grown."""
    return [
        (parent._modules, name, child)
        for parent in root.modules()
        for name, child in parent._modules.items()
        if child is not None
    ]


def check_branches(grown: Iterable[Branch]) -> None:
    """Refuse, rather than ignore, a child that was replaced or that has a hook."""
    for children, name, child in grown:
        if (
            children.get(name) is not child
            or child._forward_hooks
            or child._forward_pre_hooks
            or child._backward_hooks
        ):
            raise RuntimeError(
                f"the child `{name}` was replaced or has a hook, but a compiled net does not call its "
                "children; change the .net file, or ask for the stage by `outputs=`"
            )


@torch.no_grad()
def initialise(places: Iterable[Place], parameters: Iterable[Parameter]) -> None:
    """Fill every parameter and buffer from its distribution, in the order of the text."""
    for (held, name), op in zip(places, parameters, strict=True):
        fill(held[name], op.init)


def fill(tensor: Tensor, init: Init) -> None:
    """Draw a tensor from its initial distribution."""
    _FILLS[init.name](tensor, *init.arguments)


_DTYPES = {"float": None, "int": torch.int64, "bool": torch.bool}
_FILLS: dict[str, Callable[..., object]] = {
    "constant": lambda t, value: t.fill_(value),
    "uniform": lambda t, low, high: t.uniform_(low, high),
    "normal": lambda t, mean, std: t.normal_(mean, std),
    "orthogonal": nn.init.orthogonal_,
    "identity": lambda t: nn.init.eye_(t) if t.dim() == 2 else nn.init.dirac_(t),
}
