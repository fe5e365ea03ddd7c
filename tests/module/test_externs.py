"""`extern`: ops that Python supplies, functions and modules, with torch's own gradient."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact
from torch import Tensor, nn

import netdsl
from netdsl.interpreter import interpret
from netdsl.ir import Graph, Source
from netdsl.verify import verify

SCALED = """\
extern scaled(x: [N, D], by: [N, D]; k = 3) -> [N, D]
net A(x: [N, 4]) -> [N, 2] {
  y = x -> linear(4) as first
  return y -> scaled(x) -> scaled(x, 5) -> linear(2) as last
}
"""

HEAD = """\
extern head(x: [N, D]; d = 3) -> [N, d]
net A(x: [N, 4]) -> [N, 6] {
  return concat(x -> head as a -> relu, x -> head as b)
}
"""


def scaled(x: Tensor, by: Tensor, k: int) -> Tensor:
    return x * by.sin() * k


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.bn = nn.BatchNorm1d(3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, d: int) -> Tensor:
        assert d == 3
        return self.dropout(self.bn(self.linear(x)))


def test_a_function_is_called_with_tensors_and_hyper_parameters() -> None:
    model = netdsl.loads(SCALED, ops={"scaled": scaled}, seed=0).double()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    y = model(x)
    z = twin @ model.first.weight.T + model.first.bias
    expected = scaled(scaled(z, twin, 3), twin, 5) @ model.last.weight.T + model.last.bias
    assert_close(y, expected.detach(), NET)
    weight = model.first.weight
    for loss, leaf in ((y, x), (expected, twin)):
        leaf.saved = torch.autograd.grad(loss.sin().sum(), (leaf, weight))
    for got, reference in zip(x.saved, twin.saved, strict=True):
        assert_close(got, reference, NET_GRADIENT)


def test_each_use_of_a_module_has_parameters_of_its_own() -> None:
    torch.manual_seed(1)
    module = Head()
    model = netdsl.loads(HEAD, ops={"head": module})
    assert list(model.state_dict()) == [
        f"{use}.{key}" for use in ("a", "b") for key in module.state_dict()
    ]
    x = torch.randn(8, 4)
    before = model.a.bn.running_mean.clone()
    model(x).sum().backward()
    assert model.a.linear.weight.grad is not None
    assert not torch.equal(model.a.bn.running_mean, before)
    assert module.linear.weight.grad is None
    model.eval()
    assert not model.a.dropout.training
    assert torch.equal(model(x), model(x))
    with torch.no_grad():
        model.a.linear.weight.add_(1)
    model.eval()
    reference = torch.cat([model.a(x, d=3).relu(), model.b(x, d=3)], 1)
    assert_close(model(x), reference.double().float(), NET)


def test_a_copy_of_the_net_calls_its_own_modules() -> None:
    model = netdsl.loads(HEAD, ops={"head": Head()}).eval()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.a.linear.bias.add_(1)
    x = torch.randn(2, 4)
    assert not torch.equal(model(x), twin(x))


def test_an_extern_is_called_inside_a_recurrence() -> None:
    text = """\
        extern cell(x: [N, D], h: [N, D]) -> (h: [N, D], n: int[N])
        net A(x: [N, T, 4]) -> (y: [N, T, 4], n: int[N, T]) {
          recur t in 1..T {
            h[0]: [N, 4] = 0
            a, b = cell(x[t], h[t-1]) as cell
            h[t] = a
            n[t] = b
          }
          y = h
        }
    """
    made = netdsl.loads(text, ops={"cell": lambda x, h: ((x + h).tanh(), (x > h).sum(1))}).double()
    x = torch.randn(2, 5, 4).double().requires_grad_()
    y, n = made(x)
    h, hs, ns = torch.zeros(2, 4).double(), [], []
    for t in range(5):
        ns.append((x[:, t] > h).sum(1))
        h = (x[:, t] + h).tanh()
        hs.append(h)
    assert_close(y, torch.stack(hs, 1).detach(), NET)
    assert torch.equal(n, torch.stack(ns, 1))
    found, expected = (torch.autograd.grad(z.sum(), x)[0] for z in (y, torch.stack(hs, 1)))
    assert_close(found, expected, NET_GRADIENT)


def test_a_net_with_externs_is_saved_with_its_modules_parameters(tmp_path: Path) -> None:
    model = netdsl.loads(HEAD, ops={"head": Head()}).eval()
    model(torch.randn(8, 4))
    model.save(tmp_path / "m.netc")
    again = netdsl.load(tmp_path / "m.netc", ops={"head": Head()})
    x = torch.randn(3, 4)
    assert torch.equal(again(x), model(x))
    with pytest.raises(netdsl.NetError, match="N116"):
        netdsl.load(tmp_path / "m.netc")
    with pytest.raises(netdsl.ArtifactError, match="not those it was saved with"):
        netdsl.load(tmp_path / "m.netc", ops={"head": nn.Linear(4, 3)})


def test_what_is_not_supplied_is_asked_for_where_it_is_used() -> None:
    with pytest.raises(netdsl.NetError) as raised:
        netdsl.loads(SCALED)
    assert str(raised.value) == (
        """\
