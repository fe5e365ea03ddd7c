"""Where an op says that it treats the places of an axis apart, no place changes another one's."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from cases import RUN, Case, several

from netdsl.op import Places, Type
from netdsl.ops.pieces import Concat
from netdsl.ops.reduction import Mean
from netdsl.ops.shape import Reshape
from netdsl.ops.softmax import Softmax


def apart(case: Case) -> list[tuple[Places, int]]:
    """Axes of the operands that are one axis, and where that is in the results."""
    types = case.types
    choices = [(None, *range(t.rank)) if i < 3 else (None,) for i, t in enumerate(types)]
    found = []
    for axes in product(*choices):
        sizes = {t.shape[axis] for t, axis in zip(types, axes, strict=True) if axis is not None}
        if len(sizes) == 1:
            along = case.op.along(axes, types)
            if along is not None:
                found.append((axes, along))
    return found


SAID = [(case, *said) for case in RUN for said in apart(case)]


@pytest.mark.parametrize(("case", "axes", "along"), SAID, ids=str)
def test_other_places_of_an_axis_do_not_change_a_place(
    case: Case, axes: Places, along: int
) -> None:
    first, other = case.numbers(seed=0), case.numbers(seed=1)
    changed = []
    for x, y, axis in zip(first, other, axes, strict=True):
        if axis is not None:
            mixed = y.clone()
            mixed.select(axis, 0).copy_(x.select(axis, 0))
            changed.append(mixed)
        else:
            changed.append(x)
    kept, found = (several(case.op.reference(*xs)) for xs in (first, changed))
    places = {x.shape[axis] for x, axis in zip(first, axes, strict=True) if axis is not None}
    for a, b in zip(kept, found, strict=True):
        assert {a.shape[along]} == places
        assert torch.equal(a.select(along, 0), b.select(along, 0))


def test_what_takes_several_places_says_so() -> None:
    x = Type((2, 3, 4))
    assert [Softmax(axis=1).along((axis,), (x,)) for axis in range(3)] == [0, None, 2]
    assert [Mean(axis=0).along((axis,), (x,)) for axis in range(3)] == [None, 0, 1]
    assert [Reshape((2, 12)).along((axis,), (x,)) for axis in range(3)] == [0, None, None]
    assert Concat(-1).along((1, 1), (x, x)) == 1
    assert Concat(-1).along((1, None), (x, x)) is None
