"""Taps: any stage of a net asked for from outside by its path, as pretrained features are.

Given   a layer graph and paths (`features.22`, `layer3`, `layer3.0.conv2`)
Result  the graph whose outputs are those stages, in order, and only what they need
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from netdsl.errors import NetError, Problem
from netdsl.ir import Graph, Output
from netdsl.op import Value
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
    known = stages(graph)
    for path in paths:
        if path not in known:
            close = difflib.get_close_matches(path, known, 3)
            problem = Problem(
                "N115",
                f"`{graph.name}` has no stage `{path}`",
                helps=(f"did you mean {' or '.join(f'`{c}`' for c in close)}?",) if close else (),
            )
            raise NetError((problem.at(None),))
    outputs = tuple(Output(path, known[path], "tap") for path in paths)
    inputs = {n for n, node in graph.items if not graph.operands(n) and not node.path}
    return rebuild(graph, keep=reachable(graph, outputs) | inputs, outputs=outputs)
