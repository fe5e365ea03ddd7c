"""`verify` finds what is wrong, and first the stage where it goes wrong; it changes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

import netdsl
from netdsl.errors import Problem
from netdsl.module import NetModule
from netdsl.op import Build, Gradients, Values
from netdsl.ops.activation import Sigmoid, Tanh
from netdsl.ops.arithmetic import Mul
from netdsl.ops.norm import BatchNorm
from netdsl.verify import verify, worst
from netdsl.verify.compare import Row, error, zero_scales
from netdsl.verify.inputs import random_inputs


def load(body: str, takes: str = "[N, 2, 8, 8]") -> NetModule:
    return netdsl.loads(f"netdsl 1\nnet Net(x: {takes}) {{ return x -> {body} }}", seed=0)


def test_a_right_net_is_right_in_every_run_and_dtype() -> None:
    report = verify(load("conv(3, 3) -> bn -> relu -> dropout(0.5) -> flatten -> linear(4)"))
    assert report.good
    assert report.first_bad is None
    assert report.inputs == {"x": (3, 2, 8, 8)}
    assert report.layers == ("conv1", "bn1", "relu1", "dropout1", "flatten1", "linear1")
    assert {(row.what, row.run, row.dtype) for row in report.rows} == {
        (what, run, dtype)
        for dtype in ("float64", "float32")
        for what, runs in {
            "forward": ("inference", "training"),
            "output": ("inference", "eval", "training"),
            "gradient": ("eval", "training"),
            "buffer": ("training",),
        }.items()
        for run in runs
    }
    gradients = [r.name for r in report.rows if (r.what, r.run) == ("gradient", "training")][:7]
    assert gradients == [
        "linear1.bias",
        "linear1.weight",
        "bn1.bias",
        "bn1.weight",
        "conv1.bias",
        "conv1.weight",
        "x",
    ]


def test_verifying_changes_neither_the_model_nor_the_random_numbers() -> None:
    model = load("conv(3, 3) -> bn -> tanh -> dropout(0.5)").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    verify(model)
    assert torch.equal(torch.rand(2), expected)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_stage_wrong_only_in_the_net_as_it_runs_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(self: Tanh, out: Tensor, *operands: Tensor) -> Tensor:
        return torch.tanh(*operands, out=out).mul_(1.001)

    monkeypatch.setattr(Tanh, "into", wrong)
    report = verify(load("linear(11) -> sigmoid -> linear(7) -> tanh -> linear(3)", "[N, 5]"))
    bad = report.first_bad
    assert bad is not None
    assert (bad.layer, bad.what, bad.dtype) == ("tanh1", "forward", "float64")
    assert not report.good


def test_a_wrong_gradient_is_named_where_backward_meets_it_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = Sigmoid.vjp

    def wrong(self: Sigmoid, b: Build, *values: Values) -> Gradients:
        (dx,) = right(self, b, *values)
        assert dx is not None
        return (b(Mul(), dx, b.constant(1.01)),)

    monkeypatch.setattr(Sigmoid, "vjp", wrong)
    report = verify(load("linear(13) -> sigmoid -> linear(7) -> relu -> linear(3)", "[N, 6]"))
    bad = report.first_bad
    assert bad is not None
    assert (bad.what, bad.name, bad.run) == ("gradient", "linear1.bias", "eval")


def test_a_wrong_buffer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    right = BatchNorm.updating

    def wrong(self: BatchNorm, *operands: Tensor) -> Sequence[Tensor]:
        results = right(self, *operands)
        if not operands[0].requires_grad:
            results[-2].mul_(1.01)
        return results

    # under autograd the reference sees operands that require a gradient, our plan never does
    monkeypatch.setattr(BatchNorm, "updating", wrong)
    report = verify(load("conv(5, 3) -> bn -> relu", "[N, 2, 7, 7]"))
    bad = report.first_bad
    assert bad is not None
    assert (bad.what, bad.name) == ("buffer", "bn1.running_var")


def test_a_bias_whose_gradient_is_zero_but_for_rounding_is_no_mistake() -> None:
    report = verify(load("conv(4, 3) -> bn -> relu", "[N, 3, 6, 6]"))
    (row,) = [
        r for r in report.rows if (r.name, r.run, r.dtype) == ("conv1.bias", "training", "float32")
    ]
    assert row.good


def test_without_backward_eval_is_not_run_and_no_gradient_compared() -> None:
    report = verify(load("linear(2) -> tanh", "[N, 3]"), backward=False)
    assert {row.what for row in report.rows} == {"forward", "output"}


def test_free_sizes_are_the_first_that_fit() -> None:
    graph = load("conv(1, 5, pad=0) -> max_pool(70)", "[N, 1, H, W]").graph
    assert random_inputs(graph, 2, {}, 0)["x"].shape == (2, 1, 96, 96)
    assert random_inputs(graph, 2, {"H": 80, "N": 5}, 0)["x"].shape == (5, 1, 80, 96)
    with pytest.raises(Problem, match="the window of `max_pool` is larger than its input"):
        random_inputs(graph, 2, {"H": 30}, 0)


def test_the_error_is_relative_to_the_size_of_the_whole() -> None:
    ref = torch.tensor([3.0, -4.0], dtype=torch.float64)
    off = torch.tensor([3.0, -4.1], dtype=torch.float64)
    assert error(ref, ref) == 0
    assert error(off, ref) == pytest.approx(0.1 / (math.sqrt(12.5) + 4))
    assert error(off, ref, least_scale=100) == pytest.approx(0.1 / 104)
    assert error(torch.zeros(2), torch.zeros(2)) == 0
    assert error(torch.zeros(0), torch.zeros(0)) == 0
    assert error(torch.tensor([1]), torch.tensor([1])) == 0


@pytest.mark.parametrize(
    ("got", "ref"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0]),
        ([math.nan, 1.0], [0.0, 1.0]),
        ([0.0, 1.0], [math.nan, 1.0]),
        ([math.inf, 1.0], [-math.inf, 1.0]),
        ([math.nan, 1.0], [math.inf, 1.0]),
        ([1], [2]),
        ([1e300], [0.0]),
    ],
)
def test_nan_inf_shape_and_whole_numbers_must_be_the_same(
    got: list[float], ref: list[float]
) -> None:
    assert error(torch.tensor(got), torch.tensor(ref)) > 1


def test_nan_and_inf_at_the_same_places_agree() -> None:
    same = torch.tensor([math.nan, math.inf, -math.inf, 1.0])
    assert error(same, same.clone()) == 0


def test_only_gradients_that_are_zero_but_for_rounding_get_a_scale() -> None:
    results = {
        ("gradient", "weight"): torch.full((4,), 2.0),
        ("gradient", "small"): torch.full((4,), 1e-3),
        ("gradient", "bias"): torch.full((4,), 1e-12),
        ("output", "y"): torch.full((4,), 100.0),
    }
    assert zero_scales(results) == {
        ("gradient", "weight"): 0.0,
        ("gradient", "small"): 0.0,
        ("gradient", "bias"): pytest.approx(0.2),
    }


def test_the_worst_row_is_the_one_nearest_to_its_tolerance() -> None:
    loose = Row("a", "gradient", "", "eval", "float32", 1e-4, 2e-4)
    tight = Row("b", "forward", "", "eval", "float64", 9e-10, 1e-9)
    assert worst([loose, tight]) == tight
    assert worst([]) is None
