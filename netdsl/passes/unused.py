"""Drop unused: nodes that no output depends on.

Given   y = relu(x); z = tanh(x); return y
Result  y = relu(x); return y
"""

from __future__ import annotations

from netdsl.ir import Graph
from netdsl.rewrite import reachable, rebuild


def drop_unused(graph: Graph) -> Graph:
    return rebuild(graph, keep=reachable(graph))
