"""Taps: any stage of a net asked for from outside by its path, as pretrained features are.

Given   a layer graph and paths (`features.22`, `layer3`, `layer3.0.conv2`)
Result  the graph whose outputs are those stages, in order, and only what they need; of a stage
        inside a recurrence the sequence of its values, in a padded batch with zeros behind the ends
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import replace

from netdsl.errors import NetError, Problem
from netdsl.ir import Builder, Graph, Node, Output
from netdsl.op import Value, Values
from netdsl.ops.lengths import ValidSteps
from netdsl.recur import Recur, every_node
from netdsl.rewrite import reachable, rebuild


def stages(graph: Graph) -> dict[str, Value]:
    """The value of every stage by its path; that of a block, group or loop is its last stage's."""
    found: dict[str, Value] = {}
    for n, node in graph.items:
        if node.path and graph.operands(n):
            (value, *_) = graph.results(n)
            parts = node.path.split(".")
            for depth in range(1, len(parts) + 1):
                found[".".join(parts[:depth])] = value
    return found


def tap(graph: Graph, paths: Sequence[str]) -> Graph:
    """The graph with taps for outputs. Raises `NetError` for a path that no stage has."""
    if isinstance(paths, str) or not paths:
        raise TypeError(f"outputs= is a list of paths of stages, not {paths!r}")
    twice = [path for i, path in enumerate(paths) if path in paths[:i]]
    if twice:
        raise ValueError(f"outputs= asks for `{twice[0]}` twice")
    graph, inside = _exposed(graph, set(paths) - set(stages(graph)))
    known = inside | stages(graph)
    for path in paths:
        if path not in known:
            every = [*known, *(node.path for node in every_node(graph) if node.path)]
            close = difflib.get_close_matches(path, dict.fromkeys(every), 3)
            problem = Problem(
                "N115",
                f"`{graph.name}` has no stage `{path}`",
                helps=(f"did you mean {' or '.join(f'`{c}`' for c in close)}?",) if close else (),
            )
            raise NetError((problem.at(None),))
    outputs = tuple(Output(path, known[path], "tap") for path in paths)
    inputs = {n for n, node in graph.items if not graph.operands(n) and not node.path}
    return rebuild(graph, keep=reachable(graph, outputs) | inputs, outputs=outputs)


def _exposed(graph: Graph, wanted: Collection[str]) -> tuple[Graph, dict[str, Value]]:
    """The graph whose recurrences also give the stages of these paths that their steps have, as
    sequences; the values of these."""
    found: dict[str, Value] = {}

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if isinstance(node.op, ValidSteps):  # from each example's own time
            for path in [p for p, v in found.items() if v.node == xs[0].node]:
                found[path] = b(node.op, found[path], xs[1])
        if not isinstance(node.op, Recur):
            return None
        body, inside = _exposed(node.op.body, wanted)
        inside |= {path: v for path, v in stages(body).items() if path in wanted and v.type.rank}
        if not inside:
            return None
        count = len(node.types)
        added = tuple(Output(f"y{count + i}", v) for i, v in enumerate(inside.values()))
        starts = (*node.op.starts, *[() for _ in added])
        body = rebuild(body, outputs=(*body.outputs, *added))
        results = b.all(replace(node.op, body=body, starts=starts), *xs)
        found.update(zip(inside, results[count:], strict=True))
        return results[:count]

    return (rebuild(graph, change), found) if wanted else (graph, found)
