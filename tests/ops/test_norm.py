"""Normalisation against torch's modules: outputs, gradients, buffers after several steps."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from cases import backward, specialised
from tolerances import OP_GRADIENT, assert_close, assert_exact
from torch import Tensor, nn

from netdsl.interpreter import interpret
from netdsl.op import Op, Type
from netdsl.ops.layer_norm import LN
from netdsl.ops.norm import BN, BatchNorm, BatchNormInference, BN1d, BN3d

TWINS = [
    (BN(), nn.BatchNorm2d(33), (3, 33, 4, 5)),
    (BN(eps=1e-3, momentum=0.3), nn.BatchNorm2d(5, eps=1e-3, momentum=0.3), (2, 5, 3, 3)),
    (BN(momentum=None), nn.BatchNorm2d(5, momentum=None), (2, 5, 3, 3)),
    (BN(affine=False), nn.BatchNorm2d(5, affine=False), (2, 5, 3, 3)),
    (BN(track=False), nn.BatchNorm2d(5, track_running_stats=False), (2, 5, 3, 3)),
    (
        BN(affine=False, track=False),
        nn.BatchNorm2d(5, affine=False, track_running_stats=False),
        (2, 5, 3, 3),
    ),
    (BN(), nn.BatchNorm1d(65), (3, 65)),
    (BN1d(), nn.BatchNorm1d(5), (3, 5, 7)),
    (BN3d(), nn.BatchNorm3d(5), (2, 5, 3, 2, 4)),
]
every_twin = pytest.mark.parametrize(("op", "twin", "shape"), TWINS, ids=lambda v: str(v)[:40])


def fresh(twin: Any, dtype: torch.dtype = torch.float64) -> Any:
    """A copy of the module with random parameters and reset buffers."""
    twin = deepcopy(twin)
    for p in twin.parameters():
        nn.init.uniform_(p, 0.5, 2)
    return twin.to(dtype)


def given(xs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    return {f"x{i}": x for i, x in enumerate(xs)}


def owned(op: Op, twin: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """The twin's parameters and buffers, in the order of the layer's operands."""
    state = twin.state_dict()
    params = op.params(Type(tuple(x.shape)))
    assert [p.name for p in params] == list(state)
    assert all(p.shape == tuple(state[p.name].shape) for p in params)
    assert all(p.buffer == (p.name in dict(twin.named_buffers())) for p in params)
    return tuple(state[p.name].clone() for p in params)


@every_twin
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_training_gives_torchs_bits_over_three_steps(
    op: Op, twin: Any, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    twin = fresh(twin, dtype).train()
    for step in range(3):
        x = torch.randn(shape, dtype=dtype) * (step + 1) + step
        xs = (x, *owned(op, twin, x))
        graph, names = specialised(op, xs, training=True)
        got = dict(zip(names, interpret(graph, given(xs)), strict=True))
        assert all(torch.equal(a, b) for a, b in zip(xs[1:], owned(op, twin, x), strict=True))
        assert_exact(got.pop("y"), twin(x))
        buffers = dict(twin.named_buffers())
        assert list(got) == list(buffers)
        for name, value in got.items():
            assert_exact(value, buffers[name], name)


@every_twin
def test_eval_gives_torchs_bits(op: Op, twin: Any, shape: tuple[int, ...]) -> None:
    twin = fresh(twin).train()
    twin(torch.randn(shape, dtype=torch.float64) + 3)
    twin.eval()
    x = torch.randn(shape, dtype=torch.float64)
    xs = (x, *owned(op, twin, x))
    graph, names = specialised(op, xs, training=False)
    (y,) = interpret(graph, given(xs))
    assert names == ("y",)
    assert_exact(y, twin(x))


@every_twin
@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
def test_gradients_are_torchs(op: Any, twin: Any, shape: tuple[int, ...], training: bool) -> None:
    twin = fresh(twin).train(training)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    y = twin(x)
    dy = torch.randn_like(y)
    expected = torch.autograd.grad(y, [x, *twin.parameters()], dy)

    xs = (x.detach(), *owned(op, twin, x))
    if training or not op.track:
        form: Op = BatchNorm(op.eps, op.momentum, op.affine, op.track)
    else:
        form, xs = BatchNormInference(op.eps, op.affine), xs[:-1]
    types = tuple(Type(tuple(v.shape), "float" if v.is_floating_point() else "int") for v in xs)
    graph, found = backward(form, types)
    inputs = given(xs)
    results = form.reference(*xs)
    results = results if isinstance(results, tuple) else (results,)
    inputs |= {f"dy{i}": torch.zeros_like(v) for i, v in enumerate(results)} | {"dy0": dy}
    assert found == tuple(range(len(expected)))
    for got, reference in zip(interpret(graph, inputs), expected, strict=True):
        assert_close(got, reference, OP_GRADIENT)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_large_means_do_not_cancel(layout: torch.memory_format) -> None:
    x = (torch.randn(3, 33, 8, 8) + 4096).contiguous(memory_format=layout)
    ones, zeros, count = torch.ones(33), torch.zeros(33), torch.tensor(0)
    y, _, _, mean, var, _ = BatchNorm(1e-5, 1.0).reference(x, ones, zeros, zeros, ones, count)
    assert y.is_contiguous(memory_format=layout)
    wide = x.double()
    flat = wide.transpose(0, 1).reshape(33, -1)
    assert_close(mean, flat.mean(1))
    assert_close(var, flat.var(1), OP_GRADIENT)
    expected = nn.functional.batch_norm(wide, None, None, training=True)
    assert ((y - expected).abs() < 1e-2).all()


def test_one_value_a_channel_is_torchs_error() -> None:
    x = torch.randn(1, 5)
    with pytest.raises(ValueError) as theirs:
        nn.BatchNorm1d(5)(x)
    with pytest.raises(ValueError) as ours:
        BatchNorm(1e-5, 0.1, affine=False, track=False).reference(x)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("shape", [(0, 5, 3, 3), (0, 5)])
def test_batch_of_none_is_as_torch(shape: tuple[int, ...]) -> None:
    twin = fresh(nn.BatchNorm2d(5) if len(shape) == 4 else nn.BatchNorm1d(5))
    x = torch.randn(shape, dtype=torch.float64)
    xs = (x, *owned(BN(), twin, x))
    got = BatchNorm(1e-5, 0.1).reference(*xs)
    assert_exact(got[0], twin(x))
    for value, buffer in zip(got[3:], twin.buffers(), strict=True):
        assert_exact(value, buffer)


@pytest.mark.parametrize(
    ("op", "twin", "shape"),
    [
        (LN(), nn.LayerNorm(7), (3, 7)),
        (LN(eps=1e-3), nn.LayerNorm(7, eps=1e-3), (3, 5, 7)),
        (LN(bias=False), nn.LayerNorm((4, 5, 6), bias=False), (3, 4, 5, 6)),
        (LN(affine=False), nn.LayerNorm((4, 5, 6), elementwise_affine=False), (3, 4, 5, 6)),
        (LN(axes=(2, 3)), nn.LayerNorm((5, 6)), (3, 4, 5, 6)),
    ],
)
def test_layer_norm_is_torchs(op: Op, twin: Any, shape: tuple[int, ...]) -> None:
    twin = twin.double()
    for p in twin.parameters():
        nn.init.uniform_(p, 0.5, 2)
    x = torch.randn(shape, dtype=torch.float64)
    params = op.params(Type(shape))
    assert {p.name: p.shape for p in params} == {
        k: tuple(v.shape) for k, v in twin.state_dict().items()
    }
    assert_exact(op.reference(x, *twin.parameters()).detach(), twin(x).detach())
    assert_exact(
        op.differentiable_form().reference(x, *twin.parameters())[0].detach(), twin(x).detach()
    )


def test_layer_norm_over_channels_is_torchs_on_the_permuted_image() -> None:
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64)
    weight, bias = torch.rand(4, dtype=torch.float64), torch.rand(4, dtype=torch.float64)
    expected = nn.functional.layer_norm(x.permute(0, 2, 3, 1), (4,), weight, bias)
    assert_exact(LN(axes=1).reference(x, weight, bias), expected.permute(0, 3, 1, 2))
