"""Every code that a diagnostic can have: what it means, and a file that has it beside one that has
not.

explain("N206").title          the row of a code
messages(explain("N206"))      what `netdsl check` says about its bad example
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from netdsl.errors import Diagnostic, NetError, Problem
from netdsl.explain.code import Code
from netdsl.explain.limits import LIMITS
from netdsl.explain.lints import LINTS
from netdsl.explain.names import NAMES
from netdsl.explain.recurrences import RECURRENCES
from netdsl.explain.shapes import SHAPES
from netdsl.explain.syntax import SYNTAX
from netdsl.front import build, check_sources
from netdsl.parser import from_text
from netdsl.sources import Sources, collect

__all__ = ["CODES", "Code", "findings", "messages"]

NAME = "example.net"
CODES: dict[str, Code] = {
    row.code: row
    for row in sorted(
        (*SYNTAX, *NAMES, *SHAPES, *RECURRENCES, *LIMITS, *LINTS), key=lambda row: row.code
    )
}


def messages(row: Code) -> tuple[Diagnostic, ...]:
    """The findings about the bad example, computed."""
    if row.runs is not None:
        graph = build(collect(from_text(row.bad, NAME), NAME, None))
        return (row.runs(graph).at(None),)
    return findings(row, row.bad, row.net)


def findings(row: Code, text: str, net: str | None = None) -> tuple[Diagnostic, ...]:
    """The findings about a text, the row's further files beside it."""
    try:
        root = from_text(text, NAME)
        if row.links:
            with TemporaryDirectory() as above:
                sources = collect(root, NAME, _linked(row, Path(above)))
        else:
            sources = collect(root, NAME, None)
    except Problem as problem:
        return (problem.at(None),)
    except NetError as error:
        return error.diagnostics
    return check_sources(_beside(row, sources), net)


def _linked(row: Code, above: Path) -> Path:
    """A folder with the row's links, to files above it."""
    folder = above / "folder"
    folder.mkdir()
    for name in row.links:
        (above / name).write_text("")
        (folder / name).symlink_to(above / name)
    return folder


def _beside(row: Code, sources: Sources) -> Sources:
    files = {name: from_text(text, name) for name, text in row.files.items()}
    return Sources(sources.root, {**files, **sources.files}, sources.importable)
