"""Ops over more examples at once: the same as the examples in two calls, or the sum of these."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from cases import RUN, Case, several
from tolerances import OP, assert_close

from netdsl.op import OPS, Batched


def batches(case: Case) -> list[tuple[tuple[int, ...], Batched]]:
    """Operands with examples, and the op over twice as many."""
    found = []
    types = case.types
    with_axis = [i for i, t in enumerate(types) if t.rank]
    for size in range(1, len(with_axis) + 1):
        for each in combinations(with_axis, size):
            counts = {types[i].shape[0] for i in each}
            if len(counts) > 1:
                continue
            (n,) = counts
            batched = case.op.batched(types, each, 2 * n)
            if batched is not None:
                found.append((each, batched))
    return found


PAIRS = [(case, *pair) for case in RUN for pair in batches(case)]


@pytest.mark.parametrize(("case", "each", "batched"), PAIRS, ids=lambda x: str(x))
def test_two_calls_are_one_of_all_examples(
    case: Case, each: tuple[int, ...], batched: Batched
) -> None:
    first, other = case.numbers(seed=0), case.numbers(seed=1)
    second = [o if i in each else x for i, (x, o) in enumerate(zip(first, other, strict=True))]
    pairs = zip(first, second, strict=True)
    both = [torch.cat([x, o]) if i in each else x for i, (x, o) in enumerate(pairs)]
    results = [several(case.op.reference(*xs)) for xs in (first, second)]
    apart = zip(*results, strict=True)
    together = several(batched.op.reference(*both))
    for i, ((a, b), y) in enumerate(zip(apart, together, strict=True)):
        if y.dtype.is_floating_point:
            assert_close(y, a + b if i in batched.summed else torch.cat([a, b]), OP)
        else:
            assert torch.equal(y, torch.cat([a, b]))


@pytest.mark.parametrize("name", [name for name, cls in OPS.items() if cls.per_example])
def test_an_op_of_single_examples_is_batched(name: str) -> None:
    assert any(type(case.op).name == name for case, *_ in PAIRS) or OPS[name].modal
