"""Convolution against torch: odd geometry with its gradients, initial values, costs."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from cases import backward
from tolerances import NET, NET_GRADIENT, OP, OP_GRADIENT, assert_close
from torch import nn

import netdsl
from netdsl.initial import Init
from netdsl.interpreter import interpret
from netdsl.op import OPS, Type
from netdsl.ops.conv import Conv, Conv1d, Conv3d
from netdsl.sizes import atom, ceildiv

# (batch, channels, height, width), c, hyper-parameters; strides that leave a remainder among them
GEOMETRY = [
    ((3, 33, 9, 8), 65, {"k": 3, "stride": 2}),
    ((3, 33, 8, 7), 33, {"k": 3, "stride": 3, "pad": 0, "groups": 33}),
    ((3, 4, 10, 11), 6, {"k": (5, 2), "stride": (3, 4), "pad": (2, 1), "groups": 2}),
    ((1, 2, 12, 9), 3, {"k": 3, "dilation": (3, 2), "stride": 2}),
    ((2, 3, 7, 7), 4, {"k": 1, "stride": 3}),
    ((2, 3, 6, 5), 4, {"k": 3, "pad": (0, 1, 2, 0), "stride": 2}),
    ((2, 3, 6, 5), 4, {"k": (2, 4), "pad": (1, 0, 1, 2)}),
    ((2, 3, 5, 5), 2, {"k": 5, "pad": 0}),
    ((2, 3, 4, 4), 2, {"k": 3, "pad": 4}),
]


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(("shape", "c", "hypers"), GEOMETRY, ids=str)
def test_odd_geometry_is_torchs_with_its_gradients(
    shape: tuple[int, ...], c: int, hypers: dict[str, object], dtype: torch.dtype, bias: bool
) -> None:
    torch.manual_seed(0)
    op, x = Conv(c, bias=bias, **hypers), Type(shape)
    types = (x, *(Type(p.shape) for p in op.params(x)))
    xs = [torch.randn(t.shape, dtype=dtype) for t in types]
    exact = [v.double().requires_grad_() for v in xs]
    (top, bottom), (left, right) = op.pad
    padded = nn.functional.pad(exact[0], (left, right, top, bottom))
    geometry = {"stride": op.stride, "dilation": op.dilation, "groups": op.groups}
    y = nn.functional.conv2d(padded, *exact[1:], **geometry)
    assert op.infer(x).shape == tuple(y.shape)
    assert_close(op.reference(*xs), y, OP)

    dy = torch.randn(y.shape, dtype=dtype)
    graph, found = backward(op, types)
    got = interpret(graph, {f"x{i}": v for i, v in enumerate(xs)} | {"dy0": dy})
    assert found == tuple(range(len(xs)))
    for a, b in zip(got, torch.autograd.grad(y, exact, dy.double()), strict=True):
        assert_close(a, b, OP_GRADIENT)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_every_mode_is_torchs_padding_mode_with_its_gradients(axes: int, mode: str) -> None:
    names = {1: "conv1d", 2: "conv", 3: "conv3d"}
    k, pad = (3, 2, 4)[:axes], (2, 1, 3)[:axes]
    classes = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
    twin = classes[axes](4, 6, k, 2, pad, groups=2, padding_mode=mode, dtype=torch.float64)
    op = OPS[names[axes]](6, k, stride=2, pad=pad, groups=2, mode=mode)
    x = torch.randn(2, 4, *(7, 6, 5)[:axes], dtype=torch.float64, requires_grad=True)
    y = twin(x)
    assert_close(op.reference(x, twin.weight, twin.bias), y)

    dy = torch.randn_like(y)
    xs = (x, twin.weight, twin.bias)
    graph, _ = backward(op, tuple(Type(tuple(t.shape)) for t in xs))
    given = {f"x{i}": t.detach() for i, t in enumerate(xs)} | {"dy0": dy}
    for got, expected in zip(interpret(graph, given), torch.autograd.grad(y, xs, dy), strict=True):
        assert_close(got, expected, OP_GRADIENT)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_net_runs_every_mode(training: bool, mode: str) -> None:
    text = """
net A(x: [N, 3, H, W]; mode = "reflect") -> [N, 8, H, W] {
  return x -> conv(16, 3, mode=mode, bias=false) -> bn -> relu -> conv(8, 5, mode=mode)
}
"""
    model = netdsl.loads(text, hyper={"mode": mode}, seed=0)
    twin = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, padding_mode=mode, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 8, 5, padding=2, padding_mode=mode),
    ).double()
    twin.load_state_dict(dict(zip(twin.state_dict(), model.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, 17, 33)
    assert_close(model.train(training)(x), twin.train(training)(x.double()), NET)
    with torch.no_grad():
        assert_close(model.eval()(x), twin.eval()(x.double()), NET)


def test_a_recurrence_runs_a_mode() -> None:
    text = """
