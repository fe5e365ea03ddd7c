"""The modules that a net has grown, as its calls look them up: what they hold, which are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netdsl.counterparts import stages
from netdsl.externs import plant
from netdsl.ir import Graph
from netdsl.modes import modal_paths
from netdsl.namespaces import CHANGED, STAGES, Branch, Called, Place, descend, held
from netdsl.recur import every_node


class Tree:
    """The modules of a graph.

    places    of its parameters and buffers by key, in its order
    modal     its modules whose training flags count by path, the net itself first
    branches  every parent and child, as they were grown
    """

    def __init__(
        self,
        places: Mapping[str, Place],
        modal: Mapping[str, nn.Module],
        branches: Sequence[Branch],
    ) -> None:
        self.places = dict(places)
        self.modal = dict(modal)
        self.branches = list(branches)
        self._owned = list(self.places.values())
        self._modes = list(self.modal.values())
        self._children = [child for *_, child in self.branches]
        self._hooks = [found for child in self._children for found in _hooks(child)]
        grown: dict[nn.Module, dict[str, nn.Module]] = {}
        for _, parent, name, child in self.branches:
            grown.setdefault(parent, {})[name] = child
        self._grown = list(grown.items())

    def part(self, graph: Graph, branches: Sequence[Branch]) -> Tree:
        """The modules of a graph of some of the layers; `branches` are the children in it."""
        places = {op.key: self.places[op.key] for op in graph.parameters}
        return Tree(places, {path: self.modal[path] for path in modal_paths(graph)}, branches)

    def tensors(self) -> list[Tensor]:
        """The parameters and buffers, in order."""
        try:
            return [owner.__dict__[kind][name] for owner, kind, name in self._owned]
        except KeyError:
            return [self._tensor(key) for key in self.places]

    def training(self) -> tuple[bool, ...]:
        """The training flags that count."""
        return tuple([module.training for module in self._modes])

    def called(self) -> tuple[Called, ...]:
        """The children to call: replaced, with a hook, or with a `forward` of their own."""
        if (
            not [parent for parent, grown in self._grown if parent._modules != grown]
            and not [child for child in self._children if "forward" in child.__dict__]
            and not any(self._hooks)
        ):
            return ()
        others = [
            (path, True)
            for path, parent, name, child in self.branches
            if parent._modules.get(name) is not child or "forward" in child.__dict__
        ]
        known = {path for path, _ in others}
        hooked = [
            (path, False)
            for path, *_, child in self.branches
            if path not in known and any(_hooks(child))
        ]
        return (*others, *hooked)

    def _tensor(self, key: str) -> Tensor:
        try:
            return tensor_at(self.places[key])
        except AttributeError:
            raise RuntimeError(
                f"`{key}` was removed, but a compiled net reads its parameters where the .net file "
                "puts them"
            ) from None


def grow(
    root: nn.Module, graph: Graph, supplied: Mapping[str, Callable[..., Any]], channels_last: bool
) -> Tree:
    """Give `root` the graph's parameters, uninitialised, and a child for every path: a counterpart
    of torch.nn, a copy of a module that is supplied there, or a namespace."""
    made, places = stages(graph), {}
    for op in graph.parameters:
        path, _, name = op.key.rpartition(".")
        owner = descend(root, path, made)
        images = channels_last and op.type.rank == 4
        tensor = torch.empty(
            op.type.shape,  # type: ignore[arg-type]
            dtype=_DTYPES[op.type.dtype],
            memory_format=torch.channels_last if images else torch.contiguous_format,
        )
        place = places[op.key] = owner, "_buffers" if op.buffer else "_parameters", name
        held(place)[name] = tensor if op.buffer else nn.Parameter(tensor)
    modal = {path: descend(root, path, made) for path in modal_paths(graph)}
    tree = Tree(places, modal, _branches(root))
    plant(root, supplied)
    _mark_stages(root, (node.path for node in every_node(graph) if node.path))
    return tree


def tensor_at(place: Place) -> Tensor:
    """A parameter or buffer as its owner has it: registered, computed by a parametrisation, or set
    by a hook."""
    owner, _, name = place
    if name in held(place):
        found = held(place)[name]
    elif name in getattr(owner, "parametrizations", ()):
        found = getattr(owner, name)
    else:
        found = owner.__dict__.get(name)
    if not isinstance(found, Tensor):
        raise AttributeError(name)
    return found


def _branches(root: nn.Module) -> list[Branch]:
    return [
        (f"{path}.{name}" if path else name, parent, name, child)
        for path, parent in root.named_modules()
        for name, child in parent._modules.items()
        if child is not None
    ]


def _hooks(child: nn.Module) -> list[dict[int, Any]]:
    """A child's dicts of hooks and changed attributes; empty as long as nobody sets any."""
    return [
        child._forward_hooks,
        child._forward_pre_hooks,
        child._backward_hooks,
        child._backward_pre_hooks,
        child.__dict__.get(CHANGED, {}),
    ]


def _mark_stages(root: nn.Module, paths: Iterable[str]) -> None:
    """Tell every namespace the names below it that stages have and modules have not."""
    for path in paths:
        module = root
        for name in path.split("."):
            if name not in module._modules:
                module.__dict__.setdefault(STAGES, set()).add(name)
                break
            module = module._modules[name]  # type: ignore[assignment]


_DTYPES = {"float": None, "int": torch.int64, "bool": torch.bool}
