"""Initial weights: the distributions of the text, with one seed the very numbers of torch.nn."""

from __future__ import annotations

import math

import pytest
import torch
from tolerances import assert_exact
from torch import nn

import netdsl

SMALL = """netdsl 1
net Small(x: [N, 4, H, W]) {
  return x -> conv(8, 3) -> bn -> conv(6, 5, groups=2, bias=false) -> global_avg_pool -> linear(4)
}
"""


def test_one_seed_gives_the_numbers_of_torch_nn() -> None:
    model = netdsl.loads(SMALL, seed=3)
    torch.manual_seed(3)
    twin = nn.Sequential(
        nn.Conv2d(4, 8, 3),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 6, 5, groups=2, bias=False),
        nn.Linear(6, 4),
    )
    pairs = zip(model.state_dict().items(), twin.state_dict().values(), strict=True)
    for (key, got), expected in pairs:
        assert_exact(got, expected, key)


def test_the_seed_decides_and_no_seed_goes_on_from_torchs_generator() -> None:
    def numbers(seed: int | None) -> torch.Tensor:
        return netdsl.loads(SMALL, seed=seed).linear1.weight.detach()

    assert torch.equal(numbers(1), numbers(1))
    assert not torch.equal(numbers(1), numbers(2))
    torch.manual_seed(1)
    first, second = numbers(None), numbers(None)
    assert torch.equal(first, numbers(1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("init", "bound", "std"),
    [
        ("torch", 1 / math.sqrt(1000), 1 / math.sqrt(3 * 1000)),
        ("he", math.inf, math.sqrt(2 / 500)),
        ("he_uniform", math.sqrt(6 / 1000), math.sqrt(2 / 1000)),
        ("xavier", math.sqrt(6 / 1500), math.sqrt(2 / 1500)),
        ("lecun", math.inf, 1 / math.sqrt(1000)),
        ("normal(0.02)", math.inf, 0.02),
        ("uniform(-0.5, 0.5)", 0.5, 1 / math.sqrt(12)),
    ],
)
def test_the_weight_has_the_spread_that_init_names(init: str, bound: float, std: float) -> None:
    model = linear(f"linear(500, init={init})")
    weight = model.linear1.weight.detach().double()
    assert weight.shape == (500, 1000)
    assert abs(float(weight.mean())) < 5 * std / math.sqrt(weight.numel())
    assert abs(float(weight.std()) / std - 1) < 0.01
    assert 0.99 * min(bound, 4 * std) < float(weight.abs().max()) <= bound * (1 + 1e-6)


def test_an_orthogonal_weight_keeps_lengths() -> None:
    weight = linear("linear(500, init=orthogonal)").linear1.weight.detach().double()
    assert float((weight @ weight.T - torch.eye(500)).abs().max()) < 1e-5


def test_the_bias_is_torchs_own_beside_torchs_weight_and_zero_beside_any_other() -> None:
    bias = linear("linear(500)").linear1.bias.detach()
    assert 0.99 / math.sqrt(1000) < float(bias.abs().max()) <= 1 / math.sqrt(1000)
    assert not linear("linear(500, init=he)").linear1.bias.any()


def test_normalisation_starts_as_the_identity() -> None:
    bn = netdsl.loads(SMALL).bn1
    expected = [torch.ones(8), torch.zeros(8), torch.zeros(8), torch.ones(8), torch.tensor(0)]
    for got, wanted in zip(bn.state_dict().values(), expected, strict=True):
        assert_exact(got, wanted)


def linear(stage: str) -> nn.Module:
    text = f"netdsl 1\nnet A(x: [N, 1000]) {{ return x -> {stage} }}\n"
    return netdsl.loads(text, seed=0)


def test_a_seed_gives_the_same_weights_and_leaves_torchs_generator_alone() -> None:
    text = "net Two(x: [N, 3]) { return x -> linear(4) -> relu -> linear(2) }"
    before = torch.random.get_rng_state()
    first, again = netdsl.loads(text, seed=5), netdsl.loads(text, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    for p, q in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)
