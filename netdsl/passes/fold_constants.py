"""Constant folding: pointwise arithmetic on constants is done, and x * 1, x / 1, x - 0 are x.

Given   y = x * (2 - 1)
Result  y = x

x + 0 stays: it would turn -0.0 into 0.0 elsewhere than torch does.
"""

from __future__ import annotations

import math

from netdsl.ir import Builder, Constant, Graph, Node
from netdsl.lazy import torch
from netdsl.op import Value, Values
from netdsl.rewrite import rebuild


def fold_constants(graph: Graph) -> Graph:
    if not any(graph.sources(Constant)):
        return graph

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if isinstance(node.op, Constant):
            return None
        constants = [_number(b, x) for x in xs]
        if node.op.pointwise and xs and all(c is not None for c in constants):
            result = node.op.reference(*(torch.tensor(c, dtype=torch.float64) for c in constants))
            return (b.constant(result.item()),) if math.isfinite(result.item()) else None
        for position, neutral in node.op.neutral:
            other = xs[1 - position]
            if constants[position] == neutral and other.type == node.types[0]:
                return (other,)
        return None

    return rebuild(graph, change)


def _number(b: Builder, value: Value) -> float | None:
    op = b.graph.node(value.node).op
    return op.value if isinstance(op, Constant) else None
