"""A file and its imports at one moment, and all that is known of them, each found when first asked.

The names are found from the outline alone; the analysis, which elaborates every net, takes longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from netdsl import front
from netdsl import sources as files
from netdsl import syntax as s
from netdsl.editors.links import Files
from netdsl.editors.names import Names, Symbol
from netdsl.editors.resolve import names
from netdsl.elaborate import Program
from netdsl.elaborate.files import keys
from netdsl.elaborate.trace import Seen
from netdsl.errors import Diagnostic, NetError, Problem, Source
from netdsl.front import Analysis, Sources
from netdsl.parser.outline import outline

Load: TypeAlias = Callable[[Path, str], Source]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """`problems`: what is wrong with the imports as such; then they are missing here. `folder` and
    `load` are where the imports come from, and how."""

    sources: Sources
    folder: Path | None
    load: Load
    problems: tuple[Diagnostic, ...] = ()

    @property
    def key(self) -> str:
        return self.sources.root

    @property
    def source(self) -> Source:
        return self.sources.files[self.key]

    @cached_property
    def program(self) -> Program:
        return front.outlined(self.sources)

    @property
    def file(self) -> s.File:
        return self.program.files[self.key]

    @cached_property
    def files(self) -> Files:
        """The names of every file."""
        return {key: names(file) for key, file in self.program.files.items()}

    @property
    def names(self) -> Names:
        return self.files[self.key]

    @cached_property
    def analysis(self) -> Analysis:
        return front.analyse(self.sources, self.program)

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """Everything that is wrong, or doubtful."""
        return (*self.problems, *self.analysis.findings)

    def seen(self, node: s.Node) -> tuple[Seen, ...]:
        """What a node of the syntax was, in every instantiation in every net."""
        return tuple(seen for trace in self.analysis.traces.values() for seen in trace.of(node))

    def modules(self) -> tuple[str, ...]:
        """What can be imported: the files of the folder and the shipped models."""
        found = () if self.folder is None else self.folder.glob("*.net")
        beside = sorted(path.stem for path in found if path.name != self.key)
        shipped = (name.removesuffix(".net") for name in files.models())
        return tuple(dict.fromkeys((*beside, *shipped)))

    def exported(self, module: str) -> tuple[Symbol, ...]:
        """The names of a file that could be imported."""
        try:
            for key in keys(module, self.key):
                source = files.find(key, self.folder, self.load)
                if source is not None:
                    return tuple(names(outline(source)).top.symbols.values())
        except Problem:
            pass  # it cannot be read
        return ()

    def around(self, offset: int) -> list[s.Node]:
        """The nodes of the syntax around an offset, the outermost first."""
        found: list[s.Node] = []
        node: s.Node | None = self.file
        while node is not None:
            found.append(node)
            holding = [c for c in children(node) if c.span.start <= offset <= c.span.end]
            node = holding[-1] if holding else None
        return found


def take(root: Source, key: str, folder: Path | None, load: Load = files.load) -> Snapshot:
    """The snapshot of a text that stands in `folder` (None: nowhere), `load` reading what it
    imports."""
    try:
        return Snapshot(files.collect(root, key, folder, load), folder, load)
    except NetError as error:
        return Snapshot(Sources(key, {key: root}), folder, load, error.diagnostics)


def children(node: s.Node) -> Iterator[s.Node]:
    """The nodes right below, in the order of the text."""
    for f in fields(node)[2:]:
        content = getattr(node, f.name)
        if isinstance(content, s.Node):
            yield content
        elif isinstance(content, tuple):
            yield from (part for part in content if isinstance(part, s.Node))


def walk(node: s.Node) -> Iterator[s.Node]:
    """A node and all below it, in the order of the text."""
    pending = [node]
    while pending:
        found = pending.pop()
        yield found
        pending += reversed(list(children(found)))
