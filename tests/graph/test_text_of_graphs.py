"""Random graphs as .net text: what is printed parses back to the identical graph."""

from __future__ import annotations

from examples import examples
from hypothesis import given
from random_graphs import Net, nets

from netdsl.front import parse_text
from netdsl.ir import Builder, Graph, Output, Source
from netdsl.op import Values
from netdsl.text import to_text


def with_paths(graph: Graph) -> Graph:
    """The graph as a file gives it: a path for each node that brings no parameters of its own."""
    b = Builder(graph.name)
    new: dict[int, Values] = {}
    for n, node in graph.items:
        operands = [new[v.node][v.result] for v in graph.operands(n)]
        owned = {getattr(graph.node(v.node).op, "key", "") for v in graph.operands(n)}
        brings = any(key.startswith(f"{node.path}.") for key in owned) and not node.op.pointwise
        plain = not brings and not isinstance(node.op, Source)
        path = f"{node.path}.n{n}" if plain else node.path
        new[n] = b.append(type(node)(node.op, node.types, path), *operands)
    outs = (Output(o.name, new[o.value.node][o.value.result], o.role) for o in graph.outputs)
    return b.build(tuple(outs))


@examples(40)
@given(nets())
def test_random_graphs_return(net: Net) -> None:
    graph = with_paths(net.graph)
    assert parse_text(to_text(graph)) == graph
