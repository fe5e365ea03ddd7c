"""The CPU backend beside torch in float64: small convolutions unfolded, weights packed, sums.

Which kernel runs is asserted too: a test of one that declined would pass for nothing.
"""

from __future__ import annotations

import math

import pytest
import torch
from tolerances import NET, OP_GRADIENT, assert_close
from torch import Tensor
from torch.nn import functional as F

import netdsl
from netdsl.backend import Decline
from netdsl.backends.cpu import onednn, unfolded
from netdsl.module import NetModule
from netdsl.op import Type
from netdsl.ops.conv import Conv, ConvGrad
from netdsl.ops.linear import Linear

BLOCK = """netdsl 1
net Block(x: [N, 16, H, W]) -> [N, 8] {
  y = x -> conv(24, 3) -> bn -> relu -> conv(16, 1) -> bn
  return y + x -> relu -> conv(32, 3, stride=2, groups=2) -> bn -> relu
         -> global_avg_pool -> linear(8)
}"""

LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture
def block() -> NetModule:
    model = netdsl.loads(BLOCK, seed=0)
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 2.0) if name.endswith("var") else buffer.normal_()
    return model.eval()


def in_float64(model: NetModule, x: Tensor) -> Tensor:
    twin = netdsl.loads(BLOCK, backend="reference").double().eval()
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        return twin(x.double())


