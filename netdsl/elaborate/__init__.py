"""Syntax to graph: blocks inlined, loops unrolled, names and sizes bound, every node typed.

`elaborate` makes the graph of one net; what is wrong goes to the diagnostics, all of it at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import netdsl.ops  # noqa: F401  the op table is the vocabulary
from netdsl.elaborate import (  # noqa: F401  their rules
    equations,
    exploring,
    expressions,
    stages,
    statements,
)
from netdsl.elaborate.binding import declared_type
from netdsl.elaborate.blocks import bind_hypers, run
from netdsl.elaborate.facts import Learnt
from netdsl.elaborate.files import Library
from netdsl.elaborate.given import frozen
from netdsl.elaborate.recursion import deep
from netdsl.elaborate.scope import NODES, Binding, Implied, Run, Scope, Stop
from netdsl.elaborate.signature import of_definition
from netdsl.elaborate.trace import Trace
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import Block, Bundle, is_whole
from netdsl.errors import Diagnostics, Problem, Span
from netdsl.ir import Builder, Constant, Graph, Input, Output
from netdsl.op import Value
from netdsl.pause import pause_collector
from netdsl.rewrite import rebuild
from netdsl.sizes import Size
from netdsl.spelling import closest
from netdsl.syntax import Alias, Definition, File, Tensor, names_in


@dataclass(frozen=True)
class Program:
    """Files by key, the first one asked for under `root`."""

    root: str
    files: Mapping[str, File]
    importable: tuple[str, ...] = ()  # names of files, where an import asks for none of them


def elaborate(
    program: Program,
    net: str | None,
    hyper: Mapping[str, object],
    found: Diagnostics,
    limit: int = NODES,
    implied: list[Implied] | None = None,
    trace: Trace | None = None,
) -> Graph | None:
    """The graph of a net of the root file (None: its only one); None where there are errors.

    `implied` takes the paths of applications without a label.
    """
    facts: tuple[tuple[str, Size], ...] = ()
    while True:
        names: list[Implied] | None = None if implied is None else []
        run = Run(Builder(), Diagnostics(), limit, facts=facts, implied=names, trace=trace)
        if trace is not None:
            trace.start(run.builder.graph, run.instances, run.outlined)
        try:
            with deep(), pause_collector():
                graph = _elaborated(program, net, hyper, run)
        except Learnt as learnt:
            facts = (*facts, learnt.fact)
            continue
        except Stop:
            graph = None
        for diagnostic in run.found:
            found.add(diagnostic)
        if implied is not None:
            implied += names or []
        return graph


def _elaborated(
    program: Program, net: str | None, hyper: Mapping[str, object], run: Run
) -> Graph | None:
    scope = _library(program, run).open(program.root)
    block = _pick(scope, program.files[program.root], net)
    return None if block is None else _graph(block, hyper, run)


def explore(program: Program, found: Diagnostics) -> None:
    """Report the names and arguments in the root file that are wrong whatever their body gets."""
    try:
        with deep(), pause_collector():
            scope = _library(program, Run(Builder(), found)).open(program.root)
            exploring.explore(program.files[program.root], scope)
    except Stop:
        return


def _library(program: Program, run: Run) -> Library:
    return Library(run, program.files, program.importable)


def nets(program: Program, found: Diagnostics) -> tuple[Block, ...]:
    """The nets of the root file, aliases too, in the order of the text."""
    try:
        with deep(), pause_collector():
            scope = _library(program, Run(Builder(), found)).open(program.root)
    except Stop:
        return ()
    return tuple(_nets(scope, program.files[program.root]).values())


def _nets(scope: Scope, file: File) -> dict[str, Block]:
    named = [
        item.name.text
        for item in file.items
        if isinstance(item, Alias) or (isinstance(item, Definition) and item.kind == "net")
    ]
    found = {name: scope.names[name].value for name in named}
    return {name: block for name, block in found.items() if isinstance(block, Block)}


def _pick(scope: Scope, file: File, net: str | None) -> Block | None:
    """The net of that name; without one, the only net that is no alias."""
    known = _nets(scope, file)
    if net is not None:
        if net in known:
            return known[net]
        close = closest(net, known)
        problem = Problem(
            "N133",
            f"{file.span.source.name} has no net `{net}`",
            notes=(f"it has {', '.join(known)}",) if known else (),
            helps=(f"did you mean `{close}`?",) if close else (),
        )
    else:
        own = [block for name, block in known.items() if name == block.definition.name.text]
        if len(own) == 1:
            return own[0]
        name = file.span.source.name
        problem = Problem(
            "N133",
            f"{name} has {len(own)} nets: pick one" if own else f"{name} has no net",
            helps=tuple(f"`{name}:{block.name}`" for block in own),
        )
    scope.report(problem, Span(file.span.source, file.span.start, file.span.start))
    return None


def _graph(block: Block, hyper: Mapping[str, object], shared: Run) -> Graph | None:
    definition, builder = block.definition, shared.builder
    scope = Scope(shared, block.scope)
    here = definition.name.span
    signature = of_definition(definition, block.name)
    given = dict(block.preset)
    try:
        for name, value in hyper.items():
            if not isinstance(name, str):
                raise TypeError(f"a hyper-parameter has a name, not {name!r}")
            binding = Binding(frozen(name, value), here)
            if name in signature.hypers:
                given[name] = binding
            elif name in _sizes(definition) and is_whole(binding.value):
                scope.names[name] = binding
            else:
                from netdsl.elaborate.hypers import unknown  # needed for errors only

                raise unknown(signature, name, None, None)
        missing = [
            h.name for h in definition.hypers if h.default is None and h.name.text not in given
        ]
        if missing:
            names = " and ".join(f"`{n.text}`" for n in missing)
            raise Problem("N105", f"the net `{block.name}` needs {names}")
        bind_hypers(definition, given, scope, scope)
    except Problem as refused:
        scope.report(refused, here)
        return None
    for tensor in definition.tensors:
        try:
            value = _input(tensor, scope)
        except Problem as refused:
            value = scope.report(refused, tensor.span)
        scope.define(tensor.name, value)
    result = run(definition, scope)
    if shared.found.errors:
        return None
    builder.graph.name = block.name
    return _without(builder.build(_outputs(definition, result)), shared.outlined)


def _without(graph: Graph, outlined: set[int]) -> Graph:
    """The graph without the nodes that stand in the bodies of loops, and their constants."""
    if not outlined:
        return graph
    used = {v.node for n in range(len(graph)) if n not in outlined for v in graph.operands(n)}
    used |= {o.value.node for o in graph.outputs}
    idle = {n for n, _ in graph.sources(Constant) if n not in used}
    return rebuild(graph, keep=set(range(len(graph))) - outlined - idle)


def _input(tensor: Tensor, scope: Scope) -> Any:
    """An input of the net, of the type that its signature gives."""
    if tensor.type is None:
        raise Problem(
            "N201",
            f"the input `{tensor.name.text}` of a net needs its type",
            helps=(f"`{tensor.name.text}: [N, 3, H, W]`",),
        )
    type = declared_type(tensor.type, scope)
    if type is UNKNOWN:
        return UNKNOWN
    with scope.run.builder.at("", tensor.span):
        return scope.run.builder(Input(type, tensor.name.text))


def _sizes(definition: Definition) -> set[str]:
    """The names of sizes in the types of the inputs; a number can be given for them too."""
    types = [tensor.type for tensor in definition.tensors if tensor.type is not None]
    return {name.text for type in types for size in type.sizes for name in names_in(size)}


def _outputs(definition: Definition, result: Any) -> tuple[Output, ...]:
    if isinstance(result, Value):
        return (Output("return", result),)
    assert isinstance(result, Bundle)
    roles = {o.name.text: "train" if o.train else "output" for o in definition.outputs if o.name}
    return tuple(
        Output(name, value, roles[name])
        for name, value in result.results.items()
        if value is not None
    )
