"""Dropout in a net with called children and externs: the masks of the net in one piece."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from tolerances import assert_exact
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import netdsl
from netdsl.module import NetModule

DROPS = """netdsl 1
net Drops(x: [N, 8]) {
  return x -> dropout(0.3) -> linear(8) as first -> bn -> dropout(0.4) -> linear(8) as second
           -> dropout(0.5)
}
"""

STEPS = """netdsl 1
net Steps(x: [N, T, 8]) {
  z = x -> linear(8) as first -> dropout(0.3)
  y, _ = z -> gru(8, layers=2, dropout=0.5)
  recur t in 1..T {
    h[0]: [N, 8] = 0
    h[t] = concat(y[t], h[t-1]) -> linear(8) -> dropout(0.2) -> tanh -> dropout(0.1, shared=true)
  }
  return h -> linear(8) as second -> dropout(0.5)
}
"""

SHAPES = {DROPS: (5, 8), STEPS: (3, 4, 8)}


def hooked(*names: str) -> Callable[[NetModule], None]:
    def change(model: NetModule) -> None:
        for name in names:
            model.get_submodule(name).register_forward_hook(lambda m, xs, y: None)

    return change


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("names", [("first",), ("second",), ("first", "second")], ids=str)
@pytest.mark.parametrize("text", SHAPES, ids=["drops", "steps"])
def test_a_cut_net_has_the_masks_of_the_whole(
    text: str, names: tuple[str, ...], backend: str
) -> None:
    model = netdsl.loads(text, seed=0, backend=backend).double()
    x = torch.ones(SHAPES[text], dtype=torch.float64)
    whole = drawn(model, x)
    hooked(*names)(model)
    cut = drawn(model, x)
    assert torch.equal(cut == 0, whole == 0) and bool((whole == 0).any())
    torch.testing.assert_close(cut, whole, rtol=1e-12, atol=1e-12)


def test_externs_leave_the_masks_as_they_are() -> None:
    text = "extern same(x: [N, D]) -> [N, D]\n" + DROPS.partition("\n")[2].replace(
        "-> bn", "-> same -> bn"
    )
    ops: dict[str, Any] = {"same": lambda x: x.clone()}
    model = netdsl.loads(text, seed=0, ops=ops)
    twin = netdsl.loads(text, seed=0, ops=ops, backend="reference")
    x = torch.ones(5, 8)
    assert torch.equal(drawn(model, x) == 0, drawn(twin, x) == 0)


def test_every_call_and_every_layer_has_masks_of_its_own() -> None:
    text = """netdsl 1
    net Masks(x: [N, 64]) -> (a: [N, 64], b: [N, 64]) {
      a = x -> dropout(0.5)
      b = x -> linear(64) as first -> dropout(0.5)
    }
    """
    model = netdsl.loads(text)
    with torch.no_grad():
        model.first.weight.copy_(torch.eye(64))
        model.first.bias.zero_()
    hooked("first")(model)
    x = torch.ones(4, 64)
    masks = [y == 0 for _ in range(3) for y in model(x)]
    assert not any(torch.equal(m, n) for i, m in enumerate(masks) for n in masks[:i])
    with ThreadPoolExecutor(4) as pool:
        masks = [y == 0 for made in pool.map(model, [x] * 4) for y in made]
    assert not any(torch.equal(m, n) for i, m in enumerate(masks) for n in masks[:i])


class Checkpointed(nn.Module):
    """A module that is computed again in backward."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.inner, x, use_reentrant=False)


def test_a_block_that_is_computed_again_has_its_mask_again() -> None:
    text = """netdsl 1
    net Blocks(x: [N, 8]) {
      return x -> dropout(0.5) -> (linear(8) -> dropout(0.5)) as block[] -> dropout(0.5)
    }
    """
    model = netdsl.loads(text, seed=0).double()
    model.block = Checkpointed(model.block)
    x = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    y = model(x)
    model(x)  # another call in between
    y.sum().backward()
    gradient = x.grad.clone()
    with torch.no_grad():
        weight = model.block.inner.get_parameter("0.weight")
        reached = (y != 0).double() * 4  # of the two masks behind the layer, the first mask unknown
        expected = reached @ weight
        ratio = gradient / expected
    assert bool(((ratio - 2).abs() < 1e-9).logical_or(gradient == 0).all())


def test_traced_by_torch_compile_a_cut_net_has_the_same_masks() -> None:
    model = netdsl.loads(DROPS, seed=0).double()
    hooked("first")(model)
    x = torch.ones(5, 8, dtype=torch.float64)
    cut = drawn(model, x)
    torch.manual_seed(3)
    assert_exact(torch.compile(model, backend="aot_eager", fullgraph=True)(x).detach(), cut)


def test_in_eval_nothing_is_drawn() -> None:
    model = netdsl.loads(DROPS).eval()
    hooked("first")(model)
    before = torch.get_rng_state()
    model(torch.ones(2, 8))
    assert_exact(torch.get_rng_state(), before)


def drawn(model: NetModule, x: Tensor) -> Tensor:
    """What a call gives from a seed of torch's, in training."""
    torch.manual_seed(3)
    return model.train()(x).detach()
