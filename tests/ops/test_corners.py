"""Gradients where a function has a corner, a tie or a pole are torch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from cases import backward
from tolerances import assert_exact
from torch import Tensor

from netdsl.interpreter import interpret
from netdsl.op import OPS, Type

INF = float("inf")
CORNERS = [
    ("relu", {}, torch.relu, [[-1.0, 0.0, 1.0]]),
    ("relu6", {}, F.relu6, [[-1.0, 0.0, 3.0, 6.0, 7.0]]),
    ("leaky_relu", {"slope": 0.1}, lambda x: F.leaky_relu(x, 0.1), [[-1.0, 0.0, 1.0]]),
    ("elu", {}, F.elu, [[-1.0, 0.0, 1.0, -50.0]]),
    ("softplus", {}, F.softplus, [[-30.0, 0.0, 19.9, 20.1, 100.0]]),
    ("hardswish", {}, F.hardswish, [[-4.0, -3.0, 0.0, 3.0, 4.0]]),
    ("hardsigmoid", {}, F.hardsigmoid, [[-4.0, -3.0, 0.0, 3.0, 4.0]]),
    ("abs", {}, torch.abs, [[-1.0, 0.0, 2.0]]),
    ("sqrt", {}, torch.sqrt, [[0.0, 4.0]]),
    (
        "clamp",
        {"min": -1, "max": 1},
        lambda x: torch.clamp(x, -1, 1),
        [[-2.0, -1.0, 0.0, 1.0, 2.0]],
    ),
    ("maximum", {}, torch.maximum, [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]]),
    ("minimum", {}, torch.minimum, [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]]),
    ("max", {}, torch.amax, [[3.0, 1.0, 3.0, 3.0]]),
    ("min", {}, torch.amin, [[1.0, 1.0, 3.0]]),
    ("norm", {}, torch.linalg.vector_norm, [[0.0, 0.0]]),
    ("norm", {"p": 1}, lambda x: torch.linalg.vector_norm(x, 1), [[0.0, -2.0]]),
    ("norm", {"p": 3}, lambda x: torch.linalg.vector_norm(x, 3), [[0.0, 0.0]]),
    ("pow", {}, torch.pow, [[0.0, 0.0, 0.0, 2.0, -2.0], [0.0, 1.0, 2.0, 0.0, 3.0]]),
    ("div", {}, torch.div, [[1.0, 0.0, -1.0], [0.0, 0.0, INF]]),
    ("softmax", {"axis": 0}, lambda x: torch.softmax(x, 0), [[1000.0, 1001.0, -1000.0]]),
    ("log_softmax", {"axis": 0}, lambda x: torch.log_softmax(x, 0), [[1000.0, 1001.0, -1e4]]),
]


@pytest.mark.parametrize(("name", "hypers", "function", "operands"), CORNERS)
def test_corner_is_torchs(
    name: str, hypers: dict[str, float], function: object, operands: list[list[float]]
) -> None:
    op = OPS[name](**hypers)
    xs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in operands]
    y: Tensor = function(*xs)  # type: ignore[operator]
    dy = torch.ones_like(y) * 3
    expected = torch.autograd.grad(y, xs, dy)
    given = {f"x{i}": x.detach() for i, x in enumerate(xs)}
    assert_exact(op.reference(*given.values()), y.detach())
    graph, _ = backward(op, tuple(Type(tuple(x.shape)) for x in xs))
    for dx, reference in zip(interpret(graph, {**given, "dy0": dy}), expected, strict=True):
        assert_exact(dx, reference)
