"""Initial values of layers: `init` and `bias_init`, against torch.nn.init."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import netdsl.ops  # noqa: F401  (enters every family)
from netdsl.errors import Problem
from netdsl.initial import NAMED, ZEROS, Init
from netdsl.namespaces import fill
from netdsl.op import OPS, Type

LAYERS = {
    "linear": (OPS["linear"](6), Type((2, 10))),
    "conv": (OPS["conv"](6, (3, 5), groups=2), Type((2, 4, 8, 8))),
    "up_conv": (OPS["up_conv"](6, (3, 5), groups=2), Type((2, 4, 8, 8))),
    "conv1d": (OPS["conv1d"](6, 3), Type((2, 4, 8))),
    "conv3d": (OPS["conv3d"](6, 3), Type((2, 4, 8, 8, 8))),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def params(name: str, **hypers: Any) -> tuple[Any, Any]:
    op, x = LAYERS[name]
    weight, bias = op.replace(**hypers).params(x)
    return weight, bias


def drawn(shape: tuple[int, ...], init: Init) -> torch.Tensor:
    torch.manual_seed(0)
    tensor = torch.empty(shape)
    fill(tensor, init)
    return tensor


TORCH = {
    "he": lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"),
    "he_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "xavier": nn.init.xavier_uniform_,
    "lecun": lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear"),
    "torch": lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)),
    "orthogonal": nn.init.orthogonal_,
    "identity": lambda w: nn.init.eye_(w) if w.dim() == 2 else nn.init.dirac_(w),
}


@every_layer
@pytest.mark.parametrize("init", TORCH)
def test_named_initial_values_are_torchs_numbers(name: str, init: str) -> None:
    weight, _ = params(name, init=init)
    torch.manual_seed(0)
    expected = TORCH[init](torch.empty(weight.shape))
    torch.testing.assert_close(drawn(weight.shape, weight.init), expected)


def test_every_name_is_compared_with_torch() -> None:
    assert set(TORCH) == set(NAMED)


@every_layer
def test_the_bias_follows_the_weight_unless_it_says_otherwise(name: str) -> None:
    weight, bias = params(name)
    assert bias.init == weight.init
    assert params(name, init="he")[1].init == ZEROS
    assert params(name, bias_init=1)[1].init == Init("constant", (1.0,))
    assert params(name, bias_init=1)[0].init == weight.init
    assert params(name, init="he", bias_init="torch")[1].init == weight.init
    normal = Init("normal", (0.0, 0.5))
    assert params(name, bias_init=normal)[1].init == normal


def test_a_bias_without_a_weight_to_follow_is_left_out() -> None:
    op, x = LAYERS["linear"]
    assert [p.name for p in op.replace(bias=False, bias_init=1).params(x)] == ["weight"]


@pytest.mark.parametrize("init", ["orthogonal", "identity"])
@every_layer
def test_a_bias_is_no_matrix(name: str, init: str) -> None:
    op, _ = LAYERS[name]
    with pytest.raises(Problem) as caught:
        op.replace(bias_init=init)
    found = caught.value.diagnostic
    assert found.code == "N106"
    assert found.message == f"`bias_init` is an initial value of a vector, not {init}"
    assert found.helps == (
        "it is a number, normal(std), uniform(a, b) or one of torch, he, he_uniform, xavier, lecun",
    )