def packs(model: NetModule) -> int:
    """How many operands the net's plans for its dtype have packed at most."""
    dtype = next(model.parameters()).dtype
    return max(
        len(plan.packs)
        for program in model._executable.programs.values()
        for (_, of, *_), plan in program._plans.items()
        if of == dtype
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "op, size",
    [
        (Conv(6, 5, pad=0), (1, 1, 32, 32)),
        (Conv(16, (5, 3), pad=(2, 1)), (1, 6, 14, 13)),
        (Conv(7, 3, stride=(2, 1), bias=False), (3, 3, 9, 10)),
        (Conv(4, 1), (5, 2, 7, 1)),
    ],
)
def test_a_small_convolution_and_its_gradient_are_torchs(
    op: Conv, size: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(size, dtype=dtype).to(memory_format=layout)
    types = Type(size), *(Type(p.shape) for p in op.params(Type(size)))
    w, *b = (torch.randn(t.shape, dtype=dtype) for t in types[1:])
    kernel = unfolded.conv(op, types, (True,), dtype)
    assert not isinstance(kernel, Decline)
    stride, pad = op.stride, [before for before, _ in op.pad]
    given = [t.double().requires_grad_() for t in (x, w, *b)]
    expected = F.conv2d(*given, stride=stride, padding=pad)
    assert_close(kernel(x, w, *b), expected)

    dy = torch.randn(expected.shape, dtype=dtype).transpose(2, 3).contiguous().transpose(2, 3)
    grad = ConvGrad(op.stride, op.pad, op.dilation, 1, op.bias)
    types = types[0], Type(tuple(dy.shape)), types[1]
    kernel = unfolded.conv_grad(grad, types, (True,) * (2 + op.bias), dtype)
    assert not isinstance(kernel, Decline)
    expected.backward(dy.double())
    for got, tensor in zip(kernel(x, dy, w), given, strict=True):
        assert_close(got, tensor.grad, OP_GRADIENT)


def test_large_grouped_dilated_and_empty_convolutions_are_not_unfolded() -> None:
    def declined(op: Conv, size: tuple[int, ...], dtype: torch.dtype = torch.float32) -> bool:
        types = Type(size), *(Type(p.shape) for p in op.params(Type(size)))
        return isinstance(unfolded.conv(op, types, (True,), dtype), Decline)

    assert not declined(Conv(6, 5), (1, 1, 32, 32))
    assert declined(Conv(64, 3), (1, 64, 56, 56))
    assert declined(Conv(6, 5, groups=2), (1, 2, 32, 32))
    assert declined(Conv(6, 5, dilation=2), (1, 1, 32, 32))
    assert declined(Conv(6, 5), (0, 1, 32, 32))
    assert declined(Conv(6, 5), (1, 1, 32, 32), torch.bfloat16)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_with_packed_weights_the_numbers_stay(
    block: NetModule, dtype: torch.dtype, frozen: bool
) -> None:
    block.to(dtype)
    if frozen:
        block.freeze()
    for size in ((2, 16, 9, 11), (1, 16, 8, 8), (2, 16, 9, 11)):
        x = torch.randn(size).to(dtype)
        with torch.no_grad():
            y = block(x)
            assert torch.equal(block(x), y)
            assert torch.equal(block(x.to(memory_format=torch.channels_last)), y)
        assert_close(y, in_float64(block, x), NET)
    assert packs(block) == 3


def test_float64_is_not_packed(block: NetModule) -> None:
    x = torch.randn(2, 16, 9, 11).double()
    with torch.no_grad():
        assert_close(block.double()(x), in_float64(block, x), NET)
    assert packs(block) == 0


def test_nan_stays_nan_where_a_convolution_adds_the_shortcut(block: NetModule) -> None:
    x = torch.randn(1, 16, 8, 8)
    x[0, 3, 4, 4] = math.nan
    with torch.no_grad():
        assert block.freeze()(x).isnan().all()


def test_a_changed_weight_is_packed_again(block: NetModule) -> None:
    x = torch.randn(2, 16, 9, 11)
    for change in (
        lambda p: p.data.mul_(1.5),
        lambda p: p.add_(0.25),
        lambda p: p.data.view(-1)[:1].neg_() if p.is_contiguous() else p.data[0, 0, 0, 0].neg_(),
    ):
        with torch.no_grad():
            block(x)
            for p in block.parameters():
                change(p)
            assert_close(block(x), in_float64(block, x), NET)


def test_packed_weights_are_kept_of_a_few_sizes(block: NetModule) -> None:
    block.freeze()
    with torch.no_grad():
        for n in range(1, 12):
            block(torch.randn(n, 16, 8, 8))
    (kept,) = block._executable.folded.values()
    assert len(kept._packed) == 4


def test_a_frozen_net_packs_parameters_too() -> None:
    text = (
        "netdsl 1\nnet Plain(x: [N, 8, H, W]) -> [N, 16, H, W] { return x -> conv(16, 3) -> relu }"
    )
    model, x = netdsl.loads(text, seed=0).eval(), torch.randn(2, 8, 12, 12)
    with torch.no_grad():
        expected = model(x)
        assert packs(model) == 0
        y = model.freeze()(x)
        assert packs(model) == 1
        assert_close(y, expected.double())
        model.get_submodule("conv1").weight.mul_(2)  # autograd counts this write
        assert not torch.allclose(model(x), y)
        twin = netdsl.loads(text).eval()
        twin.load_state_dict(model.state_dict())
        assert torch.equal(model.unfreeze()(x), twin(x))


def test_the_shortcut_is_added_in_place_only_where_nobody_needs_it() -> None:
    text = """netdsl 1
net Two(x: [N, 8, H, W]) -> (a: [N, 8, H, W], b: [N, 8, H, W]) {
  b = x -> relu
  a = (b -> conv(8, 3) -> bn) + b
}"""
    model, x = netdsl.loads(text, seed=0).freeze(), torch.randn(1, 8, 6, 6)
    with torch.no_grad():
        a, b = model(x)
        assert torch.equal(b, x.relu())
        y = x.relu().double()
        twin = netdsl.loads(text, backend="reference").double().eval()
        twin.load_state_dict(model.state_dict())
        assert_close(a, twin(x.double()).a, NET)
        assert torch.equal(y.float(), b)


def test_a_large_linear_map_is_torchs() -> None:
    op, types = Linear(1024), (Type((16, 1024)), Type((1024, 1024)), Type((1024,)))
    kernel = onednn.linear(op, types, (True,), torch.float32)
    assert not isinstance(kernel, Decline)
    x, w, b = (torch.randn(t.shape) for t in types)
    assert_close(kernel(x, w, b), F.linear(x.double(), w.double(), b.double()))
