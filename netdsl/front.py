"""The front half, as a table of contents: a target to its sources, its syntax, its graph.

graph = parse("resnet", {"depth": 101})     # a shipped model, a file, or F:Net
check("skip.net")                           # every finding about every net of the file
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from netdsl.edits import apply, carried_back, disjoint
from netdsl.elaborate import Program, elaborate, explore
from netdsl.elaborate import nets as blocks
from netdsl.elaborate.scope import NODES
from netdsl.elaborate.signature import of_definition
from netdsl.elaborate.trace import Trace
from netdsl.elaborate.values import Block, show
from netdsl.errors import LIMIT, Diagnostic, Diagnostics, Edit, NetError, Source
from netdsl.ir import Graph
from netdsl.lints import is_allowed, lint
from netdsl.parser.outline import outline
from netdsl.sources import Sources, given, models, parsed, read

__all__ = [
    "Analysis",
    "Net",
    "Sources",
    "analyse",
    "build",
    "check",
    "models",
    "nets",
    "outlined",
    "parse",
    "parse_text",
    "read",
]


@dataclass(frozen=True)
class Analysis:
    """Files as an editor knows them: what is wrong, and the trace of each net, by its name."""

    findings: tuple[Diagnostic, ...]
    traces: Mapping[str, Trace]


@dataclass(frozen=True)
class Net:
    """A net of a file: its signature, and its hyper-parameters with their defaults, as text
    (None: it must be given)."""

    name: str
    signature: str
    hypers: Mapping[str, str | None]

    @property
    def complete(self) -> bool:
        """Whether every hyper-parameter has a value."""
        return None not in self.hypers.values()


def parse(
    target: str | Path, hyper: Mapping[str, object] | None = None, limit: int = NODES
) -> Graph:
    """The graph of a net: `resnet`, `my.net`, `my.net:Net`. Raises `NetError`."""
    sources, net = read(target)
    return build(sources, net, hyper, limit)


def parse_text(
    text: str,
    hyper: Mapping[str, object] | None = None,
    name: str = "<text>",
    net: str | None = None,
) -> Graph:
    """The graph of a net whose text is at hand; it imports from the shipped models only."""
    return build(given(text, name), net, hyper)


def build(
    sources: Sources,
    net: str | None = None,
    hyper: Mapping[str, object] | None = None,
    limit: int = NODES,
) -> Graph:
    """The graph of a net of the first file. Raises `NetError`."""
    found = Diagnostics()
    program = syntax(sources, found)
    if found.errors:
        raise NetError(check_sources(sources, net))
    graph = elaborate(program, net, hyper or {}, found, limit)
    found.raise_errors()
    assert graph is not None
    return graph


def syntax(sources: Sources, found: Diagnostics) -> Program:
    """The syntax of all files; what is wrong with them goes to the findings."""
    trees = {key: parsed(source) for key, source in sources.files.items()}
    for _, mistakes in trees.values():
        for mistake in mistakes:
            found.add(mistake)
    files = {key: tree for key, (tree, _) in trees.items()}
    return Program(sources.root, files, sources.importable)


def check(target: str | Path) -> tuple[Diagnostic, ...]:
    """The findings about a net, or about every net of a file with its default hyper-parameters."""
    try:
        sources, net = read(target)
    except NetError as error:
        return error.diagnostics
    return check_sources(sources, net)


def check_sources(sources: Sources, net: str | None = None) -> tuple[Diagnostic, ...]:
    """As `check`, of what is read already."""
    return all_findings(sources, net)[:LIMIT]


def all_findings(sources: Sources, net: str | None = None) -> tuple[Diagnostic, ...]:
    """As `check_sources`, however many there are."""
    found = Diagnostics()
    program = syntax(sources, found)
    if found.errors:
        for diagnostic in _behind(sources, found.errors, net):
            found.add(diagnostic)
        return found.sorted()
    _judge(program, net, found)
    return _worth_saying(found)


def _judge(
    program: Program,
    net: str | None,
    found: Diagnostics,
    traces: dict[str, Trace] | None = None,
) -> None:
    """Find all that is wrong or doubtful in what can be read; with `traces`, keep those of the
    nets by their names."""
    names = [net] if net else [n.name for n in complete_nets(program, found)]
    graphs = []
    for name in names:
        trace = None if traces is None else traces.setdefault(name, Trace())
        graphs.append(elaborate(program, name, {}, found, trace=trace))
    if all(d.code != "N323" for d in found):  # what is too much here would be so there
        _explore(program, found)
    if not found.errors:
        for warning in lint(program.files[program.root], [g for g in graphs if g is not None]):
            found.add(warning)


def _worth_saying(found: Diagnostics) -> tuple[Diagnostic, ...]:
    return tuple(d for d in found.sorted() if d.is_error or not is_allowed(d))


def _behind(
    sources: Sources, mistakes: tuple[Diagnostic, ...], net: str | None
) -> Iterator[Diagnostic]:
    """The errors that mistakes in the syntax hide: those of the text as it was meant, where that is
    sure of every mistake."""
    if not all(mistake.sure for mistake in mistakes):
        return
    edits = [edit for mistake in mistakes for edit in mistake.edits]
    mended: dict[str, Source] = {}
    changes: dict[Source, tuple[Source, list[Edit]]] = {}
    for key, source in sources.files.items():
        here = disjoint([edit for edit in edits if edit.span.source == source])
        mended[key] = Source(source.name, apply(source, here))
        changes[mended[key]] = source, here
    if any(parsed(source)[1] for source in mended.values()):
        return
    for diagnostic in all_findings(replace(sources, files=mended), net):
        if diagnostic.is_error:
            yield carried_back(diagnostic, changes)


def _explore(program: Program, found: Diagnostics) -> None:
    """What is wrong whatever a body is used with, in lines about which nothing is said yet."""
    further = Diagnostics()
    explore(program, further)
    told = {(d.span.source.name, d.span.line) for d in found if d.span}
    for diagnostic in further:
        span = diagnostic.span
        if span is None or (span.source.name, span.line) not in told:
            found.add(diagnostic)


def outlined(sources: Sources) -> Program:
    """The syntax of all files as far as it can be read; see `parser.outline`."""
    trees = {key: outline(source) for key, source in sources.files.items()}
    return Program(sources.root, trees, sources.importable)


def analyse(sources: Sources, program: Program) -> Analysis:
    """The findings of `check_sources`, and what every part of the text stands for in each net, as
    far as can be said of a text with mistakes. `program`: the sources as `outlined`."""
    found = Diagnostics()
    traces: dict[str, Trace] = {}
    syntax(sources, found)
    if found.errors:
        _judge(program, None, Diagnostics(), traces)  # what follows from missing text is no news
        return Analysis(all_findings(sources)[:LIMIT], traces)
    _judge(program, None, found, traces)
    return Analysis(_worth_saying(found)[:LIMIT], traces)


def nets(target: str | Path) -> tuple[Net, ...]:
    """The nets of a file, aliases too, in the order of the text. Raises `NetError`."""
    return nets_of(read(target)[0])


def nets_of(sources: Sources) -> tuple[Net, ...]:
    """As `nets`, of what is read already."""
    found = Diagnostics()
    program = syntax(sources, found)
    found.raise_errors()
    described = _nets(program, found)
    found.raise_errors()
    return described


def complete_nets(program: Program, found: Diagnostics) -> tuple[Net, ...]:
    """The nets of the first file that need no hyper-parameters from outside."""
    return tuple(net for net in _nets(program, found) if net.complete)


def _nets(program: Program, found: Diagnostics) -> tuple[Net, ...]:
    return tuple(_describe(block) for block in blocks(program, found))


def _describe(block: Block) -> Net:
    definition = block.definition
    hypers: dict[str, str | None] = {}
    for hyper in definition.hypers:
        default = None if hyper.default is None else hyper.default.span.text
        preset = block.preset.get(hyper.name.text)
        hypers[hyper.name.text] = show(preset.value) if preset else default
    return Net(block.name, of_definition(definition, block.name).text, hypers)
