"""Calls of a graph whose parameters stand in modules: by our plans, in pieces, or node by node."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netdsl.called import Computes, Cut
from netdsl.counterparts import check_synced
from netdsl.draws import Draws
from netdsl.externs import externs_of
from netdsl.folded import Folded, Frozen
from netdsl.ir import Graph, Output
from netdsl.kept import Kept
from netdsl.layout import channels_last, prefers_channels_last
from netdsl.namespaces import Branch, Called, held
from netdsl.ops.cast import Autocast
from netdsl.packing import packer
from netdsl.passes.autocast import plannable, state_at
from netdsl.pipeline import lower
from netdsl.program import Program
from netdsl.record import recorded
from netdsl.reference import Reference
from netdsl.runtime import register, run
from netdsl.segments import divides, follows
from netdsl.settings import Settings
from netdsl.signature import autocasts, bind, size_names, transformed
from netdsl.sizes import evaluate
from netdsl.tree import Tree

SIZES_KEPT = 128
SPARED = 1 << 30  # bytes of results from which on backward makes some again instead of saving them


class Executable:
    """A net's graph, or a part of it, over the modules of a tree. What is kept between calls
    (programs, folded weights, sizes, pieces) is made again where it is missing.

    root      the net, where the supplied modules are planted
    supplied  what Python supplies at the paths of the externs' uses
    part      whether it is one: what it takes was never given to the net, so that a float may have
              any dtype, and it returns its outputs by name
    by_name   whether a whole net's returns them so too
    """

    def __init__(
        self,
        graph: Graph,
        tree: Tree,
        settings: Settings,
        root: nn.Module,
        supplied: Mapping[str, Callable[..., Any]],
        draws: Draws,
        part: bool = False,
        by_name: bool = False,
    ) -> None:
        self.graph = graph
        self.tree = tree
        self.programs: dict[Any, Program] = {}
        self.folded: dict[str, Kept] = {}
        self.seen_sizes: dict[Any, list[int]] = {}
        self.spares: dict[tuple[int, ...], bool] = {}
        self.cuts: dict[tuple[tuple[Called, ...], bool], Cut] = {}
        self._others: list[Executable] = []
        self._settings = settings
        self._root = root
        self._supplied = supplied
        self._draws = draws
        self._part = part
        self._keys = (*[op.key for op in graph.inputs], *tree.places)
        self._size_names = size_names(graph.inputs)
        self._pack = dict if part or by_name else packer(graph)
        self._channels_last = not part and prefers_channels_last(graph)
        self._apart = divides(graph)
        self._plannable = follows(graph)  # a plan has no dtype otherwise
        floats = [op.key for op in graph.parameters if op.type.dtype == "float" and not part]
        self._floats = floats[:1]
        like = floats[0] if floats else None
        self._reference = Reference(
            graph, settings, self._keys, tuple(tree.modal), root, supplied, like, draws
        )

    def __call__(self, *inputs: Tensor) -> Any:
        called = self.tree.called()
        if called or (self._supplied and self._divides()):
            return self._call_children(called, inputs)
        training = self.tree.training()
        if recorded():
            pool = [*inputs, *self.tree.tensors()]
            return self._finish(*self._reference.record(pool, training))
        sizes = self._sizes(inputs)
        owned = self.tree.tensors()
        pool = [*inputs, *owned]
        settings = self._settings
        if settings.frozen is not None:
            settings.check_untrained(training, owned)
        mixed = state_at(self._keys, pool) if autocasts(pool[0]) else None
        by_plans = self._plannable and settings.backend != "reference" and not self._supplied
        if not by_plans or transformed() or (mixed and not plannable(mixed)):
            bindings = dict(zip(self._size_names, sizes, strict=True))
            return self._finish(*self._reference(pool, training, bindings, mixed))
        wanted = tuple([t.requires_grad for t in pool]) if torch.is_grad_enabled() else ()
        if True not in wanted:
            wanted = ()
        spare = bool(wanted) and self._spare(sizes)
        mode = training, wanted, mixed, settings.frozen is not None, spare
        program = self.program(mode, settings.synced)
        if program.seeded:
            pool.append(self._draws.seed())
        if self._channels_last:
            for i in program.images:
                pool[i] = channels_last(pool[i])
        kept = self._keep(program, pool, training) if program.kept_fetch else None
        results = run(program, [pool[i] for i in program.fetch], sizes, kept)
        return self._finish(program.outputs[: program.visible], results)

    def beside(self, graph: Graph) -> Executable:
        """Of another graph of the same net, over the same modules: what is forgotten here is
        forgotten there. It returns its outputs by name."""
        tree = self.tree.part(graph, self.tree.branches)
        uses = externs_of(graph)
        supplied = {path: given for path, given in self._supplied.items() if path in uses}
        made = Executable(
            graph, tree, self._settings, self._root, supplied, self._draws, by_name=True
        )
        self._others.append(made)
        return made

    def drop_folded(self) -> None:
        """Forget what was made from the parameters."""
        self.folded.clear()
        self.cuts.clear()  # whose parts have folded weights too
        for other in self._others:
            other.drop_folded()

    def drop_programs(self) -> None:
        """Forget what was made for the settings."""
        self.programs.clear()
        self.cuts.clear()
        for other in self._others:
            other.drop_programs()

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def program(
        self,
        mode: tuple[tuple[bool, ...], tuple[bool, ...], Autocast | None, bool, bool],
        synced: str | None,  # torch.compile guards what it is given, and not what is read here
    ) -> Program:
        """The program of a mode: training bits, which of the pool want a gradient, autocast,
        whether the net is frozen, and whether memory is spared."""
        found = self.programs.get(mode)
        if found is not None:
            return found
        training, wanted, mixed, frozen, spare = mode
        paths = tuple(p for p, on in zip(self.tree.modal, training, strict=True) if on)
        keys = tuple(k for k, on in zip(self._keys, wanted, strict=False) if on)
        off = (*self._settings.off, *(() if spare else ("recompute",)))
        streams = self._draws.streams
        parts = (self.graph.digest, paths, keys, off, synced, mixed, frozen, streams)
        key = ":".join(map(str, parts))

        def make() -> Program:
            lowered = lower(
                self.graph,
                training=paths,
                wanted=keys,
                off=off,
                synced=synced,
                mixed=mixed,
                streams=streams,
            )
            return Program(key, lowered, self._keys, self._size_names, mixed is not None, frozen)

        keep = not self._part or bool(self._size_names)  # new sizes are other graphs of a part
        program = self.programs[mode] = register(key, make, keep)
        return program

    def _sizes(self, inputs: Sequence[Tensor]) -> list[int]:
        """The numbers of the signature's size names, in order; checks the inputs."""
        places = [self.tree.places[key] for key in self._floats]
        owned = [held(p)[p[-1]] for p in places if p[-1] in held(p)]
        try:
            mixed = autocasts(inputs[0])
            seen = (mixed, *[(t.shape, t.dtype, t.device) for t in (*owned, *inputs)])
            return self.seen_sizes[seen]
        except (AttributeError, IndexError, KeyError):
            bindings = bind(self.graph, inputs, owned[0] if owned else None, self._part)
        if len(self.seen_sizes) >= SIZES_KEPT:
            self.seen_sizes.clear()
        sizes = self.seen_sizes[seen] = [bindings[name] for name in self._size_names]
        return sizes

    def _spare(self, sizes: Sequence[int]) -> bool:
        """Whether the results of the graph are many for these sizes: where they are few, making
        some again costs more time than the memory is worth."""
        if torch.compiler.is_compiling():  # whose sizes may be open
            return True
        found = self.spares.get(tuple(sizes))
        if found is None:
            bindings = dict(zip(self._size_names, sizes, strict=True))
            types = [t for _, node in self.graph.items for t in node.types if t.floating]
            total = sum(4 * math.prod(evaluate(n, bindings) for n in t.shape) for t in types)
            if len(self.spares) >= SIZES_KEPT:
                self.spares.clear()
            found = self.spares[tuple(sizes)] = total >= SPARED
        return found

    def _keep(
        self, program: Program, pool: list[Tensor], training: tuple[bool, ...]
    ) -> Kept | None:
        """Add the folded weights to the pool: kept between calls in eval, made anew in training."""
        if True in training or torch.compiler.is_compiling():
            pool += program.prelude([pool[i] for i in program.prelude_fetch])
            return None
        sources = [pool[i] for i in program.kept_fetch]
        kept = self.folded.get(program.key)
        if kept is None or not kept.fresh(sources):
            guarded = Folded if self._settings.frozen is None else Frozen
            folded = program.prelude([pool[i] for i in program.prelude_fetch])
            kept = self.folded[program.key] = guarded(sources, folded)
        pool += kept.results
        return kept

    def _finish(self, outputs: Sequence[Output], results: Sequence[Tensor]) -> Any:
        """Write the buffers' new values back and pack the outputs."""
        found = {}
        buffers, values = [], []
        for output, result in zip(outputs, results, strict=True):
            if output.role == "update":
                place = self.tree.places[output.name]
                buffer = held(place)[place[-1]]
                if result is not buffer:  # which the call may have written to itself
                    buffers.append(buffer)
                    values.append(result)
            elif output.role != "saved":
                found[output.name] = result
        if buffers:
            with torch.no_grad():
                torch._foreach_copy_(buffers, values)
        return self._pack(found)

    def _divides(self) -> bool:
        """Whether our plans run around the externs, and not all of it node by node."""
        traced = torch.compiler.is_compiling() or recorded()
        by_plans = self._apart and self._plannable and self._settings.backend != "reference"
        return by_plans and not (traced or transformed())

    def _call_children(self, called: tuple[Called, ...], inputs: Sequence[Tensor]) -> Any:
        """A call with the children that have to be called, the externs, and our plans between."""
        if called:
            like = next((t for t in self._root.parameters() if t.is_floating_point()), None)
            bindings = bind(self.graph, inputs, like, self._part)
            if self._channels_last and not (recorded() or transformed()):
                inputs = tuple([channels_last(x) for x in inputs])
            if self._settings.synced is not None:
                check_synced(called, self.tree.branches)
        else:
            bindings = dict(zip(self._size_names, self._sizes(inputs), strict=True))
        training = self.tree.modal[""].training
        cut = self.cuts.get((called, training))
        if cut is None:
            outputs = tuple(o for o in self.graph.outputs if o.role != "train" or training)
            cut = Cut(self.graph, self.tree.branches, called, outputs, self._compile)
            self.cuts[called, training] = cut
        return self._pack(cut(inputs, bindings))

    def _compile(self, graph: Graph, inner: Sequence[Branch], draws: Draws) -> Computes:
        """A graph of some of the layers over the same parameters and children."""
        uses = externs_of(graph)
        supplied = {path: given for path, given in self._supplied.items() if path in uses}
        tree = self.tree.part(graph, inner)
        return Executable(graph, tree, self._settings, self._root, supplied, draws, part=True)

    def __getstate__(self) -> dict[str, Any]:
        return {k: {} if k in _CACHES else v for k, v in self.__dict__.items()}


_CACHES = ("programs", "folded", "seen_sizes", "spares", "cuts")
