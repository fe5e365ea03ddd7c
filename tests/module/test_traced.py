"""Traced by torch: the two operators stand in the traced code and find their program by its key."""

from __future__ import annotations

import pytest
import torch
from tolerances import assert_exact

import netdsl

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns itself while it traces

TINY = """netdsl 1
net Tiny(x: [N, 1, 6, 6]) -> [N, 3] {
  return x -> conv(4, 3) -> relu -> max_pool(2) -> flatten -> linear(3)
}
"""


def test_torch_compile_around_a_net_that_was_never_called() -> None:
    x = torch.randn(2, 1, 6, 6)
    plain, traced = netdsl.loads(TINY, seed=0), netdsl.loads(TINY, seed=0)
    y, z = plain(x), torch.compile(traced, backend="aot_eager", fullgraph=True)(x)
    assert_exact(z, y)
    for loss in (y, z):
        loss.square().sum().backward()
    for p, q in zip(plain.parameters(), traced.parameters(), strict=True):
        assert_exact(q.grad, p.grad)


def test_what_was_compiled_is_compiled_again_where_the_mode_of_the_net_changes() -> None:
    text = "netdsl 1\nnet Norm(x: [N, 3]) { return x -> bn as norm -> linear(2) }"
    model, x = netdsl.loads(text, seed=0), torch.randn(5, 3)
    fast = torch.compile(model, backend="aot_eager", fullgraph=True)
    fast(x)
    before = model.norm.running_mean.clone()
    model.norm.eval()
    assert_exact(fast(x), model(x))
    assert_exact(model.norm.running_mean, before)
    model.train().sync_batchnorm()
    fast(x)
    (program,) = model._executable.programs.values()
    assert any(node.op.name.startswith("sync") for _, node in program.lowered.forward.items)


def test_torch_export_holds_the_same_numbers_and_leaves_the_net_as_it_was() -> None:
    x = torch.randn(2, 1, 6, 6)
    model = netdsl.loads(TINY, seed=0).eval()
    before = model(x)
    assert_exact(torch.export.export(model, (x,)).module()(x), before)
    assert_exact(model(x), before)


def test_functional_call_takes_the_weights_that_it_is_given() -> None:
    x = torch.randn(2, 1, 6, 6)
    model, other = netdsl.loads(TINY, seed=0), netdsl.loads(TINY, seed=1)
    before = model(x)
    assert_exact(torch.func.functional_call(model, dict(other.named_parameters()), (x,)), other(x))
    assert_exact(model(x), before)
