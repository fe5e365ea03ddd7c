"""Cutting a graph in two: forward from backward, folded weights from what runs at each call.

Given   a graph and a set of early nodes
Result  the early graph (those nodes; values that cross are outputs with role `saved`) and the
        late graph (the rest; crossing values are inputs with role `saved`). Sources, and what
        follows from constants alone, may be in both. A view is made again rather than saved: no
        two saved tensors share memory.
"""

from __future__ import annotations

from collections.abc import Collection

from netdsl.ir import Graph, Input, Output, Parameter, Source
from netdsl.op import Value
from netdsl.rewrite import dependent, reachable, rebuild


def forward_backward(joint: Graph) -> tuple[Graph, Graph]:
    """The joint graph cut into what the outputs need and what only the gradients need; outputs
    with role `saved` are of the first kind, and saved if the second takes them."""
    gradients = tuple(o for o in joint.outputs if o.role == "gradient")
    early = reachable(joint, tuple(o for o in joint.outputs if o.role != "gradient"))
    others = tuple(o for o in joint.outputs if o.role not in ("gradient", "saved"))
    return _cut(joint, early, others, gradients)


def prelude_main(graph: Graph) -> tuple[Graph, Graph]:
    """An inference graph cut into what depends on parameters alone and the rest."""
    varying = dependent(graph, [n for n, _ in graph.sources(Input)])
    folded = dependent(graph, [n for n, _ in graph.sources(Parameter)]) - varying
    return _cut(graph, folded, (), graph.outputs)


def _cut(
    graph: Graph,
    early: Collection[int],
    early_outputs: tuple[Output, ...],
    late_outputs: tuple[Output, ...],
) -> tuple[Graph, Graph]:
    late: set[int] = set()
    crossing: dict[Value, None] = {}
    queue = [o.value for o in late_outputs]
    while queue:
        v = queue.pop()
        op = graph.node(v.node).op
        if v.node in early and not isinstance(op, Source) and not op.view:
            crossing[v] = None
        elif v.node not in late:
            late.add(v.node)
            queue.extend(graph.operands(v.node))
    saved = sorted(crossing, key=lambda v: (v.node, v.result))
    kept = tuple(Output(str(i), v, "saved") for i, v in enumerate(saved))
    first = rebuild(
        graph,
        keep=reachable(graph, (*early_outputs, *kept)),
        outputs=(*early_outputs, *kept),
    )
    second = rebuild(
        graph,
        keep=late,
        outputs=late_outputs,
        given={v: Input(v.type, str(i), "saved") for i, v in enumerate(saved)},
    )
    return first, second
