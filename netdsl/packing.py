"""What a call returns: the one anonymous output, a named tuple of the named ones, or the taps."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from netdsl.ir import Graph

if TYPE_CHECKING:
    from torch import Tensor


def packer(graph: Graph) -> Callable[[Mapping[str, Tensor]], Any]:
    """How the outputs by name become what a call returns."""
    declared = tuple(o.name for o in graph.outputs)
    if declared == ("return",):
        return _anonymous
    if any(o.role == "tap" for o in graph.outputs):
        return partial(_tuple, declared)
    return partial(_named_tuple, graph.name, declared)


def _anonymous(found: Mapping[str, Tensor]) -> Tensor:
    return found["return"]


def _tuple(declared: tuple[str, ...], found: Mapping[str, Tensor]) -> tuple[Tensor | None, ...]:
    return tuple(found.get(name) for name in declared)


def _named_tuple(net: str, declared: tuple[str, ...], found: Mapping[str, Tensor]) -> Any:
    return _named_type(net, declared)(*_tuple(declared, found))


@lru_cache
def _named_type(net: str, declared: tuple[str, ...]) -> Any:
    return namedtuple(net, declared, rename=True)
