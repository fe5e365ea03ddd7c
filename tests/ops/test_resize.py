"""resize against torch.nn.functional.interpolate."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from cases import backward
from tolerances import OP, OP_GRADIENT, assert_close
from torch import Tensor

import netdsl
from netdsl.errors import Problem
from netdsl.interpreter import interpret
from netdsl.op import Type
from netdsl.ops.resize import Resize
from netdsl.sizes import atom


def interpolated(x: Tensor, op: Resize) -> Tensor:
    return F.interpolate(x, op.size, op.scale, op.mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 33, 7, 9), (0, 2, 3, 3)], ids=str)
@pytest.mark.parametrize(
    "to",
    [
        {"scale": 2},
        {"scale": 3},
        {"scale": 0.5},
        {"scale": 1.5},
        {"scale": 1 / 3},
        {"scale": 2 / 3},
        {"scale": 1},
        {"size": 8},
        {"size": (1, 13)},
    ],
    ids=str,
)
def test_numbers_and_gradients_are_torchs(
    mode: str, shape: tuple[int, ...], to: dict[str, Any]
) -> None:
    op = Resize(**to, mode=mode)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    if shape[0]:
        expected = interpolated(x, op)
        dy = torch.randn_like(expected)
        (dx,) = torch.autograd.grad(expected, x, dy)
        assert_close(op.reference(x.detach()), expected, OP)
    else:
        dy = op.reference(x.detach())
        dx = torch.zeros_like(x)
    assert op.infer(Type(shape)).shape == tuple(dy.shape)
    graph, _ = backward(op, (Type(shape),))
    (got,) = interpret(graph, {"x0": x.detach(), "dy0": dy})
    assert_close(got, dx, OP_GRADIENT)


@pytest.mark.parametrize("denominator", [1, 2, 3, 4, 8])
def test_a_scale_gives_every_image_the_size_of_torch(denominator: int) -> None:
    for numerator in (1, 2, 3, 5, denominator + 1):
        op = Resize(scale=numerator / denominator)
        for n in range(denominator, 80):
            expected = F.interpolate(torch.zeros(1, 1, n, n), scale_factor=op.scale)
            assert op.infer(Type((1, 1, n, n))).shape == tuple(expected.shape), (op, n)


def test_a_size_is_exact_where_torchs_product_of_floats_falls_short() -> None:
    assert F.interpolate(torch.zeros(1, 1, 55, 55), scale_factor=12 / 11).shape[2] == 59
    assert Resize(scale=12 / 11).infer(Type((1, 1, 55, 55))).shape[2] == 60


def test_sizes_may_be_names() -> None:
    n, h, w = atom("N"), atom("H"), atom("W")
    x = Type((n, 3, h, w))
    assert Resize(scale=2).infer(x) == Type((n, 3, 2 * h, 2 * w))
    assert Resize(scale=0.5).infer(x) == Type((n, 3, h // 2, w // 2))
    assert Resize((2 * h, 7)).infer(x) == Type((n, 3, 2 * h, 7))


def test_a_net_goes_up_to_the_size_of_its_skip() -> None:
    text = """netdsl 1
net Skip(x: [N, 3, H, W]) -> [N, 3, H, W] {
  return x + (x -> avg_pool(2) -> resize(size=[H, W], mode=bilinear))
}"""
    x = torch.randn(2, 3, 7, 10, dtype=torch.float64)
    small = F.avg_pool2d(x, 2)
    expected = x + F.interpolate(small, (7, 10), mode="bilinear")
    assert_close(netdsl.loads(text).double()(x), expected)


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (lambda: Resize(), "N106", "`resize` needs `size` or `scale`, and one of them"),
        (lambda: Resize(3, 2), "N106", "`resize` needs `size` or `scale`, and one of them"),
        (
            lambda: Resize((1, 2, 3)),
            "N106",
            "`size` of `resize` is a number or two, height and width",
        ),
        (
            lambda: Resize(scale=0.29),
            "N106",
            "`scale` of `resize` is a whole number or a fraction as 1/2 or 3/4, not 0.29",
        ),
        (
            lambda: Resize(scale=0),
            "N106",
            "`scale` of `resize` is a whole number or a fraction as 1/2 or 3/4, not 0",
        ),
        (
            lambda: Resize(scale=0.25).infer(Type((1, 2, 8, 3))),
            "N207",
            "`resize` by 0.25 leaves nothing of [1, 2, 8, 3]",
        ),
        (
            lambda: Resize(3).infer(Type((1, 2, 8), "int")),
            "N201",
            "`resize` needs an image [N, C, H, W], but its input is int[1, 2, 8]",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, code: str, message: str) -> None:
    with pytest.raises(Problem) as caught:
        make()
    assert (caught.value.diagnostic.code, caught.value.diagnostic.message) == (code, message)