error[N116]: `scaled` is supplied by Python, and nothing was
 --> <text>:4:15
  |
4 |   return y -> scaled(x) -> scaled(x, 5) -> linear(2) as last
  |               ^^^^^^^^^
  = help: `netdsl.load(…, ops={"scaled": function_or_module})` supplies it"""
    )
    with pytest.raises(ValueError, match="ops= supplies `scale`, and A uses no such extern"):
        netdsl.loads(SCALED, ops={"scaled": scaled, "scale": scaled})


def test_a_result_of_another_shape_is_refused() -> None:
    model = netdsl.loads(SCALED, ops={"scaled": lambda x, by, k: x[:, :2]})
    with pytest.raises(netdsl.NetError, match=r"`scaled` gave \[3, 2\] at `scaled1`.*\[3, 4\]"):
        model(torch.randn(3, 4))


def test_types_of_an_extern_are_checked_as_those_of_a_block() -> None:
    with pytest.raises(
        netdsl.NetError, match=r"`by` of `scaled` is \[N, D\], but this is \[N, 2\]"
    ):
        netdsl.loads(SCALED.replace("-> scaled(x, 5)", "-> scaled(x -> linear(2))"))


def test_a_net_with_externs_is_verified() -> None:
    assert verify(netdsl.loads(SCALED, ops={"scaled": scaled}, seed=0)).good


AROUND = """\
extern gate(x: [N, C, H, W]) -> [N, C, H, W]
extern pooled(x: [N, C, H, W]) -> (low: [N, C], high: [N, C])
net A(x: [N, 3, H, W]; classes = 5) {
  h = x -> conv(4, 3, bias=false) -> bn -> relu
  g = h -> gate as gate -> conv(4, 3, bias=false) -> bn
  low, high = relu(g + h) -> pooled as pooled
  return concat(low, high) -> linear(classes)
}
"""

STEPS = """\
extern cell(x: [N, D], h: [N, D]) -> [N, D]
net A(x: [N, T, 3]) -> [N, 2] {
  z = x -> linear(4)
  recur t in 1..T {
    h[0]: [N, 4] = 0
    h[t] = cell(z[t], h[t-1]) as cell
  }
  return h[T] -> linear(2)
}
"""


class Pooled(nn.Module):
    """The least and the largest in each channel, on a learnt scale."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.scale * x.amin((2, 3)), x.amax((2, 3))


