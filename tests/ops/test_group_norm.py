"""gn and instance_norm against torch.nn in float64, with every gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cases import backward, several
from tolerances import OP, OP_GRADIENT, assert_close
from torch import nn

from netdsl.errors import Problem
from netdsl.interpreter import interpret
from netdsl.op import Op, Type
from netdsl.ops.group_norm import GN, InstanceNorm
from netdsl.sizes import atom

TWINS: list[tuple[Op, nn.Module, tuple[int, ...]]] = [
    (GN(3), nn.GroupNorm(3, 33), (2, 33, 5, 7)),
    (GN(33, eps=1e-3), nn.GroupNorm(33, 33, eps=1e-3), (1, 33, 1, 3)),
    (GN(1, affine=False), nn.GroupNorm(1, 6, affine=False), (3, 6)),
    (GN(2), nn.GroupNorm(2, 4), (2, 4, 2, 3, 2)),
    (InstanceNorm(), nn.InstanceNorm2d(5), (2, 5, 3, 4)),
    (InstanceNorm(eps=0.1, affine=True), nn.InstanceNorm2d(5, 0.1, affine=True), (1, 5, 1, 2)),
    (InstanceNorm(affine=True), nn.InstanceNorm1d(4, affine=True), (3, 4, 7)),
    (InstanceNorm(), nn.InstanceNorm3d(2), (2, 2, 2, 3, 2)),
]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(("op", "twin", "shape"), TWINS, ids=str)
def test_numbers_and_gradients_are_torchs(
    op: Op, twin: nn.Module, shape: tuple[int, ...], layout: torch.memory_format
) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    x = x.contiguous(memory_format=layout) if x.dim() == 4 else x
    twin = twin.double()
    with torch.no_grad():
        for p in twin.parameters():
            p.copy_(torch.randn_like(p))
    weights = [p.detach() for p in twin.parameters()]
    params = op.params(Type(shape))
    assert [(p.name, p.shape) for p in params] == [
        (name, tuple(p.shape)) for name, p in twin.named_parameters()
    ]
    leaf = x.clone().requires_grad_()
    expected = twin(leaf)
    dy = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, [leaf, *twin.parameters()], dy)
    assert_close(op.reference(x, *weights), expected, OP)
    form = op.differentiable_form()
    ys = several(form.reference(x, *weights))
    graph, _ = backward(form, tuple(Type(tuple(t.shape)) for t in (x, *weights)))
    given = {f"x{i}": t for i, t in enumerate((x, *weights))}
    given |= {f"dy{i}": dy if i == 0 else torch.zeros_like(y) for i, y in enumerate(ys)}
    for got, reference in zip(interpret(graph, given), wanted, strict=True):
        assert_close(got, reference, OP_GRADIENT)


def test_sizes_may_be_names_where_no_weight_needs_them() -> None:
    x = Type(tuple(map(atom, "NCHW")))
    assert InstanceNorm().infer(x) == x
    assert GN(4, affine=False).infer(x.with_shape(x.shape[0], 8 * atom("C"), 5)).rank == 3


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (
            lambda: GN(4).infer(Type((2, 6, 3, 3))),
            "N211",
            "`gn` of 4 groups needs channels divisible by 4",
        ),
        (
            lambda: GN(4).infer(Type((2, atom("C"), 3, 3))),
            "N211",
            "`gn` of 4 groups needs channels divisible by 4",
        ),
        (
            lambda: GN(2).infer(Type((4,))),
            "N201",
            "`gn` needs channels, [N, C, …], but its input is [4]",
        ),
        (
            lambda: GN(2).infer(Type((4, 2), "bool")),
            "N213",
            "`gn` needs numbers of floating type, but its input is bool[4, 2]",
        ),
        (
            lambda: InstanceNorm().infer(Type((4, 2))),
            "N201",
            "`instance_norm` needs pixels or steps, [N, C, …], but its input is [4, 2]",
        ),
        (
            lambda: InstanceNorm().infer(Type((4, 2, 1, 1))),
            "N207",
            "`instance_norm` of one pixel is zero whatever it was, but its input is [4, 2, 1, 1]",
        ),
        (
            lambda: InstanceNorm(affine=True).params(Type((4, atom("C"), 3))),
            "N210",
            "the weight of `instance_norm` would have the symbolic size [C]",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, code: str, message: str) -> None:
    with pytest.raises(Problem) as caught:
        make()
    assert (caught.value.diagnostic.code, caught.value.diagnostic.message) == (code, message)
