"""attend against scaled dot-product attention written out, and nn.MultiheadAttention."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from cases import backward
from tolerances import OP_GRADIENT, assert_close
from torch import Tensor, nn

import netdsl
from netdsl.errors import Problem
from netdsl.interpreter import interpret
from netdsl.op import Type
from netdsl.ops.attend import Attend
from netdsl.sizes import atom


def written_out(q: Tensor, k: Tensor, v: Tensor, heads: int, causal: bool) -> Tensor:
    pieces = []
    for a, b, c in zip(q.chunk(heads, 2), k.chunk(heads, 2), v.chunk(heads, 2), strict=True):
        scores = a @ b.mT / math.sqrt(a.shape[2])
        if causal:
            later = torch.ones(q.shape[1], k.shape[1]).triu(1).bool()
            scores = scores.masked_fill(later, -math.inf)
        pieces.append(scores.softmax(2) @ c)
    return torch.cat(pieces, 2)


@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("heads", [1, 2, 6])
@pytest.mark.parametrize(
    ("steps", "memory", "width"), [(5, 5, 6), (3, 7, 12), (7, 3, 6), (1, 1, 6)], ids=str
)
def test_numbers_and_gradients_are_those_of_the_formula(
    steps: int, memory: int, width: int, heads: int, causal: bool
) -> None:
    shapes = ((2, steps, 6), (2, memory, 6), (2, memory, width))
    xs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    expected = written_out(*xs, heads, causal)
    dy = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, xs, dy)
    op, given = Attend(heads, causal), [x.detach() for x in xs]
    assert_close(op.reference(*given), expected)
    graph, _ = backward(op, tuple(map(Type, shapes)))
    inputs = {f"x{i}": x for i, x in enumerate(given)} | {"dy0": dy}
    for got, reference in zip(interpret(graph, inputs), wanted, strict=True):
        assert_close(got, reference, OP_GRADIENT)


def test_with_linear_maps_around_it_is_multihead_attention() -> None:
    text = """netdsl 1
net Attention(x: [N, T, 8]) -> [N, T, 8] {
  return attend(x -> linear(8) as q, x -> linear(8) as k, x -> linear(8) as v; heads=4)
         -> linear(8) as out
}"""
    net = netdsl.loads(text, seed=0).double()
    twin = nn.MultiheadAttention(8, 4, batch_first=True).double()
    state = net.state_dict()
    twin.load_state_dict(
        {
            "in_proj_weight": torch.cat([state[f"{n}.weight"] for n in "qkv"]),
            "in_proj_bias": torch.cat([state[f"{n}.bias"] for n in "qkv"]),
            "out_proj.weight": state["out.weight"],
            "out_proj.bias": state["out.bias"],
        }
    )
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    y, expected = net(x), twin(x, x, x)[0]
    y.sin().sum().backward()
    expected.sin().sum().backward()
    assert_close(y, expected)
    assert twin.in_proj_weight.grad is not None
    gradients = torch.cat([net.get_parameter(f"{n}.weight").grad for n in "qkv"])  # type: ignore[misc]
    assert_close(gradients, twin.in_proj_weight.grad, OP_GRADIENT)


N, T, S = atom("N"), atom("T"), atom("S")


def test_steps_may_be_names_and_cost_their_product() -> None:
    q, k, v = Type((N, T, 8)), Type((N, S, 8)), Type((N, S, 6))
    op = Attend(2)
    assert op.infer(q, k, v) == Type((N, T, 6))
    assert op.macs((q, k, v), (op.infer(q, k, v),)) == N * T * S * 14


def test_a_batch_of_none_goes_through() -> None:
    x = torch.zeros(0, 3, 4)
    assert Attend(2).reference(x, x, x).shape == (0, 3, 4)


STEPS = Type((N, T, 6))


@pytest.mark.parametrize(
    ("make", "code", "message", "label"),
    [
        (
            lambda: Attend().infer(STEPS, STEPS, Type((N, S, 6))),
            "N206",
            "`attend`: `k` is [N, T, 6] and `v` is [N, S, 6]",
            "T and S steps",
        ),
        (
            lambda: Attend().infer(STEPS, Type((N, T, 4)), STEPS),
            "N206",
            "`attend`: `q` is [N, T, 6] and `k` is [N, T, 4]",
            "6 and 4 numbers",
        ),
        (
            lambda: Attend(4).infer(STEPS, STEPS, STEPS),
            "N211",
            "`attend` with heads=4 needs numbers divisible by 4",
            "[N, T, 6] has 6",
        ),
        (
            lambda: Attend().infer(STEPS, Type((N, 6)), STEPS),
            "N201",
            "`attend` needs sequences [N, T, D], but its input is [N, 6]",
            "[N, 6] has rank 2",
        ),
        (
            lambda: Attend().infer(STEPS, STEPS, Type((N, T, 6), "int")),
            "N213",
            "`attend` needs numbers of floating type, but its input is int[N, T, 6]",
            "",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, code: str, message: str, label: str) -> None:
    with pytest.raises(Problem) as caught:
        make()
    found = caught.value.diagnostic
    assert (found.code, found.message, found.label) == (code, message, label)
