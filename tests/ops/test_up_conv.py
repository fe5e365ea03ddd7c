"""Transposed convolution against torch.nn.ConvTranspose: geometry, gradients, parameters, costs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from cases import backward
from tolerances import OP, OP_GRADIENT, assert_close
from torch import nn

from netdsl.errors import Problem
from netdsl.initial import Init
from netdsl.interpreter import interpret
from netdsl.ir import Builder, Input, Output
from netdsl.op import Type
from netdsl.ops.up_conv import UpConv, UpConv1d, UpConv3d
from netdsl.sizes import atom

TWINS = {UpConv1d: nn.ConvTranspose1d, UpConv: nn.ConvTranspose2d, UpConv3d: nn.ConvTranspose3d}
TORCHS = {"k": "kernel_size", "pad": "padding", "out_pad": "output_padding"}
GEOMETRY = [
    (UpConv, (3, 4, 5, 6), 65, {"k": 2, "stride": 2}),
    (UpConv, (3, 33, 7, 5), 3, {"k": 3, "stride": 2, "pad": 1, "out_pad": 1}),
    (UpConv, (1, 6, 1, 1), 4, {"k": (4, 5), "groups": 2}),
    (UpConv, (2, 6, 5, 3), 6, {"k": 3, "stride": (3, 1), "pad": (2, 0), "groups": 6}),
    (UpConv, (2, 3, 4, 7), 5, {"k": (3, 1), "dilation": (2, 3), "out_pad": (1, 2), "pad": (3, 0)}),
    (UpConv, (2, 3, 4, 4), 2, {"k": 1, "stride": 3}),
    (UpConv1d, (2, 4, 9), 6, {"k": 4, "stride": 3, "pad": 1, "out_pad": 2, "groups": 2}),
    (UpConv3d, (2, 3, 2, 3, 4), 4, {"k": (1, 2, 3), "stride": 2, "pad": (0, 0, 1)}),
]


def twin(op: UpConv, channels: int, hypers: dict[str, Any]) -> nn.Module:
    named = {TORCHS.get(name, name): value for name, value in hypers.items()}
    module: nn.Module = TWINS[type(op)](channels, op.c, bias=op.bias, **named)
    return module


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(("cls", "shape", "c", "hypers"), GEOMETRY, ids=str)
def test_geometry_is_torchs_with_its_gradients(
    cls: type[UpConv],
    shape: tuple[int, ...],
    c: int,
    hypers: dict[str, Any],
    dtype: torch.dtype,
    bias: bool,
) -> None:
    op, x = cls(c, bias=bias, **hypers), torch.randn(shape, dtype=dtype)
    module = twin(op, shape[1], hypers).to(dtype)
    weights = [p.detach() for p in module.parameters()]
    exact = module.double()
    leaf = x.double().requires_grad_()
    expected = exact(leaf)
    dy = torch.randn(expected.shape, dtype=dtype)
    gradients = torch.autograd.grad(expected, [leaf, *exact.parameters()], dy.double())

    types = tuple(Type(tuple(t.shape)) for t in (x, *weights))
    assert op.infer(*types).shape == tuple(expected.shape)
    assert_close(op.reference(x, *weights), expected.detach(), OP)
    graph, _ = backward(op, types)
    given = {f"x{i}": t for i, t in enumerate((x, *weights))} | {"dy0": dy}
    for dx, reference in zip(interpret(graph, given), gradients, strict=True):
        assert_close(dx, reference, OP_GRADIENT)


@pytest.mark.parametrize(("cls", "shape", "c", "hypers"), GEOMETRY, ids=str)
def test_parameters_and_initial_range_are_torchs(
    cls: type[UpConv], shape: tuple[int, ...], c: int, hypers: dict[str, Any]
) -> None:
    op = cls(c, **hypers)
    state = twin(op, shape[1], hypers).state_dict()
    params = op.params(Type(shape))
    assert [(p.name, p.shape) for p in params] == [(k, tuple(v.shape)) for k, v in state.items()]
    bound = 1 / math.sqrt(nn.init._calculate_fan_in_and_fan_out(state["weight"])[0])
    for p in params:
        assert p.init.name == "uniform"
        assert p.init.arguments == pytest.approx((-bound, bound))
        assert 0.5 * bound < float(state[p.name].abs().max()) <= bound


def test_bias_init_is_of_the_bias_alone() -> None:
    weight, bias = UpConv(4, 2, bias_init=1).params(Type((1, 3, 5, 5)))
    assert bias.init == Init("constant", (1.0,))
    assert weight.init.name == "uniform"


def test_a_doubled_size_is_exact_for_every_input() -> None:
    h, w = atom("H"), atom("W")
    x = Type((atom("N"), 8, h, w))
    assert UpConv(4, 2, stride=2).infer(x) == Type((atom("N"), 4, 2 * h, 2 * w))
    assert UpConv(4, 3, stride=2, pad=1, out_pad=1).infer(x).shape[2:] == (2 * h, 2 * w)


def test_every_pixel_of_the_input_costs_a_window() -> None:
    op, x = UpConv(64, 2, stride=2, groups=4), Type((atom("N"), 128, 28, 28))
    assert op.macs((x,), (op.infer(x),)) == atom("N") * (128 * 28 * 28 * 16 * 4)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
@pytest.mark.parametrize("groups", [1, 3])
def test_affine_map_moves_into_the_weights(groups: int, bias: bool) -> None:
    op, x = UpConv(6, 3, stride=2, groups=groups, bias=bias), Type((2, 3, 4, 5))
    types = {"x": x, **{p.name: Type(p.shape) for p in op.params(x)}}
    types |= {"scale": Type((6,)), "shift": Type((6,))}
    b = Builder()
    *xs, scale, shift = (b(Input(t, key)) for key, t in types.items())
    folded = op.absorb_affine(b, tuple(xs), scale, shift)
    assert folded is not None
    given = {k: torch.randn(t.shape, dtype=torch.float64) for k, t in types.items()}
    (y,) = interpret(b.build((Output("y", folded),)), given)
    plain = op.reference(*list(given.values())[: len(xs)])
    assert_close(y, plain * given["scale"].view(6, 1, 1) + given["shift"].view(6, 1, 1))


IMAGE = Type((2, 4, 5, 5))


@pytest.mark.parametrize(
    ("make", "code", "message", "label"),
    [
        (
            lambda: UpConv(6, 3, groups=4),
            "N211",
            "`up_conv` with groups=4 needs channels divisible by 4",
            "c=6 is not",
        ),
        (
            lambda: UpConv(6, 3, groups=3).infer(IMAGE),
            "N211",
            "`up_conv` with groups=3 needs channels divisible by 3",
            "[2, 4, 5, 5] with 4 channels is not",
        ),
        (
            lambda: UpConv(6, 3, pad=(0, 1, 0, 0)),
            "N106",
            "`up_conv` pads both sides of an axis alike, not 0 and 1",
            "",
        ),
        (
            lambda: UpConv(6, 3, stride=2, out_pad=2),
            "N106",
            "`out_pad` of `up_conv` is less than its stride or its dilation",
            "out_pad=2, stride=2, dilation=1",
        ),
        (
            lambda: UpConv(6, 3, pad=4).infer(IMAGE),
            "N207",
            "`up_conv` would pad its whole result away",
            "H: 7 - 8",
        ),
        (
            lambda: UpConv(6, 3).infer(Type((2, 4, 5))),
            "N201",
            "`up_conv` needs an image [N, C, H, W], but its input is [2, 4, 5]",
            "[2, 4, 5] has rank 3",
        ),
        (
            lambda: UpConv1d(6, 3).infer(Type((2, 4, 5), "bool")),
            "N213",
            "`up_conv1d` needs numbers of floating type, but its input is bool[2, 4, 5]",
            "",
        ),
        (
            lambda: UpConv(6, 3, groups=2).params(Type((2, atom("C"), 5, 5))),
            "N210",
            "the weight of `up_conv` would have the symbolic size [C, 3, 3, 3]",
            "",
        ),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(make: Any, code: str, message: str, label: str) -> None:
    with pytest.raises(Problem) as caught:
        make()
    found = caught.value.diagnostic
    assert (found.code, found.message, found.label) == (code, message, label)
