"""Pools against torch: the rule for every small window, ties, layouts, what a gradient keeps."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from cases import backward
from tolerances import assert_exact

from netdsl.errors import Problem
from netdsl.interpreter import interpret
from netdsl.op import OPS, Op, Type
from netdsl.ops.avg_pool import AvgPool
from netdsl.ops.max_pool import MaxPool
from netdsl.sizes import atom, substitute

WINDOWS = [
    (k, stride, pad, ceil)
    for k, stride, ceil in itertools.product((1, 2, 3, 4), (1, 2, 3, 5), (False, True))
    for pad in range(k // 2 + 1)
]


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_extent_of_every_small_max_pool_is_torchs(dilation: int) -> None:
    for k, stride, pad, ceil in WINDOWS:
        op = MaxPool((k, 1), (stride, 1), (pad, 0), (dilation, 1), ceil)
        symbolic = op.infer(Type((1, 1, atom("H"), 1))).shape[2]
        for n in range(1, 12):
            x = torch.zeros(1, 1, n, 1)
            try:
                expected = F.max_pool2d(x, op.k, op.stride, (pad, 0), op.dilation, ceil).shape[2]
            except RuntimeError:
                with pytest.raises(Problem):
                    op.infer(Type((1, 1, n, 1)))
                continue
            assert op.infer(Type((1, 1, n, 1))).shape[2] == expected, (op, n)
            assert substitute(symbolic, {"H": n}) == expected, (op, n)


def test_extent_of_every_small_avg_pool_is_torchs() -> None:
    for k, stride, pad, ceil in WINDOWS:
        op = AvgPool((k, 1), (stride, 1), (pad, 0), ceil)
        for n in range(1, 12):
            x = torch.zeros(1, 1, n, 1)
            try:
                expected = F.avg_pool2d(x, op.k, op.stride, (pad, 0), ceil).shape[2]
            except RuntimeError:
                with pytest.raises(Problem):
                    op.infer(Type((1, 1, n, 1)))
                continue
            assert op.infer(Type((1, 1, n, 1))).shape[2] == expected, (op, n)


@pytest.mark.parametrize("pad", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(("k", "dilation"), [(1, 1), (2, 1), (3, 1), (2, 2), (3, 2)])
def test_padding_is_refused_where_torch_refuses_it(k: int, dilation: int, pad: int) -> None:
    def theirs() -> None:
        F.max_pool2d(torch.zeros(1, 1, 20, 20), k, k, pad, dilation)

    try:
        theirs()
    except RuntimeError:
        with pytest.raises(Problem):
            MaxPool(k, pad=pad, dilation=dilation)
    else:
        MaxPool(k, pad=pad, dilation=dilation)


@pytest.mark.parametrize("name", ["max_pool", "adaptive_max_pool", "global_max_pool"])
def test_first_of_equals_takes_the_gradient(name: str) -> None:
    op = {"max_pool": MaxPool(2), "adaptive_max_pool": OPS["adaptive_max_pool"](1)}.get(name)
    op = op or OPS[name]()
    x = torch.ones(1, 1, 2, 2)
    graph, _ = backward(op.differentiable_form(), (Type((1, 1, 2, 2)),))
    y, indices = op.differentiable_form().reference(x)
    dx = interpret(graph, {"x0": x, "dy0": torch.ones_like(y), "dy1": torch.zeros_like(indices)})[0]
    assert_exact(dx, torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]]))


@pytest.mark.parametrize(
    "op",
    [e.op for cls in OPS.values() for e in cls.examples if e.op.differentiable_form() is not e.op],
    ids=lambda op: op.describe(),
)
def test_differentiable_form_has_the_same_results_first(op: Op) -> None:
    example = next(e for e in type(op).examples if e.op == op)
    form = op.differentiable_form()
    assert type(form).vjp is not Op.vjp
    assert form.differentiable_form() is form
    xs = [torch.randn(t.shape) for t in example.operands]
    xs += [torch.randn(p.shape) for p in op.params(*example.operands)]
    assert_exact(form.reference(*xs)[0], op.reference(*xs))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11])
def test_adaptive_pools_are_torchs(size: int) -> None:
    x = torch.randn(2, 3, 7, 5)
    assert_exact(OPS["adaptive_avg_pool"](size).reference(x), F.adaptive_avg_pool2d(x, size))
    assert_exact(OPS["adaptive_max_pool"](size).reference(x), F.adaptive_max_pool2d(x, size))


def test_global_pools_are_torchs_adaptive_ones() -> None:
    x = torch.randn(3, 33, 7, 5)
    avg, peak = F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)
    assert_exact(OPS["global_avg_pool"]().reference(x), avg.flatten(1))
    assert_exact(OPS["global_max_pool"]().reference(x), peak.flatten(1))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_signals_and_volumes_pool_as_torch(axes: int) -> None:
    x = torch.randn(2, 3, *(7, 6, 5)[:axes])
    suffix = {1: "1d", 2: "", 3: "3d"}[axes]
    torchs = {1: "1d", 2: "2d", 3: "3d"}[axes]
    for name in ("max_pool", "avg_pool"):
        y = OPS[name + suffix](3, stride=2, pad=1, ceil=True).reference(x)
        assert_exact(y, getattr(F, name + torchs)(x, 3, 2, 1, ceil_mode=True))
