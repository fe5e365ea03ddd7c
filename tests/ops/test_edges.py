"""Edges, where torch's behaviour is the rule: a batch of none, NaN, layouts, odd memory."""

from __future__ import annotations

import pytest
import torch
from cases import backward, several, sources
from tolerances import assert_exact

from netdsl.interpreter import interpret
from netdsl.ir import Builder
from netdsl.op import OPS, Op, Type


def label(value: object) -> str:
    return value.describe() if isinstance(value, Op) else ""


NONE = Type((0, 4, 6, 6))
EMPTY = [
    (OPS["conv"](6, 3, stride=2, groups=2), (NONE,)),
    (OPS["conv"](6, 2, pad=(0, 1, 0, 1)), (NONE,)),
    (OPS["conv1d"](6, 3), (Type((0, 4, 6)),)),
    (OPS["up_conv"](6, 3, stride=2, groups=2), (NONE,)),
    (OPS["lrn"](3), (NONE,)),
    (OPS["prelu"](), (NONE,)),
    (OPS["gn"](2), (NONE,)),
    (OPS["instance_norm"](), (NONE,)),
    (OPS["resize"](scale=2), (NONE,)),
    (OPS["attend"](2), (Type((0, 3, 4)),) * 3),
    (OPS["linear"](3), (Type((0, 4)),)),
    (OPS["max_pool"](2), (NONE,)),
    (OPS["avg_pool"](2), (NONE,)),
    (OPS["adaptive_avg_pool"](2), (NONE,)),
    (OPS["adaptive_max_pool"](2), (NONE,)),
    (OPS["global_avg_pool"](), (NONE,)),
    (OPS["global_max_pool"](), (NONE,)),
    (OPS["ln"](), (NONE,)),
    (OPS["flatten"](), (NONE,)),
    (OPS["concat"](), (NONE, NONE)),
    (OPS["add"](), (NONE, NONE)),
    (OPS["mul"](), (NONE, Type((4, 1, 1)))),
    (OPS["relu"](), (NONE,)),
    (OPS["softmax"](), (Type((0, 4)),)),
    (OPS["subsample"](2), (NONE,)),
    (OPS["pad_channels"](6), (NONE,)),
    (OPS["average"](), (NONE, NONE)),
    *((e.op, (NONE, *e.operands[1:])) for e in OPS["batch_norm"].examples[:1]),
    *((e.op, (NONE, *e.operands[1:])) for e in OPS["batch_norm_inference"].examples[:1]),
]


@pytest.mark.parametrize(("op", "tensors"), EMPTY, ids=label)
def test_batch_of_none_goes_forward_and_backward(op: Op, tensors: tuple[Type, ...]) -> None:
    tensors = tuple(Type((4,)) if t.shape == (5,) else t for t in tensors)
    types = (*tensors, *(Type(p.shape, p.dtype) for p in op.params(*tensors)))
    xs = [torch.ones(t.shape, dtype={"int": torch.int64}.get(t.dtype)) for t in types]
    ys = several(op.reference(*xs))
    assert [tuple(y.shape) for y in ys] == [t.shape for t in several(op.infer(*types))]

    form = op.differentiable_form()
    graph, found = backward(form, types)
    ys = several(form.reference(*xs))
    inputs = {f"x{i}": x for i, x in enumerate(xs)} | {f"dy{i}": y for i, y in enumerate(ys)}
    for i, dx in zip(found, interpret(graph, inputs), strict=True):
        assert_exact(dx, torch.zeros(types[i].shape))


@pytest.mark.parametrize(
    "op",
    [
        OPS["relu"](),
        OPS["relu6"](),
        OPS["tanh"](),
        OPS["clamp"](-1, 1),
        OPS["max_pool"](2),
        OPS["adaptive_max_pool"](1),
        OPS["global_max_pool"](),
        OPS["max"](axis=(2, 3)),
        OPS["min"](),
        OPS["abs"](),
    ],
    ids=lambda op: op.name,
)
def test_nan_in_is_nan_out(op: Op) -> None:
    x = torch.zeros(1, 1, 2, 2)
    x[0, 0, 1, 0] = float("nan")
    assert op.reference(x).isnan().any()
    form = op.differentiable_form()
    assert several(form.reference(x))[0].isnan().any()


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_on_either_side_is_nan(name: str, position: int) -> None:
    xs = [torch.tensor([1.0]), torch.tensor([float("nan")])]
    assert OPS[name]().reference(xs[position], xs[1 - position]).isnan().all()