GIVEN = {
    AROUND: ({"gate": lambda x: x * x.sigmoid(), "pooled": Pooled()}, (4, 3, 6, 5)),
    STEPS: ({"cell": lambda x, h: (x + h.sin()).tanh()}, (4, 6, 3)),
}


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The paths of what was run node by node, call by call."""
    found: list[list[str]] = []

    def noted(graph: Graph, *rest: object) -> list[Tensor]:
        found.append([node.path for _, node in graph.items if not isinstance(node.op, Source)])
        return interpret(graph, *rest)

    monkeypatch.setattr("netdsl.reference.interpret", noted)
    return found


@pytest.mark.parametrize("text", GIVEN, ids=["around", "steps"])
def test_only_the_externs_run_node_by_node(text: str, interpreted: list[list[str]]) -> None:
    ops, shape = GIVEN[text]
    model = netdsl.loads(text, ops=ops, seed=0).double()
    reference = netdsl.loads(text, ops=ops, seed=0, backend="reference").double()
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    for training in (True, False):
        results = []
        for net in (model, reference):
            net.train(training).zero_grad()
            leaf = x.clone().requires_grad_()
            y = net(leaf)
            (first,) = torch.autograd.grad(y.sin().sum(), leaf, create_graph=True)
            (first.square().sum() + y.cos().sum()).backward()
            results.append([y, leaf.grad, *[p.grad for p in net.parameters()], *net.buffers()])
        for got, expected in zip(*results, strict=True):
            assert_close(got, expected.detach(), NET_GRADIENT)
        with torch.no_grad():
            assert_close(model(x), reference(x), NET)
    externs = [["gate"], ["pooled"]] if text == AROUND else [["recur1"]]
    ours = [paths for paths in interpreted if len(paths) == 1]
    assert ours == externs * 4
    assert len(interpreted) - len(ours) == 4  # the reference


def test_externs_around_our_plans_have_torchs_dtypes_under_autocast() -> None:
    ops, shape = GIVEN[AROUND]
    model = netdsl.loads(AROUND, ops=ops, seed=0)
    seen: list[torch.dtype] = []
    model.pooled.register_forward_pre_hook(lambda m, xs: seen.append(xs[0].dtype))
    reference = netdsl.loads(AROUND, ops=ops, seed=0, backend="reference")
    x = torch.randn(shape)
    with torch.autocast("cpu", torch.bfloat16):
        y, expected = model(x), reference(x)
    assert seen == [torch.bfloat16]
    assert y.dtype == expected.dtype == torch.bfloat16
    y.float().sum().backward()
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
    assert_close(y, expected.double(), NET)


def test_an_extern_may_give_another_dtype_as_in_torch() -> None:
    text = """\
    extern wide(x: [N, D]) -> [N, D]
    net A(x: [N, 4]) -> [N, 4] { y = x -> linear(4) as first  return (y -> wide) * y + y }
    """
    model = netdsl.loads(text, ops={"wide": lambda x: x.double()})
    x = torch.randn(3, 4)
    y = model.first.weight @ x.T + model.first.bias[:, None]
    made = model(x)
    assert made.dtype == torch.float64
    torch.testing.assert_close(made, (y.T.double() * y.T + y.T), rtol=1e-5, atol=1e-5)
    made.sum().backward()
    assert model.first.weight.grad.dtype == torch.float32


def test_a_called_block_with_an_extern_in_it_is_cut_inside(interpreted: list[list[str]]) -> None:
    text = """\
    extern scaled(x: [2, 4]) -> [2, 4]
    net A(x: [2, 4]) -> [2, 2] {
      return x -> (linear(4) -> scaled as inner -> linear(4)) as block[] -> linear(2)
    }
    """
    model = netdsl.loads(text, ops={"scaled": lambda x: 2 * x}, seed=0).double()
    x = torch.randn(2, 4, dtype=torch.float64)
    expected = model(x)
    seen: list[Tensor] = []
    model.block.register_forward_hook(lambda m, xs, y: seen.append(y))
    assert_exact(model(x), expected)
    assert len(seen) == 1
    assert len(interpreted) == 2 and all(len(paths) == 1 for paths in interpreted)


def test_what_a_called_child_gives_an_extern_must_fit_it() -> None:
    model = netdsl.loads(SCALED, ops={"scaled": scaled})
    model.first = nn.Linear(4, 5)
    with pytest.raises(netdsl.InputError, match=r"`scaled` takes \[3, 4\], \[3, 4\] at `scaled1`"):
        model(torch.randn(3, 4))
