"""A convolution and the addition after it: the sum is made where the convolution writes its result.

Pattern    z = conv(x, w, b) + y, the shortcut of a residual block
Condition  the convolution's result is used by the addition alone, is no output, and has the shape
           of the sum
"""

from __future__ import annotations

from netdsl.fusions.region import Refusal, Region, outline
from netdsl.ir import Graph
from netdsl.op import Value
from netdsl.ops.arithmetic import Add
from netdsl.ops.conv import Conv


def fuse_conv_sum(graph: Graph) -> Graph:
    return outline(graph, regions(graph)[0])


def regions(graph: Graph) -> tuple[list[Region], list[Refusal]]:
    """A region for every such pair, and why other convolutions before an addition were left."""
    found: list[Region] = []
    refusals: list[Refusal] = []
    outputs = {o.value for o in graph.outputs}
    for n, node in graph.items:
        if not isinstance(node.op, Add):
            continue
        operands = graph.operands(n)
        taken = False
        for v in sorted(operands, key=lambda v: -v.node):  # the later one, whose memory is warm
            if taken or not isinstance(graph.node(v.node).op, Conv):
                continue
            reason = _refuse(graph, v, node.types[0].shape, outputs)
            if reason:
                refusals.append(Refusal(v.node, reason))
                continue
            found.append(Region((v.node, n)))
            taken = True
    return found, refusals


def _refuse(graph: Graph, value: Value, shape: tuple[object, ...], outputs: set[Value]) -> str:
    if value in outputs:
        return "its value is an output"
    if len(graph.users[value]) > 1:
        return "its value is used outside the region"
    if value.type.shape != shape:
        return f"its shape {value.type} is not the sum's"
    return ""
