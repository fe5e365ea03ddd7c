"""Ops that Python supplies: their uses, and a declaration of each that holds for all of them."""

from __future__ import annotations

from typing import Any

from netdsl.ir import Graph, Node
from netdsl.op import Type
from netdsl.recur import every_node
from netdsl.sizes import Size
from netdsl.supplied import Supplied
from netdsl.text.stages import applied, named
from netdsl.text.writing import Writing

Column = tuple[Size, ...]  # a size as each use has it
OPERAND, SIZE = "operand", "size"  # begin the names in a declaration


def declarations(graph: Graph) -> list[str]:
    """The `extern` of every op that Python supplies."""
    uses: dict[str, list[Supplied]] = {}
    for node in every_node(graph):
        if isinstance(node.op, Supplied):
            uses.setdefault(node.op.extern, []).append(node.op)
    return [_declaration(name, ops) for name, ops in uses.items()]


def use(n: int, node: Node, writing: Writing) -> list[str]:
    """The statement of one use."""
    op = node.op
    assert isinstance(op, Supplied)
    given = ", ".join(writing.value(v) for v in writing.graph.operands(n))
    hypers = ", ".join(f"{name}={_literal(value)}" for name, value in op.given)
    call = applied(writing.names.word(op.extern), given, hypers, node, writing)
    return [f"{named(n, writing)} = {call}"]


def _declaration(name: str, ops: list[Supplied]) -> str:
    """A signature under which every use has the types that it has."""
    names: dict[Column, str] = {}
    count = len(ops[0].operands)
    if any(len(op.operands) != count for op in ops):
        raise ValueError(f"two uses of the extern `{name}` have other numbers of tensors")
    hypers = ", ".join(hyper for hyper, _ in ops[0].given)
    operands = [_type([op.operands[i] for op in ops], names, True) for i in range(count)]
    results = [_type([op.types[i] for op in ops], names, False) for i in range(len(ops[0].types))]
    tensors = ", ".join(f"{OPERAND}{i}: {text}" for i, text in enumerate(operands))
    head = f"extern {name}({tensors}{'; ' if hypers else ''}{hypers})"
    if ops[0].names == ("y",):
        return f"{head} -> {results[0]}"
    outs = ", ".join(f"{n}: {t}" for n, t in zip(ops[0].names, results, strict=True))
    return f"{head} -> ({outs})"


def _type(types: list[Type], names: dict[Column, str], new: bool) -> str:
    """One type for all uses: numbers where they agree, else names; `new` ones, or known ones."""
    first = types[0]
    if any((t.rank, t.dtype) != (first.rank, first.dtype) for t in types):
        raise ValueError("two uses of one extern have tensors of other ranks")
    texts = []
    for column in zip(*(t.shape for t in types), strict=True):
        if len(set(column)) == 1 and isinstance(column[0], int):
            texts.append(str(column[0]))
        elif new or column in names:
            texts.append(names.setdefault(column, f"{SIZE}{len(names)}"))
        else:
            raise ValueError(f"the size {column[0]} of an extern's result is none of its operands'")
    return f"{'' if first.dtype == 'float' else first.dtype}[{', '.join(texts)}]"


def _literal(value: Any) -> str:
    """A value of compile time as .net text."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    raise ValueError(f"{value!r} is no literal of the language")
