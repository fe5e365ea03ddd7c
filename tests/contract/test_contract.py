"""Every behaviour with every net, on our module and on torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from contract import (  # noqa: F401
    autograd,
    classes,
    edges,
    inputs,
    larger,
    modes,
    moving,
    optimisers,
    state,
    traced,
    training,
)
from contract.behaviour import ALL, BEHAVIOURS, Behaviour, alike, holders
from contract.nets import images, pair

CASES = [
    pytest.param(name, behaviour, id=f"{name}: {behaviour}")
    for behaviour in BEHAVIOURS
    for name in behaviour.nets
]
SLOWEST = traced.compiled_for_batches_of_any_size
RESULTS = [b for b in BEHAVIOURS if b.raises is None and b.do is not SLOWEST]


@pytest.mark.parametrize(("name", "behaviour"), CASES)
def test_ours_behaves_as_torchs(name: str, behaviour: Behaviour) -> None:
    alike(behaviour, *pair(name), images(name))


@pytest.mark.parametrize("behaviour", RESULTS, ids=str)
def test_another_net_does_not_behave_as_torchs(behaviour: Behaviour) -> None:
    """The test above can fail: here one weight of torch's net is other, and it has a child more."""
    name = "lenet" if "lenet" in behaviour.nets else behaviour.nets[-1]
    ours, theirs = pair(name)
    with torch.no_grad():
        holders(theirs)[-1].weight.mul_(3)
    theirs.more = nn.Linear(1, 1)
    with pytest.raises((AssertionError, RuntimeError)):
        alike(behaviour, ours, theirs, images(name))


def test_there_are_many_behaviours_and_no_two_of_one_name() -> None:
    names = [str(behaviour) for behaviour in BEHAVIOURS]
    assert len(set(names)) == len(names)
    assert sum(behaviour.nets == ALL for behaviour in BEHAVIOURS) >= 60
