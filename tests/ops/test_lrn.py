"""Local response normalisation against torch.nn.LocalResponseNorm."""

from __future__ import annotations

import pytest
import torch
from cases import backward
from tolerances import OP, OP_GRADIENT, assert_close
from torch import nn

from netdsl.errors import Problem
from netdsl.interpreter import interpret
from netdsl.op import Type
from netdsl.ops.lrn import LRN
from netdsl.sizes import atom


@pytest.mark.parametrize("hypers", [{}, {"alpha": 0.3, "beta": 1.25, "k": 2}], ids=str)
@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 40])
@pytest.mark.parametrize("channels", [1, 3, 33])
def test_any_window_is_torchs_with_its_gradient(
    channels: int, size: int, hypers: dict[str, float]
) -> None:
    shape = (2, channels, 3, 5)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    dy = torch.randn(shape, dtype=torch.float64)
    expected = nn.LocalResponseNorm(size, **hypers)(x)  # type: ignore[arg-type]
    (expected_dx,) = torch.autograd.grad(expected, x, dy)
    op = LRN(size, **hypers)
    assert_close(op.reference(x.detach()), expected)
    graph, _ = backward(op, (Type(shape),))
    (dx,) = interpret(graph, {"x0": x.detach(), "dy0": dy})
    assert_close(dx, expected_dx, OP_GRADIENT)


def test_a_window_far_wider_than_the_channels_costs_no_memory() -> None:
    x = torch.randn(1, 2, 2, 2, dtype=torch.float64)
    y = LRN(2**31 - 1, alpha=2**31 - 1).reference(x)
    assert_close(y, x * (1 + (x * x).sum(1, keepdim=True)).pow(-0.75), OP)


def test_every_size_of_an_image_may_be_a_name() -> None:
    x = Type(tuple(map(atom, "NCHW")))
    assert LRN(5).infer(x) == x


@pytest.mark.parametrize(
    ("x", "code", "message"),
    [
        (Type((2, 3)), "N201", "`lrn` needs an image [N, C, H, W], but its input is [2, 3]"),
        (
            Type((2, 3, 4, 4), "int"),
            "N213",
            "`lrn` needs numbers of floating type, but its input is int[2, 3, 4, 4]",
        ),
    ],
    ids=str,
)
def test_what_is_no_image_of_floats_is_refused(x: Type, code: str, message: str) -> None:
    with pytest.raises(Problem) as caught:
        LRN(5).infer(x)
    assert (caught.value.diagnostic.code, caught.value.diagnostic.message) == (code, message)
