"""BN folding for inference: an affine map of channels moves into the weights before it.

Given   y = batch_norm_inference(conv(x, w, b), gamma, beta, mean, var), the conv used by it alone
Result  y = conv(x, w s, (b - mean) s + beta),  s = gamma / sqrt(var + eps)

The ops say what is affine (`as_affine`) and what can take it (`absorb_affine`). The new weights
depend on parameters only, so they are computed once and kept (cut.prelude_main).
"""

from __future__ import annotations

from netdsl.ir import Builder, Graph, Node
from netdsl.op import Op, Values
from netdsl.rewrite import rebuild


def fold_bn(graph: Graph) -> Graph:
    seen_outside = {o.value for o in graph.outputs}
    operands: dict[int, Values] = {}  # of every node, in the new graph

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        operands[n] = xs
        if not xs:
            return None
        x = graph.operands(n)[0]
        if x in seen_outside or len(graph.users[x]) > 1:
            return None
        producer = graph.node(x.node).op
        if type(producer).absorb_affine is Op.absorb_affine:
            return None
        factors = node.op.as_affine(b, xs)
        if factors is None:
            return None
        folded = producer.absorb_affine(b, operands[x.node], *factors)
        return None if folded is None else (folded,)

    return rebuild(graph, change)