net R(x: [N, T, 2, 5, 6]) -> [N, 2, 5, 6] {
  recur t in 1..T {
    h[0]: [N, 2, 5, 6] = 0
    h[t] = tanh(x[t] + (h[t-1] -> conv(2, 3, mode=reflect) as inner))
  }
  return h[T]
}
"""
    model = netdsl.loads(text, seed=0).double()
    twin = nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect").double()
    twin.load_state_dict(dict(zip(("weight", "bias"), model.parameters(), strict=True)))
    x = torch.randn(2, 3, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    h = torch.zeros(2, 2, 5, 6, dtype=torch.float64)
    for t in range(3):
        h = torch.tanh(x[:, t] + twin(h))
    y = model(x)
    assert_close(y, h, NET)
    (expected,) = torch.autograd.grad(h.sin().sum(), x)
    assert_close(torch.autograd.grad(y.sin().sum(), x)[0], expected, NET_GRADIENT)


def test_half_padding_keeps_the_ceiling_of_n_over_stride() -> None:
    n, m = atom("H"), atom("W")
    for k, stride, dilation in itertools.product((1, 3, 5, 7), (1, 2, 3, 4), (1, 2, 3)):
        y = Conv(2, k, stride=stride, dilation=dilation).infer(Type((1, 3, n, m)))
        assert y.shape == (1, 2, ceildiv(n, stride), ceildiv(m, stride))


@pytest.mark.parametrize(
    ("op", "twin", "shape"),
    [
        (Conv(6, 3, groups=2), nn.Conv2d(4, 6, 3, groups=2), (1, 4, 8, 8)),
        (Conv(6, (3, 5), bias=False), nn.Conv2d(4, 6, (3, 5), bias=False), (1, 4, 8, 8)),
        (Conv1d(6, 3), nn.Conv1d(4, 6, 3), (1, 4, 8)),
        (Conv3d(6, 3), nn.Conv3d(4, 6, 3), (1, 4, 8, 8, 8)),
    ],
)
def test_parameters_and_initial_range_are_torchs(
    op: Conv, twin: nn.Module, shape: tuple[int, ...]
) -> None:
    params = op.params(Type(shape))
    state = twin.state_dict()
    assert {p.name: p.shape for p in params} == {k: tuple(v.shape) for k, v in state.items()}
    fan_in = nn.init._calculate_fan_in_and_fan_out(state["weight"])[0]
    for p in params:
        _, high = p.init.arguments
        assert p.init == Init("uniform", (-high, high))
        assert high == pytest.approx(1 / math.sqrt(fan_in))
        assert float(state[p.name].abs().max()) <= high


def test_he_is_torchs_kaiming_fan_out() -> None:
    weight = torch.empty(6, 2, 3, 5)
    fan_out = nn.init._calculate_fan_in_and_fan_out(weight)[1]
    op = Conv(6, (3, 5), groups=2, init="he", bias=False)
    (param,) = op.params(Type((1, 4, 8, 8)))
    assert param.init == Init("normal", (0.0, math.sqrt(2 / fan_out)))


def test_multiply_accumulates_of_the_first_layer_of_resnet() -> None:
    op, x = Conv(64, 7, stride=2, bias=False), Type((1, 3, 224, 224))
    assert op.macs((x,), (op.infer(x),)) == 112 * 112 * 64 * 3 * 49
    grouped = Conv(64, 3, groups=4)
    x = Type((atom("N"), 32, 8, 8))
    assert grouped.macs((x,), (grouped.infer(x),)) == atom("N") * (64 * 64 * 8 * 9)


def test_affine_map_moves_into_the_weights() -> None:
    from netdsl.ir import Builder, Input, Output

    for bias in (True, False):
        op, x = Conv(5, 3, groups=1, bias=bias), Type((2, 3, 6, 6))
        types = {"x": x, **{p.name: Type(p.shape) for p in op.params(x)}}
        types |= {"scale": Type((5,)), "shift": Type((5,))}
        b = Builder()
        *xs, scale, shift = (b(Input(t, key)) for key, t in types.items())
        folded = op.absorb_affine(b, tuple(xs), scale, shift)
        assert folded is not None
        given = {k: torch.randn(t.shape, dtype=torch.float64) for k, t in types.items()}
        (y,) = interpret(b.build((Output("y", folded),)), given)
        plain = op.reference(*list(given.values())[: len(xs)])
        expected = plain * given["scale"].view(5, 1, 1) + given["shift"].view(5, 1, 1)
        assert_close(y, expected)