IMAGE, VOLUME = Type((3, 33, 7, 6)), Type((2, 5, 4, 6, 5))
KEPT = [
    (OPS["conv"](65, 3, stride=2), IMAGE),
    (OPS["conv"](33, 3, pad=(1, 0, 1, 2), groups=33), IMAGE),
    (OPS["conv"](65, 1, bias=False), IMAGE),
    (OPS["up_conv"](65, 2, stride=2), IMAGE),
    (OPS["lrn"](5), IMAGE),
    (OPS["prelu"](), IMAGE),
    (OPS["gn"](11), IMAGE),
    (OPS["instance_norm"](), IMAGE),
    (OPS["resize"](scale=2), IMAGE),
    (OPS["resize"](size=5, mode="bilinear"), IMAGE),
    (OPS["max_pool"](3, stride=2, pad=1), IMAGE),
    (OPS["avg_pool"](2), IMAGE),
    (OPS["adaptive_avg_pool"](3), IMAGE),
    (OPS["adaptive_max_pool"](3), IMAGE),
    (OPS["relu"](), IMAGE),
    (OPS["gelu"](), IMAGE),
    (OPS["batch_norm"](1e-5, 0.1, affine=False, track=False), IMAGE),
    (OPS["batch_norm"](1e-5, 0.1, affine=False, track=False), VOLUME),
    (OPS["max_pool3d"](2), VOLUME),
    (OPS["pad_channels"](40), IMAGE),
    (OPS["pad"](1), IMAGE),
    (OPS["subsample"](2), IMAGE),
]


@pytest.mark.parametrize(("op", "x"), KEPT, ids=label)
def test_channels_last_stays_and_changes_no_number(op: Op, x: Type) -> None:
    """With x and dy in channels_last y and dx are so too, of the same numbers."""
    layout = torch.channels_last if x.rank == 4 else torch.channels_last_3d
    types = (x, *(Type(p.shape) for p in op.params(x)))
    torch.manual_seed(0)
    xs = [torch.randn(t.shape, dtype=torch.float64) for t in types]
    form = op.differentiable_form()
    graph, _ = backward(form, types)

    def steps(layout: torch.memory_format) -> list[torch.Tensor]:
        given = [xs[0].contiguous(memory_format=layout), *xs[1:]]
        ys = several(form.reference(*given))
        dys = [(y if i == 0 else torch.zeros_like(y)) for i, y in enumerate(ys)]
        inputs = {f"x{i}": v for i, v in enumerate(given)}
        inputs |= {f"dy{i}": v for i, v in enumerate(dys)}
        return [ys[0], *interpret(graph, inputs)]

    for i, (a, b) in enumerate(zip(steps(layout), steps(torch.contiguous_format), strict=True)):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
        if i < 2:
            assert a.stride(1) == 1, "y" if i == 0 else "dx"


@pytest.mark.parametrize("name", ["relu", "gelu", "max_pool", "batch_norm", "conv"])
def test_strided_and_expanded_memory_changes_no_number(name: str) -> None:
    op = {
        "max_pool": OPS["max_pool"](2),
        "batch_norm": OPS["batch_norm"](1e-5, 0.1, affine=False, track=False),
        "conv": OPS["conv"](4, 3, bias=False),
    }.get(name) or OPS[name]()
    wide = torch.randn(2, 6, 8, 8, dtype=torch.float64)
    x = wide[:, ::2, :, 1:].transpose(2, 3)
    dense = x.contiguous()
    assert not x.is_contiguous()
    weights = [torch.randn(p.shape, dtype=torch.float64) for p in op.params(Type(tuple(x.shape)))]
    form = op.differentiable_form()
    graph, _ = backward(form, (Type(tuple(x.shape)), *(Type(tuple(w.shape)) for w in weights)))
    ys = several(form.reference(dense, *weights))
    one = torch.ones((), dtype=torch.float64)
    expanded = [one.expand(y.shape) if y.is_floating_point() else y for y in ys]

    def steps(x: torch.Tensor, dys: list[torch.Tensor]) -> list[torch.Tensor]:
        inputs = {f"x{i}": v for i, v in enumerate([x, *weights])}
        inputs |= {f"dy{i}": v for i, v in enumerate(dys)}
        return [several(form.reference(x, *weights))[0], *interpret(graph, inputs)]

    for a, b in zip(steps(x, expanded), steps(dense, [y.clone() for y in expanded]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_size_one_is_broadcast_and_summed_back() -> None:
    b = Builder()
    x, y = sources(b, "x", (Type((3, 1)), Type((1,))))
    graph, _ = backward(OPS["add"](), (x.type, y.type))
    ones = torch.ones(3, 1)
    dx, dy = interpret(graph, {"x0": ones, "x1": torch.ones(1), "dy0": ones})
    assert_exact(dx, torch.ones(3, 1))
    assert_exact(dy, torch.tensor([3.0]))
