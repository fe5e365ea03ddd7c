"""A net node by node: the oracle, and the way of calls that tracers and transforms go through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netdsl.draws import Draws
from netdsl.errors import InputError, Problem
from netdsl.externs import planted
from netdsl.interpreter import interpret
from netdsl.ir import Graph, Output
from netdsl.modes import SEED, specialise
from netdsl.ops.cast import Autocast
from netdsl.passes.autocast import state_at
from netdsl.record import know, record
from netdsl.rewrite import with_sizes
from netdsl.settings import Settings
from netdsl.signature import autocasts, bind


class Reference:
    """A graph in any of its modes, on a pool of inputs, parameters and buffers (`keys`); it ends
    with the seed, if the mode takes one.

    modal     the paths of the modules whose training flags count
    root      where the supplied modules are planted
    supplied  what Python supplies at the paths of the externs' uses
    like      the key of the parameter that has the dtype `float` (None: the first floating tensor)
    """

    def __init__(
        self,
        graph: Graph,
        settings: Settings,
        keys: Sequence[str],
        modal: Sequence[str],
        root: nn.Module,
        supplied: Mapping[str, Callable[..., Any]],
        like: str | None,
        draws: Draws,
    ) -> None:
        self._graph = graph
        self._settings = settings
        self._keys = keys
        self._modal = modal
        self._root = root
        self._supplied = supplied
        self._like = like
        self._draws = draws

    def __call__(
        self,
        pool: Sequence[Tensor],
        training: tuple[bool, ...],
        bindings: Mapping[str, Any],
        mixed: Autocast | None,
    ) -> tuple[Sequence[Output], list[Tensor]]:
        """The outputs of a mode, and their results; the pool comes without a seed."""
        outputs, seeded = self._outputs(training)
        seeds = self._draws.seeds(seeded)
        return outputs, self._interpret([*pool, *seeds], training, bindings, mixed)

    def record(
        self, pool: Sequence[Tensor], training: tuple[bool, ...]
    ) -> tuple[Sequence[Output], list[Tensor]]:
        """Likewise of a call that torch.export or torch.jit.trace writes down: plain ATen, since it
        runs where netdsl may not be."""
        outputs, seeded = self._outputs(training)
        return outputs, record(self._known(), training, [*pool, *self._draws.seeds(seeded)])

    def recorded(self, training: tuple[bool, ...], pool: Sequence[Tensor]) -> list[Tensor]:
        """The results of a mode, at sizes that a tracer may leave open."""
        given = dict(zip(self._keys, pool, strict=False))
        like = None if self._like is None else given[self._like]
        bindings = bind(self._graph, pool[: len(self._graph.inputs)], like)
        owned = pool[: len(self._keys)]
        mixed = state_at(self._keys, owned) if autocasts(pool[0]) else None
        return self._interpret(pool, training, bindings, mixed)

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _known(self) -> str:
        return know(self)

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _outputs(self, training: tuple[bool, ...]) -> tuple[tuple[Output, ...], bool]:
        """The outputs of a mode, and whether it takes a seed."""
        graph = self._moded(training)
        return graph.outputs, any(op.role == "seed" for op in graph.inputs)

    def _moded(self, training: tuple[bool, ...]) -> Graph:
        paths = [path for path, on in zip(self._modal, training, strict=True) if on]
        return specialise(self._graph, paths, self._settings.synced, self._draws.streams)

    def _interpret(
        self,
        pool: Sequence[Tensor],
        training: tuple[bool, ...],
        bindings: Mapping[str, Any],
        mixed: Autocast | None,
    ) -> list[Tensor]:
        known = {name: size for name, size in bindings.items() if isinstance(size, int)}
        rest = {name: size for name, size in bindings.items() if name not in known}
        given = dict(zip((*self._keys, SEED), pool, strict=False))
        dtype = None if self._like is None else torch.float32 if mixed else given[self._like].dtype
        functions = planted(self._root, self._supplied)
        try:
            graph = with_sizes(self._moded(training), known)
            return interpret(graph, given, functions, dtype, mixed, rest)
        except Problem as problem:
            raise InputError((problem.at(None),)) from None
