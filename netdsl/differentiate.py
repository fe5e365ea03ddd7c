"""Differentiation as a pass: the backward graph, appended by the ops' own rules.

Given   a graph of one mode and the names of the inputs and parameters whose gradient is wanted
Result  the joint graph: all of it, an input with role `cotangent` for every floating output, and an
        output with role `gradient` for every wanted name that an output depends on

Reverse accumulation: for y = f(x), dx = vjp_f(x, y, dy); where a value has several users their
gradients are added, so x + F(x) gets dy (1 + dF/dx).
"""

from __future__ import annotations

from collections.abc import Collection

from netdsl.ir import Builder, Graph, Input, Node, Output, Parameter
from netdsl.op import Type, Value, Values
from netdsl.ops.arithmetic import Add
from netdsl.ops.cast import Cast
from netdsl.ops.shape import Expand
from netdsl.rewrite import dependent, rebuild

PRIMARY = ("output", "train", "tap")


def differentiate(graph: Graph, wanted: Collection[str]) -> Graph:
    """The joint graph of outputs, updates and gradients."""
    graph = _differentiable(graph)
    roots = {
        n: node.op.key
        for n, node in graph.items
        if isinstance(node.op, (Input, Parameter)) and node.op.key in wanted
    }
    active = dependent(graph, roots)
    mapped: dict[int, Values] = {}

    def remember(b: Builder, n: int, node: Node, xs: Values) -> Values:
        mapped[n] = b.append(node, *xs)
        return mapped[n]

    def backward(b: Builder) -> tuple[Output, ...]:
        gradients = _accumulate(b, graph, mapped, active)
        return tuple(
            Output(key, gradients[mapped[n][0]], "gradient")
            for n, key in roots.items()
            if mapped[n][0] in gradients
        )

    return rebuild(graph, remember, added=backward)


def _differentiable(graph: Graph) -> Graph:
    """Ops exchanged for the forms whose results their gradients need (max pooling's indices)."""

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        form = node.op.differentiable_form()
        return None if form is node.op else b.all(form, *xs)[: len(node.types)]

    return rebuild(graph, change)


def _accumulate(
    b: Builder, graph: Graph, mapped: dict[int, Values], active: set[int]
) -> dict[Value, Value]:
    """The gradient of every active value that an output depends on."""
    gradients: dict[Value, Value] = {}

    def add(value: Value, gradient: Value) -> None:
        if gradient.type.dtype != value.type.dtype:
            gradient = b(Cast(value.type.dtype), gradient)
        before = gradients.get(value)
        gradients[value] = gradient if before is None else b(Add(), before, gradient)

    for out in graph.outputs:
        if out.role in PRIMARY and out.value.type.floating and out.value.node in active:
            value = mapped[out.value.node][out.value.result]
            add(value, b(Input(value.type, out.name, "cotangent")))
    for n, node in reversed(graph.items):
        ys = mapped[n]
        if n not in active or not graph.operands(n) or not any(y in gradients for y in ys):
            continue
        xs = tuple(mapped[v.node][v.result] for v in graph.operands(n))
        with b.at(node.path, node.span):
            dys = tuple(gradients.get(y) or _zeros(b, y.type) for y in ys)
            dxs = node.op.vjp(b, xs, ys, dys)
            for v, x, dx in zip(graph.operands(n), xs, dxs, strict=True):
                if dx is not None and v.node in active:
                    add(x, dx)
    return gradients


def _zeros(b: Builder, type: Type) -> Value:
    zeros = b(Expand(type.shape), b.constant(0.0))
    lowered = type.floating and type.dtype != "float"
    return b(Cast(type.dtype), zeros) if lowered else zeros
