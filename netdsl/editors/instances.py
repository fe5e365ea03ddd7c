"""What was seen of a part of the text, a line for each different instance: type, cost, path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netdsl import syntax as s
from netdsl.editors.snapshot import Snapshot
from netdsl.elaborate.trace import Seen, Trace
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import Bundle, show
from netdsl.ir import Source
from netdsl.op import Type, Value
from netdsl.recur import Recur
from netdsl.show.cost import cost
from netdsl.sizes import Size, names

SHOWN = 6  # different instantiations
LONG = 60  # characters of a symbolic number


def text(value: Any) -> str:
    """A value as an editor shows it: the type of a tensor, else the value."""
    if isinstance(value, Bundle):
        return ", ".join(f"{name}: {text(v)}" for name, v in value.results.items())
    return _typed(value.type) if isinstance(value, Value) else show(value)


def _typed(type: Type) -> str:
    return f"{type.dtype}{type.with_shape(*type.shape)}" if type.dtype == "float" else str(type)


def instances(snapshot: Snapshot, node: s.Node, around: list[s.Node]) -> list[str]:
    """The different results of a stage or expression, each with its cost and where it is."""
    times = _times(around)
    applied = node.stage if isinstance(node, s.Labelled) else node
    groups: dict[str, list[str]] = {}
    for trace in snapshot.analysis.traces.values():
        seen = [instance for instance in trace.of(node) if instance.value is not UNKNOWN]
        paths = [p for p, span in trace.instances.items() if span is applied.span]
        for n, instance in enumerate(seen):
            path = paths[n] if len(paths) == len(seen) else _path(trace, instance)
            groups.setdefault(_told(instance, trace, times), []).append(path)
    lines = []
    for told, paths in groups.items():
        distinct = list(dict.fromkeys(path for path in paths if path))
        more = f" and {len(distinct) - 1} more" if len(distinct) > 1 else ""
        lines.append(told + (f" · at `{distinct[0]}`{more}" if distinct else ""))
    return listed(lines)


def _path(trace: Trace, seen: Seen) -> str:
    """Where the last node is that was made."""
    made = [trace.graph.node(n) for n in range(seen.start, seen.stop)]
    return next((n.path for n in reversed(made) if not isinstance(n.op, Source)), "")


def _told(seen: Seen, trace: Trace, times: str) -> str:
    """`float[N, 64, H, W]` · 9,408 parameters · 12 MACs."""
    made = range(seen.start, seen.stop)
    return " · ".join([f"`{text(seen.value)}`", *costs_of(trace, made, times)])


def costs_of(trace: Trace, made: range, times: str = "") -> list[str]:
    """Parameters and MACs of some nodes; `times`: how often a recurrence around runs them."""
    steps = trace.outlined.intersection(made)
    if any(isinstance(trace.graph.node(n).op, Recur) for n in made):
        found = cost(trace.graph, (n for n in made if n not in steps))  # the loops count these
    else:
        found = cost(trace.graph, made)
        times = times or (" a step" if steps else "")
    parts = []
    if found.params:
        parts.append(f"{found.params:,} parameters{', shared' if times else ''}")
    if found.macs != 0:
        parts.append(f"{_number(found.macs)}{times}")
    return parts


def _number(macs: Size) -> str:
    if isinstance(macs, int):
        return f"{macs:,} MACs"
    written = f"{macs} MACs"
    return written if len(written) <= LONG else f"MACs by {', '.join(sorted(names(macs)))}"


def _times(around: list[s.Node]) -> str:
    """` × T` where the place is inside a recurrence, which runs it so often."""
    steps = []
    for node in around:
        if isinstance(node, s.Recur):
            first, last = node.first.span.text, node.last.span.text
            steps.append(last if first == "1" else f"({last} - {first} + 1)")
    return "".join(f" × {count}" for count in steps)


def listed(lines: Iterable[str]) -> list[str]:
    """Lines as paragraphs, as a list where there are several."""
    lines = list(lines)
    if len(lines) <= 1:
        return lines
    shown = [f"- {line}" for line in lines[:SHOWN]]
    if len(lines) > SHOWN:
        shown.append(f"- and {len(lines) - SHOWN} more")
    return ["\n".join(shown)]
