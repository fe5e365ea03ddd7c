"""What Python supplies for the externs of a net: functions, and modules as children at their paths.

Every use of a module is an instance: a copy, with parameters of its own under its path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from torch import nn

from netdsl.errors import NetError
from netdsl.ir import Graph
from netdsl.namespaces import descend
from netdsl.recur import every_node
from netdsl.supplied import Supplied, missing


def externs_of(graph: Graph) -> tuple[str, ...]:
    """The paths where a net uses what Python supplies."""
    return tuple(n.path for n in every_node(graph) if isinstance(n.op, Supplied))


def under(key: str, paths: Iterable[str]) -> bool:
    """Whether a key of a state_dict belongs to the module at one of the paths."""
    return any(key.startswith(f"{path}.") for path in paths)


def uses_of(graph: Graph, ops: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The paths of the externs' uses, and what is supplied there. Raises `NetError` for an extern
    that nobody supplies, `ValueError` for an op that no extern declares."""
    uses = [node for node in every_node(graph) if isinstance(node.op, Supplied)]
    names = {node.op.extern for node in uses if isinstance(node.op, Supplied)}
    lacking = {
        node.op.extern: missing(node.op).at(node.span)
        for node in reversed(uses)
        if isinstance(node.op, Supplied) and node.op.extern not in ops
    }
    if lacking:
        raise NetError(tuple(reversed(lacking.values())))
    for name in ops:
        if name not in names:
            has = f"it uses {', '.join(sorted(names))}" if names else "it uses none"
            raise ValueError(f"ops= supplies `{name}`, and {graph.name} uses no such extern; {has}")
    return {node.path: ops[node.op.extern] for node in uses if isinstance(node.op, Supplied)}


def plant(root: nn.Module, supplied: Mapping[str, Callable[..., Any]]) -> None:
    """Make a copy of a supplied module the child at each path of its uses."""
    for path, module in supplied.items():
        if isinstance(module, nn.Module):
            parent, _, child = path.rpartition(".")
            descend(root, parent)._modules[child] = deepcopy(module)


def planted(
    root: nn.Module, supplied: Mapping[str, Callable[..., Any]]
) -> dict[str, Callable[..., Any]]:
    """What each use of an extern calls: the child at its path, or the function itself."""
    return {
        path: descend(root, path) if isinstance(function, nn.Module) else function
        for path, function in supplied.items()
    }
