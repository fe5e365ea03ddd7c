"""Dropout: the mask follows from seed and stream, and has the probability asked for."""

from __future__ import annotations

import math

import pytest
import torch
from cases import backward, specialised
from tolerances import assert_exact

from netdsl.interpreter import interpret
from netdsl.op import Type
from netdsl.ops.dropout import Bernoulli, Dropout, Dropout2d, MaskedScale


def mask(shape: tuple[int, ...], keep: float, seed: int, stream: int = 0) -> torch.Tensor:
    return Bernoulli(shape, keep, stream).reference(torch.tensor(seed))


def test_same_seed_and_stream_replay_the_mask() -> None:
    assert torch.equal(mask((33, 65), 0.3, 7, 1), mask((33, 65), 0.3, 7, 1))


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_streams_and_seeds_are_told_apart(seed: int) -> None:
    torch.manual_seed(0)
    masks = [mask((2048,), 0.5, s, t) for s in (seed, seed ^ 1) for t in (0, 1, 2)]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert abs(float((a == b).double().mean()) - 0.5) < 5 * 0.5 / math.sqrt(2048)


def test_torchs_own_generator_is_not_touched() -> None:
    before = torch.get_rng_state()
    mask((10,), 0.5, 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("keep", [0.5, 0.1, 0.9, 1 / 3, 0.999, 1e-3])
def test_probability_is_the_one_asked_for(keep: float) -> None:
    count = 200_001
    ones = int(mask((count,), keep, 11).sum())
    assert abs(ones - keep * count) < 5 * math.sqrt(count * keep * (1 - keep))


def test_extremes_of_probability() -> None:
    assert mask((1001,), 1 - 1e-12, 1).all()
    assert not mask((1001,), 1e-12, 1).any()


def test_neighbours_are_independent() -> None:
    m = mask((100_000,), 0.5, 5).double() - 0.5
    for lag in (1, 2, 3, 64):
        assert abs(float((m[lag:] * m[:-lag]).mean())) < 5 * 0.25 / math.sqrt(100_000)


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (3, 5)])
def test_any_shape_has_a_mask(shape: tuple[int, ...]) -> None:
    m = mask(shape, 0.5, 1)
    assert m.shape == shape
    assert m.dtype == torch.bool


def test_training_scales_what_is_kept() -> None:
    x = torch.randn(40, 50)
    graph, names = specialised(Dropout(0.2), (x, torch.tensor(9)), training=True, stream=3)
    (y,) = interpret(graph, {"x0": x, "x1": torch.tensor(9)})
    kept = mask((40, 50), 0.8, 9, 3)
    assert names == ("y",)
    assert_exact(y, torch.where(kept, x * 1.25, 0.0))


def test_whole_channels_are_dropped() -> None:
    x = torch.ones(8, 16, 3, 4)
    graph, _ = specialised(Dropout2d(), (x, torch.tensor(9)), training=True)
    (y,) = interpret(graph, {"x0": x, "x1": torch.tensor(9)})
    per_channel = y.flatten(2)
    assert ((per_channel == 0).all(2) | (per_channel == 2).all(2)).all()
    assert 0 < int((per_channel[..., 0] == 0).sum()) < 128


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0, True)])
def test_eval_and_p_0_are_x(p: float, training: bool) -> None:
    x = torch.randn(3, 4)
    graph, _ = specialised(Dropout(p), (x,), training=training)
    assert interpret(graph, {"x0": x})[0] is x


def test_backward_has_the_mask_of_forward_and_keeps_nan() -> None:
    x, kept = torch.tensor([1.0, 2.0, float("nan")]), torch.tensor([True, False, False])
    graph, found = backward(MaskedScale(2), (Type((3,)), Type((3,), "bool")))
    (dx,) = interpret(graph, {"x0": x, "x1": kept, "dy0": torch.tensor([3.0, 4.0, 5.0])})
    assert found == (0,)
    assert_exact(dx, torch.tensor([6.0, 0.0, 0.0]))
    assert_exact(MaskedScale(2).reference(x, kept), torch.tensor([2.0, 0.0, float("nan")]))
