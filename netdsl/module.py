"""The net as an nn.Module: parameters under the names of the text, forward through our plans."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netdsl import artifact
from netdsl.artifact import Manifest
from netdsl.called import Computes, Cut
from netdsl.collective import group_name
from netdsl.counterparts import check_synced, stages
from netdsl.draws import Draws
from netdsl.errors import InputError, Problem
from netdsl.externs import externs_of, plant, planted, uses_of
from netdsl.folded import Folded, Frozen
from netdsl.interpreter import interpret
from netdsl.ir import Graph, Input, Output
from netdsl.kept import Kept
from netdsl.layout import prefers_channels_last
from netdsl.memory import keep_freed_memory
from netdsl.modes import SEED, modal_paths, specialise
from netdsl.namespaces import (
    Branch,
    Called,
    Namespace,
    Place,
    adopt,
    branches,
    called_children,
    descend,
    grow,
    held,
    hooks,
    initialise,
    mark_stages,
    tensor_at,
)
from netdsl.ops.cast import Autocast
from netdsl.passes.autocast import plannable, state_at
from netdsl.pipeline import lower
from netdsl.program import Program
from netdsl.record import know, record, recorded
from netdsl.recur import every_node
from netdsl.rewrite import with_sizes
from netdsl.runtime import register, run
from netdsl.segments import divides, follows
from netdsl.signature import autocasts, bind, by_position, transformed
from netdsl.sizes import names

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

SIZES_KEPT = 128


class NetModule(Namespace):
    """A compiled net. Called with the tensors of its signature, in order or by name.

    Returns the one anonymous output, a named tuple of the named ones (a `train` output is None in
    eval), or a tuple of the taps asked for. Raises `InputError` where an input does not fit. Under
    torch.autocast a net has the casts in its graph, as each op's policy says; one with float64
    beside other dtypes runs node by node, as the reference does, and casts as it goes.

    manifest  what the graph was made from, for `save` (None: a graph made by hand)
    backend   "auto": our plans; "reference": node by node with torch's autograd, the oracle
    off       names of passes to leave out
    ops       functions and modules for the externs of the text, by name; each use of a module is a
              copy with parameters of its own, the child at its path. Plans run around externs;
              where something traces or transforms the call it runs node by node
    weights   all parameters and buffers by name, copied (None: drawn as the text says)
    """

    def __init__(
        self,
        graph: Graph,
        manifest: Manifest | None = None,
        *,
        backend: str = "auto",
        off: Sequence[str] = (),
        ops: Mapping[str, Callable[..., Any]] | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        keep_freed_memory()
        if backend not in ("auto", "reference"):
            raise ValueError(f"backend is auto or reference, not {backend!r}")
        self.graph = graph
        self.manifest = manifest
        self.backend = backend
        self.off = tuple(off)
        self.ops = dict(ops or {})
        self._synced: str | None = None
        self._uses = uses_of(graph, self.ops)
        self._keys = (*[op.key for op in graph.inputs], *[op.key for op in graph.parameters])
        self._size_names = _size_names(graph.inputs)
        self._channels_last = prefers_channels_last(graph)
        self._pack = _packer(graph)
        self._modal_paths = modal_paths(graph)
        self._programs: dict[Any, Program] = {}
        self._draws = Draws()
        self._apart = divides(graph)
        self._inner = False  # of a part: what it takes was never given to the net
        self._folded: dict[str, Kept] = {}
        self._frozen: list[tuple[str, ...]] = []  # of a frozen net, what required a gradient before
        self._seen_sizes: dict[Any, list[int]] = {}
        self._cuts: dict[tuple[tuple[Called, ...], bool], Cut] = {}
        self._places: list[Place] = []
        self._place_of: dict[str, Place] = {}
        self._floats: list[Place] = []  # the first of a floating parameter
        self._modal: list[nn.Module] = []
        self._branches: list[Branch] = []
        self._hooks: list[dict[int, Any]] = []
        self._grow()
        if weights is None:
            initialise(self._places, graph.parameters)
        else:
            adopt(self._places, graph.parameters, weights)

    def _grow(self) -> None:
        """Children and parameters. After it no attribute is assigned: a child may have its name."""
        parameters = self.graph.parameters
        places = grow(self, self.graph, self._modal_paths, stages(self.graph), self._channels_last)
        self._places.extend(places)
        self._place_of.update(zip((op.key for op in parameters), places, strict=True))
        floats = (i for i, op in enumerate(parameters) if op.type.dtype == "float")
        self._floats.extend(places[i] for i in islice(floats, 1))
        self._modal.extend(descend(self, path) for path in self._modal_paths)
        self._branches.extend(branches(self))
        plant(self, self._uses, self.ops)
        mark_stages(self, (node.path for node in every_node(self.graph) if node.path))
        self._hooks.extend(hooks(self._branches))

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        if named:
            inputs = by_position(self.graph.inputs, inputs, named)
        called = called_children(self._branches, self._hooks)
        if called or (self._uses and self._divides()):
            return self._call_children(called, inputs)
        if recorded():
            return self._record(inputs)
        sizes = self._sizes(inputs)
        by_node = self.backend == "reference" or bool(self._uses) or transformed()
        pool = [*inputs, *self._parameters_and_buffers()]
        training = tuple([module.training for module in self._modal])
        if self._frozen:
            _check_untrained(training, pool[len(inputs) :])
        mixed = state_at(self._keys, pool) if autocasts(pool[0]) else None
        if by_node or (mixed and not plannable(mixed)):
            bindings = dict(zip(self._size_names, sizes, strict=True))
            outputs, seeded = self._outputs(training)
            found = self._interpret(
                [*pool, *_seeds(self._draws, seeded)], training, bindings, mixed
            )
            return self._finish(outputs, found)
        wanted = tuple([t.requires_grad for t in pool]) if torch.is_grad_enabled() else ()
        if True not in wanted:
            wanted = ()
        program = self._program((training, wanted, mixed, bool(self._frozen)), self._synced)
        if program.seeded:
            pool.append(self._draws.seed())
        if self._channels_last:
            for i in program.images:
                pool[i] = _channels_last(pool[i])
        kept = self._keep(program, pool, training) if program.kept_fetch else None
        results = run(program, [pool[i] for i in program.fetch], sizes, kept)
        return self._finish(program.outputs[: program.visible], results)

    def _parameters_and_buffers(self) -> list[Tensor]:
        try:
            return [owner.__dict__[kind][name] for owner, kind, name in self._places]
        except KeyError:
            return [self._tensor(key) for key in self._keys[len(self.graph.inputs) :]]

    def _tensor(self, key: str) -> Tensor:
        try:
            return tensor_at(self._place_of[key])
        except AttributeError:
            raise RuntimeError(
                f"`{key}` was removed, but a compiled net reads its parameters where the .net file "
                "puts them"
            ) from None

    def _call_children(self, called: tuple[Called, ...], inputs: Sequence[Tensor]) -> Any:
        """A call with the children that have to be called, the externs, and our plans between."""
        if called:
            like = next((t for t in self.parameters() if t.is_floating_point()), None)
            bindings = bind(self.graph, inputs, like, self._inner)
            if self._channels_last and not (recorded() or transformed()):
                inputs = tuple([_channels_last(x) for x in inputs])
            if self._synced is not None:
                check_synced(called, self._branches)
        else:
            bindings = dict(zip(self._size_names, self._sizes(inputs), strict=True))
        training = self._modal[0].training
        cut = self._cuts.get((called, training))
        if cut is None:
            outputs = tuple(o for o in self.graph.outputs if o.role != "train" or training)
            cut = Cut(self.graph, self._branches, called, outputs, self._part)
            self._cuts[called, training] = cut
        return self._pack(cut(inputs, bindings))

    def _divides(self) -> bool:
        """Whether our plans run around the net's externs, and not all of it node by node."""
        traced = torch.compiler.is_compiling() or recorded()
        return self._apart and self.backend != "reference" and not (traced or transformed())

    def _part(self, graph: Graph, inner: Sequence[Branch], draws: Draws) -> Computes:
        """A graph of some of the layers as a net over the same parameters and children."""
        part = NetModule.__new__(NetModule)
        part.__dict__.update(NetModule.__getstate__(self))
        uses, modal = externs_of(graph), dict(zip(self._modal_paths, self._modal, strict=True))
        places = {op.key: self._place_of[op.key] for op in graph.parameters}
        part.__dict__.update(
            graph=graph,
            backend=self.backend if follows(graph) else "reference",  # a plan has no dtype then
            _uses={path: name for path, name in self._uses.items() if path in uses},
            _keys=(*[op.key for op in graph.inputs], *places),
            _size_names=_size_names(graph.inputs),
            _apart=divides(graph),
            _inner=True,
            _draws=draws,
            _channels_last=False,
            _pack=dict,
            _modal_paths=modal_paths(graph),
            _places=list(places.values()),
            _place_of=places,
            _floats=[],
            _modal=[modal[path] for path in modal_paths(graph)],
            _branches=list(inner),
            _hooks=hooks(inner),
        )
        return part.forward

    def _sizes(self, inputs: Sequence[Tensor]) -> list[int]:
        """The numbers of the signature's size names, in order; checks the inputs."""
        owned = [held(p)[p[-1]] for p in self._floats if p[-1] in held(p)]
        try:
            mixed = autocasts(inputs[0])
            seen = (mixed, *[(t.shape, t.dtype, t.device) for t in (*owned, *inputs)])
            return self._seen_sizes[seen]
        except (AttributeError, IndexError, KeyError):
            bindings = bind(self.graph, inputs, owned[0] if owned else None, self._inner)
        if len(self._seen_sizes) >= SIZES_KEPT:
            self._seen_sizes.clear()
        sizes = self._seen_sizes[seen] = [bindings[name] for name in self._size_names]
        return sizes

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _program(
        self,
        mode: tuple[tuple[bool, ...], tuple[bool, ...], Autocast | None, bool],
        synced: str | None,  # torch.compile guards what it is given, and not what is read here
    ) -> Program:
        """The program of a mode: training bits, which of the pool want a gradient, autocast, and
        whether the net is frozen."""
        found = self._programs.get(mode)
        if found is not None:
            return found
        training, wanted, mixed, frozen = mode
        paths = tuple(p for p, on in zip(self._modal_paths, training, strict=True) if on)
        keys = tuple(k for k, on in zip(self._keys, wanted, strict=False) if on)
        streams = self._draws.streams
        parts = (self.graph.digest, paths, keys, self.off, synced, mixed, frozen, streams)
        key = ":".join(map(str, parts))

        def make() -> Program:
            lowered = lower(
                self.graph,
                training=paths,
                wanted=keys,
                off=self.off,
                synced=synced,
                mixed=mixed,
                streams=streams,
            )
            return Program(key, lowered, self._keys, self._size_names, mixed is not None, frozen)

        keep = not self._inner or bool(self._size_names)  # new sizes are other graphs of a part
        program = self._programs[mode] = register(key, make, keep)
        return program

    def _keep(
        self, program: Program, pool: list[Tensor], training: tuple[bool, ...]
    ) -> Kept | None:
        """Add the folded weights to the pool: kept between calls in eval, made anew in training."""
        if True in training or torch.compiler.is_compiling():
            pool += program.prelude([pool[i] for i in program.prelude_fetch])
            return None
        sources = [pool[i] for i in program.kept_fetch]
        kept = self._folded.get(program.key)
        if kept is None or not kept.fresh(sources):
            guarded = Frozen if self._frozen else Folded
            folded = program.prelude([pool[i] for i in program.prelude_fetch])
            kept = self._folded[program.key] = guarded(sources, folded)
        pool += kept.results
        return kept

    def _record(self, inputs: Sequence[Tensor]) -> Any:
        """A call that torch.export or torch.jit.trace writes down: plain ATen, node by node, since
        it runs where netdsl may not be."""
        pool = [*inputs, *self._parameters_and_buffers()]
        training = tuple([module.training for module in self._modal])
        outputs, seeded = self._outputs(training)
        results = record(self._known(), training, [*pool, *_seeds(self._draws, seeded)])
        return self._finish(outputs, results)

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _known(self) -> str:
        return know(self)

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _outputs(self, training: tuple[bool, ...]) -> tuple[tuple[Output, ...], bool]:
        """The outputs of a mode, and whether it takes a seed."""
        graph = self._moded(training)
        return graph.outputs, any(op.role == "seed" for op in graph.inputs)

    def _moded(self, training: tuple[bool, ...]) -> Graph:
        paths = [p for p, on in zip(self._modal_paths, training, strict=True) if on]
        return specialise(self.graph, paths, self._synced, self._draws.streams)

    def recorded(self, training: tuple[bool, ...], pool: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of a mode, at sizes that a tracer may leave open."""
        inputs = pool[: len(self.graph.inputs)]
        given = dict(zip(self._keys, pool, strict=False))
        floats = [given[key] for key, place in self._place_of.items() if place in self._floats]
        bindings = bind(self.graph, inputs, floats[0] if floats else None)
        owned = pool[: len(self._keys)]
        mixed = state_at(self._keys, owned) if autocasts(pool[0]) else None
        return self._interpret(pool, training, bindings, mixed)

    def _interpret(
        self,
        pool: Sequence[Tensor],
        training: tuple[bool, ...],
        bindings: Mapping[str, Any],
        mixed: Autocast | None,
    ) -> list[Tensor]:
        """The outputs of a mode node by node; the pool ends with the seed, if there is one."""
        known = {name: size for name, size in bindings.items() if isinstance(size, int)}
        rest = {name: size for name, size in bindings.items() if name not in known}
        given = dict(zip((*self._keys, SEED), pool, strict=False))
        functions = {path: planted(self, path, self.ops[name]) for path, name in self._uses.items()}
        floats = [key for key, place in self._place_of.items() if place in self._floats]
        dtypes = [torch.float32] if mixed else [given[key].dtype for key in floats]
        try:
            graph = with_sizes(self._moded(training), known)
            return interpret(graph, given, functions, next(iter(dtypes), None), mixed, rest)
        except Problem as problem:
            raise InputError((problem.at(None),)) from None

    def _finish(self, outputs: Sequence[Output], results: Sequence[Tensor]) -> Any:
        """Write the buffers' new values back and pack the outputs."""
        found = {}
        buffers, values = [], []
        for output, result in zip(outputs, results, strict=True):
            if output.role == "update":
                place = self._place_of[output.name]
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

    def save(self, path: str | Path, options: Mapping[str, object] | None = None) -> None:
        """Write an artefact: source text, hyper-parameters and weights, as one .netc file."""
        if self.manifest is None:
            raise ValueError("this net was made from a graph by hand: it has no text to save")
        manifest = replace(self.manifest, options=options or {})
        artifact.write(Path(path), manifest, self.state_dict())

    def freeze(self) -> NetModule:
        """For the fastest inference: to eval, the folded weights made once and kept for good, no
        parameter with a gradient. The state dict has the weights as ever, and a gradient of the
        inputs can be had.

        Until `unfreeze()`, `train()`, `load_state_dict` and a call with a parameter that requires a
        gradient raise `RuntimeError`. A write that autograd knows of is seen by the next call, one
        through `p.data` not before `eval()` or `unfreeze()`.
        """
        self.eval()
        if not self._frozen:
            self._frozen.append(tuple(n for n, p in self.named_parameters() if p.requires_grad))
            self.requires_grad_(False)
        return self

    def unfreeze(self) -> NetModule:
        """As it was before `freeze`, in eval."""
        for name in self._frozen.pop() if self._frozen else ():
            self.get_parameter(name).requires_grad_()
        self._drop_folded()
        return self

    def sync_batchnorm(self, group: ProcessGroup | None = None) -> NetModule:
        """Batch normalisation in training takes the batches of all processes of a group (None: the
        default one, found at each call) as one, of different sizes too; where no process group is
        initialised, nothing changes. All processes must call forward and backward together.
        """
        self.__dict__["_synced"] = group_name(group)  # a child may have its name
        self._programs.clear()
        self._cuts.clear()
        return self

    def _drop_folded(self) -> None:
        self._folded.clear()
        self._cuts.clear()  # whose parts have folded weights too

    def train(self, mode: bool = True) -> NetModule:
        if mode and self._frozen:
            raise RuntimeError(_frozen("be trained"))
        self._drop_folded()
        super().train(mode)
        return self

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> NetModule:
        self._drop_folded()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        if self._frozen:
            raise RuntimeError(_frozen("take other weights"))
        self._drop_folded()
        return super().load_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {k: {} if k in _CACHES else v for k, v in self.__dict__.items()}

    def extra_repr(self) -> str:
        return ", ".join(f"{op.key}: {op.type}" for op in self.graph.inputs)


_CACHES = ("_programs", "_folded", "_seen_sizes", "_cuts")


def _frozen(what: str) -> str:
    return f"a frozen net cannot {what}: call `unfreeze()` first"


def _check_untrained(training: tuple[bool, ...], owned: Sequence[Tensor]) -> None:
    """Refuse to train a part of a frozen net, whatever it runs by."""
    learning = torch.is_grad_enabled() and any(t.requires_grad for t in owned)
    if learning or True in training:
        raise RuntimeError(_frozen("be trained"))


def _seeds(draws: Draws, wanted: bool) -> list[Tensor]:
    if not wanted:
        return []
    seed = draws.seed()
    if torch._C._functorch.is_batchedtensor(seed):
        raise RuntimeError(
            'a net that draws numbers runs under vmap with randomness="same" only: for masks of '
            "their own give the examples as one batch"
        )
    return [seed]


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _size_names(inputs: Sequence[Input]) -> tuple[str, ...]:
    return tuple(sorted({name for op in inputs for size in op.type.shape for name in names(size)}))


def _packer(graph: Graph) -> Callable[[Mapping[str, Tensor]], Any]:
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
