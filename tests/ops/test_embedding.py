"""embedding and one_hot against torch, alone and in a net of any floating dtype."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from cases import backward
from tolerances import OP_GRADIENT, assert_close, assert_exact
from torch import nn

import netdsl
from netdsl.errors import Problem
from netdsl.initial import Init
from netdsl.interpreter import interpret
from netdsl.op import Op, Type
from netdsl.ops.embedding import Embedding, OneHot
from netdsl.sizes import atom


@pytest.mark.parametrize("shape", [(), (7,), (3, 1), (2, 3, 5), (0, 4)], ids=str)
def test_rows_and_their_gradient_are_torchs(shape: tuple[int, ...]) -> None:
    x = torch.randint(0, 5, shape)
    twin = nn.Embedding(5, 3, dtype=torch.float64)
    expected = twin(x)
    dy = torch.randn_like(expected)
    expected.backward(dy)
    weight = twin.weight.detach()
    assert_exact(Embedding(5, 3).reference(x, weight), expected.detach())
    graph, found = backward(Embedding(5, 3), (Type(shape, "int"), Type((5, 3))))
    (dw,) = interpret(graph, {"x0": x, "x1": weight, "dy0": dy})
    assert found == (1,)
    assert twin.weight.grad is not None
    assert_close(dw, twin.weight.grad, OP_GRADIENT)


def test_a_seed_gives_the_numbers_of_nn_embedding() -> None:
    (param,) = Embedding(50, 8).params(Type((2, 3), "int"))
    assert (param.name, param.shape, param.init) == ("weight", (50, 8), Init("normal", (0.0, 1.0)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_one_hot_has_the_dtype_of_the_module(dtype: torch.dtype) -> None:
    text = """netdsl 1
net Symbols(x: int[N, T]) -> (hot: [N, T, 6], y: [N, T, 2]) {
  hot = x -> one_hot(6)
  y = hot -> linear(2)
}"""
    x = torch.randint(0, 6, (3, 4))
    for backend in ("auto", "reference"):
        net = netdsl.loads(text, backend=backend).to(dtype)
        assert_exact(net(x).hot, F.one_hot(x, 6).to(dtype))


@pytest.mark.parametrize("symbol", [-1, 6])
@pytest.mark.parametrize("op", [Embedding(6, 2), OneHot(6)], ids=lambda op: op.name)
def test_a_symbol_out_of_range_is_an_error_as_in_torch(op: Op, symbol: int) -> None:
    with pytest.raises((IndexError, RuntimeError), match=r"out of range|Class values"):
        op.reference(torch.tensor([symbol]), torch.ones(6, 2))


@pytest.mark.parametrize("op", [Embedding(6, 2), OneHot(6)], ids=lambda op: op.name)
def test_only_whole_numbers_are_symbols(op: Op) -> None:
    n = atom("N")
    with pytest.raises(Problem) as caught:
        op.infer(Type((n, 4)))
    found = caught.value.diagnostic
    assert found.code == "N213"
    assert found.message == f"`{op.name}` needs whole numbers, but its input is [N, 4]"
    assert found.helps == ("an input of symbols is declared so: `x: int[N, 4]`",)


def test_a_net_of_symbols_trains_as_its_twin() -> None:
    text = """netdsl 1
net Tagger(x: int[N, T]; tags = 3) -> [N, T, tags] {
  return concat(x -> embedding(9, 4) as table, x -> one_hot(9); axis=-1) -> linear(tags) as head
}"""
    net = netdsl.loads(text, seed=0).double()
    assert list(net.state_dict()) == ["table.weight", "head.weight", "head.bias"]
    table, head = nn.Embedding(9, 4).double(), nn.Linear(13, 3).double()
    table.load_state_dict({"weight": net.state_dict()["table.weight"]})
    head.load_state_dict({k: net.state_dict()[f"head.{k}"] for k in ("weight", "bias")})
    x = torch.randint(0, 9, (2, 5))
    expected = head(torch.cat((table(x), F.one_hot(x, 9).double()), -1))
    expected.sin().sum().backward()
    y = net(x)
    y.sin().sum().backward()
    assert_close(y, expected)
    pairs = zip(net.parameters(), (*table.parameters(), *head.parameters()), strict=True)
    for ours, theirs in pairs:
        assert ours.grad is not None
        assert theirs.grad is not None
        assert_close(ours.grad, theirs.grad, OP_GRADIENT)
