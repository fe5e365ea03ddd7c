"""A stage as a statement: `v3 = conv(v2; 64, 3) as "path"`, or a use of a declared `layer`."""

from __future__ import annotations

from netdsl.ir import Graph, Node
from netdsl.op import Value
from netdsl.text.arguments import arguments
from netdsl.text.writing import Writing, tensors


def stage(n: int, node: Node, writing: Writing) -> list[str]:
    """The statement of a layer."""
    call = application(n, node, writing)
    return [f"{named(n, writing)} = {call}"]


def named(n: int, writing: Writing) -> str:
    """Names for the results of a node, `_` for one of several that nothing uses."""
    results = writing.graph.results(n)
    several = len(results) > 1
    return ", ".join(
        "_" if several and not _is_used(value, writing.graph) else writing.name(value)
        for value in results
    )


def application(n: int, node: Node, writing: Writing) -> str:
    """The call of a layer on the tensors that it has in the graph."""
    op, names = node.op, writing.names
    if not op.layer:
        raise ValueError(f"`{op.name}` is no layer of the language")
    given = ", ".join(writing.value(v) for v in tensors(writing.graph, n))
    return applied(names.word(op.name), given, arguments(op, names.word), node, writing)


def applied(layer: str, tensors: str, hypers: str, node: Node, writing: Writing) -> str:
    """The call under the path of its node, that of a declared layer where others share the path."""
    if not node.path:
        raise ValueError(f"a use of `{layer}` has no path")
    if node.path not in writing.several:
        return f'{layer}({tensors}{"; " if hypers else ""}{hypers}) as "{node.path}"'
    stage = f"{layer}({hypers})" if hypers else layer
    if node.path not in writing.shared:
        name = writing.names.fresh("s")
        writing.shared[node.path] = name, stage
        writing.declared.append(f'layer {name} = {stage} as "{node.path}"')
    name, declared = writing.shared[node.path]
    if declared != stage:
        raise ValueError(f"`{node.path}` is {declared} and {stage}: one path, two layers")
    return f"{name}({tensors})"


def _is_used(value: Value, graph: Graph) -> bool:
    return value in graph.users or any(out.value == value for out in graph.outputs)
