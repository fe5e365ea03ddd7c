"""A net with children that are called: the pieces of its graph, run one after the other.

A child of the grown tree computes its own region of the graph when it is called, from wherever: the
net, or a module that wraps it. Every piece is typed by the tensors it is given, so that a child
before it may give other sizes than the .net file does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from netdsl.draws import Draws, OneSeed
from netdsl.errors import InputError, Problem
from netdsl.ir import Graph, Input, Output, Parameter, Source
from netdsl.namespaces import REGION, Branch, Called
from netdsl.op import Type, Value
from netdsl.record import recorded
from netdsl.rewrite import with_sizes, with_types
from netdsl.segments import Call, Segment, below, cut, generic, sized, uncut
from netdsl.sizes import Poly
from netdsl.text.writing import tensors

TYPED_KEPT = 32  # of a piece: kinds of operands; beyond that the oldest is dropped and made again

# the results of a graph by the names of its outputs, from its inputs in order
Computes: TypeAlias = Callable[..., Mapping[str, Tensor]]


class Compile(Protocol):
    """What makes a graph run, over the parameters of the net; `inner` are the children in it."""

    def __call__(self, graph: Graph, inner: Sequence[Branch], draws: Draws) -> Computes:
        """The graph as a function of its inputs."""


class Piece:
    """A part of a net's graph, compiled for the types of what it is given."""

    def __init__(
        self, graph: Graph, inner: Sequence[Branch], compile: Compile, draws: Draws
    ) -> None:
        self.graph = graph
        self._draws = draws
        self.sized = sized(graph)
        self._inner = inner
        self._compile = compile
        self._typed: dict[tuple[Any, ...], Computes | None] = {}

    def __call__(
        self, tensors: Sequence[Tensor], bindings: Mapping[str, int]
    ) -> Mapping[str, Tensor]:
        """The outputs by name; `bindings` are the sizes of the net's inputs, if the piece is
        `sized`. Raises `InputError` where a rule of shapes does not hold for the tensors."""
        open = recorded() and not self.sized  # to what a tracer leaves open
        shapes = [tuple(t.shape if open else map(int, t.shape)) for t in tensors]
        declared = [op.type for op in self.graph.inputs]
        named = None if self.sized else generic(declared, shapes)
        found = self._made(named, {}) if named is not None else None
        if found is None:
            exact = tuple(Type(s, t.dtype) for s, t in zip(shapes, declared, strict=True))
            found = self._made(exact, bindings if self.sized else {})
        if found is None:
            raise AssertionError(f"types without names do not fit {self.graph}")
        return found(*tensors)

    def _made(self, types: tuple[Type, ...], bindings: Mapping[str, int]) -> Computes | None:
        """The piece for inputs of these types; None where names of sizes say too little."""
        key = (types, *sorted(bindings.items()))
        try:
            return self._typed[key]
        except KeyError:
            made = self._make(types, bindings)
        if len(self._typed) >= TYPED_KEPT:
            self._typed.pop(next(iter(self._typed)), None)  # another thread may have been first
        self._typed[key] = made
        return made

    def _make(self, types: tuple[Type, ...], bindings: Mapping[str, int]) -> Computes | None:
        try:
            graph = with_types(with_sizes(self.graph, bindings), types)
            _check_parameters(self.graph, graph)
        except Problem as problem:
            if any(isinstance(size, Poly) for type in types for size in type.shape):
                return None  # numbers may do, or say better why not
            raise InputError((problem.at(None),)) from None
        return self._compile(graph, self._inner, self._draws)


def _check_parameters(grown: Graph, graph: Graph) -> None:
    """Refuse operands for which a layer would have been grown with other parameters."""
    keys = {n: op.key for n, op in graph.sources(Parameter)}
    for n, node in graph.items:
        operands = graph.operands(n)
        if not node.op.layer or all(v.node not in keys for v in operands):
            continue
        count = len(tensors(grown, n))
        owned = node.op.params(*[v.type for v in operands[:count]])
        for p, value in zip(owned, operands[len(operands) - len(owned) :], strict=True):
            needed = Type(p.shape, p.dtype)
            if value.type != needed:
                problem = Problem(
                    "N205",
                    f"the parameter `{keys[value.node]}` is {value.type}, but {needed} would be "
                    f"needed for {operands[0].type}",
                    helps=("a module in the place of a child must give what the next layer takes",),
                )
                problem.diagnostic = problem.at(node.span)
                raise problem


