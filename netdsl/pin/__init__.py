"""Implied names written out: every stage with parameters gets `as name`, the name it has anyway.

A later edit of the file then leaves the keys of checkpoints as they are. The nets of the file, with
their default hyper-parameters, say what the names are; their graphs stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from netdsl.edits import apply
from netdsl.elaborate import Program, elaborate
from netdsl.elaborate.scope import Implied
from netdsl.errors import Diagnostics, NetError, Problem
from netdsl.fmt import format_source
from netdsl.front import complete_nets, syntax
from netdsl.ir import Graph
from netdsl.pin.labels import Left, labels_of
from netdsl.pin.places import places_of
from netdsl.sources import Sources

__all__ = ["Left", "Pinned", "pin"]


@dataclass(frozen=True)
class Pinned:
    """The new text of a file, how many labels it has more, and the stages that got none."""

    text: str
    labels: int
    left: tuple[Left, ...]


def pin(sources: Sources) -> Pinned:
    """Pin the first of the files. Raises `NetError` where they have errors.

    A file that was in the style of `netdsl.format` stays in it.
    """
    source = sources.files[sources.root]
    graphs, implied = _graphs(sources)
    if not graphs:
        what = f"{source.name} has no net whose hyper-parameters all have defaults"
        raise NetError((Problem("N133", what).at(None),))
    places = places_of(source, syntax(sources, Diagnostics()).files[sources.root])
    own = [[i for i in found if i.operator or i.span in places.ends] for found in implied]
    labels, left = labels_of(own, graphs, places.loops)
    text = apply(source, places.edits(labels))
    made = replace(source, text=text)
    if labels and format_source(source) == source.text:
        made = replace(source, text=format_source(made))
    after, _ = _graphs(Sources(sources.root, {**sources.files, sources.root: made}))
    assert after == graphs, "a label changed a name"
    return Pinned(made.text, len(labels), left)


def _graphs(sources: Sources) -> tuple[list[Graph], list[list[Implied]]]:
    """The graph of every net that needs no hyper-parameters, each with the names it implies."""
    found = Diagnostics()
    program: Program = syntax(sources, found)
    found.raise_errors()
    graphs: list[Graph] = []
    implied: list[list[Implied]] = []
    for net in complete_nets(program, found):
        names: list[Implied] = []
        graph = elaborate(program, net.name, {}, found, implied=names)
        found.raise_errors()
        assert graph is not None
        graphs.append(graph)
        implied.append(names)
    found.raise_errors()
    return graphs, implied
