"""prelu against torch.nn.PReLU, zero and NaN among its operands."""

from __future__ import annotations

import pytest
import torch
from cases import backward
from tolerances import OP_GRADIENT, assert_close, assert_exact
from torch import nn

from netdsl.errors import Problem
from netdsl.initial import Init
from netdsl.interpreter import interpret
from netdsl.op import Type
from netdsl.ops.prelu import PReLU
from netdsl.sizes import atom


@pytest.mark.parametrize("per", ["channel", "tensor"])
@pytest.mark.parametrize("shape", [(3, 5, 2, 4), (2, 33), (2, 5, 7), (0, 5, 2, 2)], ids=str)
def test_numbers_and_gradients_are_torchs(shape: tuple[int, ...], per: str) -> None:
    op = PReLU(per=per)
    (param,) = op.params(Type(shape))
    twin = nn.PReLU(param.shape[0]).double()
    assert param.init == Init("constant", (0.25,))
    assert float(twin.weight[0].detach()) == 0.25
    with torch.no_grad():
        twin.weight.copy_(torch.randn_like(twin.weight))
    x = torch.randn(shape, dtype=torch.float64)
    x[:1, :2] = 0.0
    leaf, weight = x.clone().requires_grad_(), twin.weight.detach()
    expected = twin(leaf)
    dy = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, [leaf, twin.weight], dy)
    assert_exact(op.reference(x, weight), expected.detach())
    graph, _ = backward(op, (Type(shape), Type(tuple(weight.shape))))
    for got, reference in zip(
        interpret(graph, {"x0": x, "x1": weight, "dy0": dy}), wanted, strict=True
    ):
        assert_close(got, reference, OP_GRADIENT)


def test_nan_stays_nan() -> None:
    x = torch.tensor([[float("nan"), -1.0]])
    assert PReLU().reference(x, torch.ones(2)).isnan().tolist() == [[True, False]]


def test_a_slope_of_every_channel_needs_their_number() -> None:
    x = Type((2, atom("C"), 4))
    assert PReLU().infer(x) == x
    assert PReLU(per="tensor").params(x)[0].shape == (1,)
    with pytest.raises(Problem) as caught:
        PReLU().params(x)
    found = caught.value.diagnostic
    assert found.code == "N210"
    assert found.message == "the weight of `prelu` would have the symbolic size [C]"
    assert found.helps == ("give the channels a number, or share one slope: `prelu(per=tensor)`",)


def test_one_number_a_row_has_no_channels() -> None:
    with pytest.raises(Problem) as caught:
        PReLU().infer(Type((3,)))
    assert caught.value.diagnostic.message == (
        "`prelu` needs channels, [N, C, …], but its input is [3]"
    )
