"""Where the text can take a label: behind each application that has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from netdsl import syntax as s
from netdsl.errors import Diagnostics, Edit, Source, Span
from netdsl.parser import tokenize

OPERANDS = (s.Binary, s.Unary, s.Index, s.Field)  # of these a label needs parentheses


@dataclass
class Places:
    """The applications of a file without a label, and the names that its loops give.

    ends   of an application: where it ends, parentheses around it left out
    bare   the applications that need parentheses to take a label
    """

    ends: dict[Span, Span] = field(default_factory=dict)
    bare: set[Span] = field(default_factory=set)
    loops: set[Span] = field(default_factory=set)

    def edits(self, labels: Mapping[Span, str]) -> list[Edit]:
        """The edits that give the applications their labels."""
        found = []
        for span, label in labels.items():
            wrapped = span in self.bare
            found.append(Edit(self.ends[span], f" as {label}{')' if wrapped else ''}"))
            if wrapped:
                found.append(Edit(Span(span.source, span.start, span.start), "("))
        return found


def places_of(source: Source, tree: s.File) -> Places:
    """The places of a file without syntax errors."""
    places = Places()
    tokens = tokenize(source, Diagnostics())[:-1]
    at = {token.span.start: i for i, token in enumerate(tokens)}
    to = {token.span.end: i for i, token in enumerate(tokens)}
    pending: list[tuple[object, object]] = [(tree, None)]
    while pending:
        node, parent = pending.pop()
        if isinstance(node, tuple):
            pending += [(part, parent) for part in node]
        elif isinstance(node, s.Node):
            if isinstance(node, s.Target):
                places.loops |= {name.span for name in node.names}
            if isinstance(node, (s.Call, s.Bare)) and not isinstance(parent, s.Labelled):
                first, last = at[node.span.start], to[node.span.end]
                enclosed = tokens[first].type == "LPAR"
                while tokens[first].type == "LPAR":
                    first, last = first + 1, last - 1
                end = tokens[last].span.end
                places.ends[node.span] = Span(source, end, end)
                if isinstance(parent, OPERANDS) and not enclosed:
                    places.bare.add(node.span)
            pending += [(getattr(node, f.name), node) for f in fields(node)[2:]]
    return places
