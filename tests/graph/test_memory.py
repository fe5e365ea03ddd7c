"""Whose memory a kernel reads and writes, over the whole op table: what plans rely on."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from tolerances import OP, assert_close, assert_exact
from torch import Tensor

import netdsl.ops  # noqa: F401  (enters every family)
from netdsl.op import OPS, Example, Op, Type

IMAGE, ROWS = Type((2, 3, 4, 5)), Type((2, 3))
# Attributes with which an op changes nothing: where a kernel might return its operand.
IDLE = (
    Example(OPS["pad"](0), (IMAGE,)),
    Example(OPS["pad_channels"](3), (IMAGE,)),
    Example(OPS["max_pool"](1), (IMAGE,)),
    Example(OPS["avg_pool"](1), (IMAGE,)),
    Example(OPS["adaptive_avg_pool"]((4, 5)), (IMAGE,)),
    Example(OPS["adaptive_max_pool"]((4, 5)), (IMAGE,)),
    Example(OPS["global_avg_pool"](), (Type((2, 3, 1, 1)),)),
    Example(OPS["global_max_pool"](), (Type((2, 3, 1, 1)),)),
    Example(OPS["global_max_pool_indices"](), (Type((2, 3, 1, 1)),)),
    Example(OPS["global_max_pool_grad"]((1, 1)), (ROWS, Type((2, 3), "int")), (0, 0)),
    Example(OPS["expand"]((2, 3)), (ROWS,)),
    Example(OPS["sum_to"]((2, 3)), (ROWS,)),
    Example(OPS["sum"](axis=1), (Type((2, 1)),)),
    Example(OPS["sum"](axis=1, keep=True), (Type((2, 1)),)),
    Example(OPS["mean"](), (Type(()),)),
    Example(OPS["max"](), (Type(()),)),
    Example(OPS["min"](axis=0, keep=True), (Type((1, 3)),)),
    Example(OPS["sum_grad"]((2, 3), ()), (ROWS,)),
    Example(OPS["average"](), (ROWS,)),
    Example(OPS["concat"](), (ROWS,)),
    Example(OPS["clamp"](min=-9), (ROWS,)),
    Example(OPS["masked_scale"](1), (ROWS, Type((2, 3), "bool"))),
    Example(OPS["slice_grad"](3, 1, 0, 3), (ROWS,)),
    Example(OPS["subsample_grad"]((4, 5), 1), (IMAGE,)),
    Example(OPS["softmax"](), (Type((2, 1)),)),
    Example(OPS["linear_weight_grad"](False), (Type((1, 1)), Type((1, 1)))),
)
EXAMPLES = [
    e for e in (*(e for cls in OPS.values() for e in cls.examples), *IDLE) if not e.op.modal
]


def name(e: Example) -> str:
    return f"{e.op.describe()} of {' '.join(map(str, e.operands))}".replace(" ", "")


every_example = pytest.mark.parametrize("example", EXAMPLES, ids=name)


def types(e: Example) -> tuple[Type, ...]:
    return (*e.operands, *(Type(p.shape, p.dtype) for p in e.op.params(*e.operands)))


def tensors(e: Example, strided: bool = False) -> list[Tensor]:
    """Random operands; `strided`: the last two axes lie in memory the other way round."""
    generator = torch.Generator().manual_seed(0)
    low, high = e.domain

    def draw(t: Type) -> Tensor:
        x = low + (high - low) * torch.rand(t.shape, generator=generator, dtype=torch.float64)
        if t.dtype != "float":
            integers = torch.randint(0, 2, t.shape, generator=generator)
            x = integers.bool() if t.dtype == "bool" else integers
            if low == high:
                x = torch.zeros_like(x)
        return x.transpose(-1, -2).contiguous().transpose(-1, -2) if strided and x.dim() > 1 else x

    return [draw(t) for t in types(e)]


def results_of(found: object) -> tuple[Tensor | None, ...]:
    return found if isinstance(found, tuple) else (found,)


def inferred(op: Op, e: Example) -> tuple[Type, ...]:
    found = op.infer(*types(e))
    return found if isinstance(found, tuple) else (found,)


def storage(x: Tensor) -> int:
    return x.untyped_storage().data_ptr() if x.numel() else id(x)


@every_example
@pytest.mark.parametrize("strided", [False, True], ids=["dense", "strided"])
def test_only_a_view_shares_memory_and_no_operand_changes(example: Example, strided: bool) -> None:
    op, xs = example.op, tensors(example, strided)
    count = len(inferred(op, example))
    kept = [x.clone() for x in xs]
    references = results_of(op.reference(*xs))
    masks = [(True,) * count, *(tuple(i == j for j in range(count)) for i in range(count))]
    for used in masks:
        found = results_of(op.kernel(types(example), used)(*xs))
        assert len(found) == count
        ys = [y for y, wanted in zip(found, used, strict=True) if wanted]
        expected = [y for y, wanted in zip(references, used, strict=True) if wanted]
        for y, reference in zip(ys, expected, strict=True):
            assert y is not None
            assert_close(y, reference, OP)
        if not op.view:
            own = {storage(x) for x in xs}
            assert not any(storage(y) in own for y in ys), "a result in an operand's memory"
            assert all(storage(x) != storage(y) for x, y in combinations(ys, 2))
        for x, before in zip(xs, kept, strict=True):
            assert_exact(x, before)


@every_example
@pytest.mark.parametrize("strided", [False, True], ids=["dense", "strided"])
def test_inplace_writes_into_its_operand_alone_and_returns_it(
    example: Example, strided: bool
) -> None:
    op = example.op
    for position in op.overwrites:
        if types(example)[position] != inferred(op, example)[0]:
            continue
        xs = tensors(example, strided)
        kept = [x.clone() for x in xs]
        reference = op.reference(*xs)
        y = op.into(xs[position], *xs)
        assert y.data_ptr() == xs[position].data_ptr()
        assert y.shape == xs[position].shape
        assert_exact(xs[position], y)
        assert_exact(y, reference)
        for i, (x, before) in enumerate(zip(xs, kept, strict=True)):
            if i != position:
                assert_exact(x, before, f"operand {i}")
