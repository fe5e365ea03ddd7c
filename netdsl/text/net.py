"""The statements of a net: those of each node, by the kind of its op."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.initial import Initial
from netdsl.ir import Constant, Graph, Input, Node, Output, Parameter
from netdsl.ops.shape import Expand
from netdsl.recur import Recur
from netdsl.supplied import Supplied
from netdsl.text import externs
from netdsl.text.names import IDENTIFIER
from netdsl.text.recurrences import is_start, recurrence
from netdsl.text.stages import stage
from netdsl.text.writing import Writing, fed_by, is_owned, started, tensors, type_text

NAME = "Net"  # of a graph that has none


def net_text(graph: Graph) -> str:
    """The net as text. Raises `ValueError` for what the language cannot say."""
    if _order(graph) != [op.key for op in graph.parameters]:
        raise ValueError("the parameters are in an order that no text gives them")
    writing = started(graph)
    lines: list[str] = []
    for n, node in _scheduled(graph):
        made = _statement(n, node, writing)
        lines += [*writing.declared, *made]
        writing.declared.clear()
    lines += _returned(writing)
    lets = [f"let {name} = {text}" for text, name in writing.names.lets.items()]
    head = _head(writing)
    return "\n".join([*lets, *externs.declarations(graph), f"{head} {{", *lines, "}", ""])


def _statement(n: int, node: Node, writing: Writing) -> list[str]:
    return STATEMENTS.get(type(node.op), stage)(n, node, writing)


def _scheduled(graph: Graph) -> list[tuple[int, Node]]:
    """The nodes in the order of their statements: a parameter of no layer is declared right before
    the first node that reads it, or a later one."""
    place = {op.key: i for i, op in enumerate(graph.parameters)}
    parameters = [(n, op.key) for n, op in graph.sources(Parameter)]
    declared = [(n, key) for n, key in parameters if not is_owned(graph.results(n)[0], graph)]
    found: list[tuple[int, Node]] = []

    def declare(last: int) -> None:
        while declared and place[declared[0][1]] <= last:
            n, _ = declared.pop(0)
            found.append((n, graph.node(n)))

    late = {n for n, _ in declared}
    for n, node in graph.items:
        if n in late:
            continue
        operands = (graph.node(v.node).op for v in graph.operands(n))
        read = [place[op.key] for op in operands if isinstance(op, Parameter)]
        declare(max(read, default=-1))
        found.append((n, node))
    declare(len(place))
    return found


def _order(graph: Graph) -> list[str]:
    """The keys of the parameters as the statements make them: those of a layer at its first use."""
    keys: dict[str, None] = {}
    pending = [
        (
            graph,
            iter(_scheduled(graph)),
            {graph.results(n)[0]: op.key for n, op in graph.sources(Parameter)},
        )
    ]
    while pending:
        inside, items, known = pending[-1]
        for n, node in items:
            operands = inside.operands(n)
            if isinstance(node.op, Recur):
                fed = {
                    x: known[value]
                    for position, value in enumerate(operands)
                    if value in known
                    for x in fed_by(node.op, position)
                }
                pending.append((node.op.body, iter(node.op.body.items), fed))
                break
            if isinstance(node.op, Parameter) and not is_owned(inside.results(n)[0], inside):
                keys[node.op.key] = None
            elif node.op.layer:
                own = operands[len(tensors(inside, n)) :]
                keys.update(dict.fromkeys(known[v] for v in own if v in known))
        else:
            pending.pop()
    return list(keys)


def _head(writing: Writing) -> str:
    graph, names = writing.graph, writing.names
    name = graph.name if IDENTIFIER.fullmatch(graph.name) else NAME
    while not names.free(name):
        name += "_"
    inputs = ", ".join(f"{op.key}: {type_text(op.type)}" for op in graph.inputs)
    return f"net {name}({inputs}) -> {_outputs(writing)}"


def _outputs(writing: Writing) -> str:
    outs = writing.graph.outputs
    if _is_anonymous(outs):
        return type_text(outs[0].value.type)
    return f"({', '.join(f'{_role(out)}{out.name}: {type_text(out.value.type)}' for out in outs)})"


def _role(out: Output) -> str:
    if out.role not in ("output", "train") or not IDENTIFIER.fullmatch(out.name):
        raise ValueError(f"a net has no output `{out.name}` of the role {out.role}")
    return "train " if out.role == "train" else ""


def _is_anonymous(outs: tuple[Output, ...]) -> bool:
    return [(out.name, out.role) for out in outs] == [("return", "output")]


def _returned(writing: Writing) -> list[str]:
    """The end of the body: what is returned, or the named outputs that have no value yet."""
    outs = writing.graph.outputs
    if _is_anonymous(outs):
        return [f"return {writing.value(outs[0].value)}"]
    named = [(out.name, writing.value(out.value)) for out in outs]
    return [f"{name} = {value}" for name, value in named if name != value]


# ---- one rule for each kind of node


def _input(n: int, node: Node, writing: Writing) -> list[str]:
    op = node.op
    assert isinstance(op, Input)
    value = writing.graph.results(n)[0]
    if op.role != "input" or not IDENTIFIER.fullmatch(op.key):
        raise ValueError(f"a net has no input `{op.key}` of the role {op.role}")
    writing.values[value] = op.key
    return []


def _constant(n: int, node: Node, writing: Writing) -> list[str]:
    return []  # a number stands where it is used


def _parameter(n: int, node: Node, writing: Writing) -> list[str]:
    """A declaration, where the parameter is not that of a layer, which brings its own."""
    op, (value,) = node.op, writing.graph.results(n)
    assert isinstance(op, Parameter)
    if is_owned(value, writing.graph):
        return []
    if op.buffer:
        raise ValueError(f"the buffer `{op.key}` belongs to no layer")
    name = writing.names.fresh()
    writing.values[value] = name
    init = writing.names.word(Initial().show(op.init))
    return [f'param {name}: {type_text(op.type)} = {init} as "{op.key}"']


def _filled(n: int, node: Node, writing: Writing) -> list[str]:
    """A tensor of one number, which stands with the recurrence that it starts."""
    if not is_start(n, writing.graph):
        raise ValueError("a tensor of one number is no start value of one recurrence")
    return []


def _recurrence(n: int, node: Node, writing: Writing) -> list[str]:
    return recurrence(n, node, writing, _statement)


STATEMENTS: dict[type, Callable[[int, Node, Writing], list[str]]] = {
    Input: _input,
    Constant: _constant,
    Parameter: _parameter,
    Expand: _filled,
    Recur: _recurrence,
    Supplied: externs.use,
}