class Region:
    """What a child computes where it is a part of the net: its operands in the order of the text
    -> its result. It belongs to one net: a copy of the child has none until its net is called."""

    def __init__(self, call: Call, piece: Piece) -> None:
        self._call = call
        self._piece = piece

    def __call__(self, *tensors: Tensor) -> Tensor:
        path, takes = self._call.path, self._call.takes
        if len(tensors) != len(takes):
            raise TypeError(f"`{path}` takes {len(takes)} tensors, but {len(tensors)} were given")
        for i, (t, v) in enumerate(zip(tensors, takes, strict=True)):
            if not isinstance(t, Tensor) or t.dim() != v.type.rank:
                what = f"a tensor of rank {t.dim()}" if isinstance(t, Tensor) else type(t).__name__
                raise TypeError(f"`{path}` takes {v.type} as operand {i}, but {what} was given")
        if self._piece.sized:
            raise uncut(path, "its layers depend on the sizes of the net's inputs")
        return self._piece([tensors[i] for i in self._call.order], {})["0"]

    def __reduce__(self) -> Any:
        return type(None), ()


class Cut:
    """The pieces of a net for one set of called children."""

    def __init__(
        self,
        graph: Graph,
        branches: Sequence[Branch],
        called: Sequence[Called],
        outputs: tuple[Output, ...],
        compile: Compile,
    ) -> None:
        self._sources = [Value(n, 0, op.type) for n, op in graph.sources(Input)]
        self._outputs = outputs
        # A child draws a seed of its own: whoever calls it may call it again, as checkpointing does
        self._seed = OneSeed()
        self._steps: list[tuple[Segment, Piece] | tuple[Call, Branch]] = []
        grown = {branch[0]: branch for branch in branches}
        paths = [path for path, _ in called]
        outermost = [p for p in paths if not any(p != q and below(p, q) for q in paths)]
        for step in cut(graph, outermost, outputs):
            _check(step, called)
            if isinstance(step, Segment):
                draws = Draws(self._seed, step.streams)
                self._steps.append((step, Piece(step.graph, (), compile, draws)))
                continue
            *_, child = branch = grown[step.path]
            inner = [b for b in branches if b[0] != step.path and below(b[0], step.path)]
            child.__dict__[REGION] = Region(step, Piece(step.region, inner, compile, Draws()))
            self._steps.append((step, branch))

    def __call__(self, inputs: Sequence[Tensor], bindings: Mapping[str, int]) -> dict[str, Tensor]:
        """The outputs by name, from the net's inputs and the numbers of their sizes."""
        try:
            return self._run(inputs, bindings)
        finally:
            self._seed.forget()

    def _run(self, inputs: Sequence[Tensor], bindings: Mapping[str, int]) -> dict[str, Tensor]:
        values = dict(zip(self._sources, inputs, strict=True))
        for step, runs in self._steps:
            given = [values[v] for v in step.takes]
            if isinstance(step, Call):
                values[step.gives] = _call(step, runs, given)  # type: ignore[arg-type]
                continue
            made = runs(given, bindings)  # type: ignore[operator]
            values.update((v, made[str(i)]) for i, v in enumerate(step.gives))
        return {o.name: values[o.value] for o in self._outputs}


def _check(step: Segment | Call, called: Sequence[Called]) -> None:
    """Refuse another module in the place of a child where it is not plain what it stands for."""
    graph, path = (step.region, step.path) if isinstance(step, Call) else (step.graph, None)
    for replaced in [p for p, other in called if other and (path is None or not below(p, path))]:
        for op in graph.parameters:
            if below(op.key, replaced):
                raise uncut(replaced, f"`{op.key}` is used elsewhere in the net too")
    if isinstance(step, Call) and (step.path, True) in called and len(step.takes) > 1:
        layers = [n for n, node in graph.items if not isinstance(node.op, Source)]
        if len(layers) > 1:  # a graph does not know the order of a block's operands
            raise uncut(step.path, f"a block of {len(step.takes)} tensors has hooks only")


def _call(step: Call, branch: Branch, given: Sequence[Tensor]) -> Tensor:
    """The result of the module that is at a child's place now."""
    path, parent, name, _ = branch
    module = parent._modules.get(name)
    if module is None:
        raise RuntimeError(f"`{path}` was removed, but the net calls it: put a module in its place")
    made = module(*given)
    declared = step.gives.type
    if not isinstance(made, Tensor):
        given_back = f"a {type(made).__name__}"
    elif made.dim() != declared.rank or _KINDS.get(made.dtype, "float") != declared.dtype:
        given_back = f"{str(made.dtype).removeprefix('torch.')}{list(made.shape)}"
    else:
        return made
    problem = Problem(
        "N202",
        f"the module in the place of `{path}` gave {given_back}, but {declared} is needed there",
        helps=("it must give one tensor of that rank; sizes may differ where the net allows it",),
    )
    raise InputError((problem.at(step.span),))


_KINDS = {torch.int64: "int", torch.bool: "bool"}
