"""No weight is stale: hypothesis interleaves ways to change one with calls in eval and steps in
training; after each, the net computes what the reference does with the same numbers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tolerances import NET, assert_close
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import netdsl
from netdsl.folded import Folded

NET_TEXT = """netdsl 1
net Folding(x: [N, 3, H, W]) {
  return x -> conv(6, 3) -> bn -> relu -> conv(5, 3, bias=false) -> bn
           -> global_avg_pool -> linear(4) -> bn
}
"""
SGD, ADAM = torch.optim.SGD, torch.optim.Adam
OPTIMISERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "sgd, fused": (SGD, {"lr": 0.01, "momentum": 0.9, "fused": True}),
    "sgd, foreach": (SGD, {"lr": 0.01, "momentum": 0.9, "foreach": True}),
    "adam, fused": (ADAM, {"lr": 0.01, "fused": True}),
    "adam, foreach": (ADAM, {"lr": 0.01, "foreach": True}),
    "adam, one by one": (ADAM, {"lr": 0.01, "foreach": False}),
}
scales = st.sampled_from([0.5, 0.9, 1.25])
places = st.integers(0, 10**6)


class Weights(RuleBasedStateMachine):
    """A net by our plans, one by the reference, and what may be done with the first's weights."""

    @initialize()
    def make(self) -> None:
        self.net = netdsl.loads(NET_TEXT, seed=0).double()
        self.reference = netdsl.loads(NET_TEXT, seed=1, backend="reference").double()
        self.optimisers = {
            name: kind(self.net.parameters(), **options)
            for name, (kind, options) in OPTIMISERS.items()
        }
        self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(0.5))
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(3, 3, 5, 4, generator=generator, dtype=torch.float64)

    @rule(mode=st.booleans())
    def train(self, mode: bool) -> None:
        self.net.train(mode)

    @rule(mode=st.booleans(), place=places)
    def train_one_layer(self, mode: bool, place: int) -> None:
        layers = [self.net.bn1, self.net.bn2, self.net.bn3]
        layers[place % 3].train(mode)

    @rule(name=st.sampled_from(list(OPTIMISERS)))
    def step(self, name: str) -> None:
        self.net.zero_grad()
        self.net(self.x).square().sum().backward()
        self.optimisers[name].step()

    @rule(scale=scales, place=places)
    def write_one_number_through_data(self, scale: float, place: int) -> None:
        flat = self.some(place).data
        index = tuple(place % size for size in flat.shape)
        flat[index] = flat[index] * scale + 0.125

    @rule(scale=scales, place=places)
    def write_a_whole_one_through_data(self, scale: float, place: int) -> None:
        self.some(place).data.mul_(scale)

    @rule(scale=scales, place=places)
    def set_data(self, scale: float, place: int) -> None:
        p = self.some(place)
        p.data = p.data * scale

    @rule(scale=scales, place=places)
    def copy_under_no_grad(self, scale: float, place: int) -> None:
        p = self.some(place)
        with torch.no_grad():
            p.copy_(p * scale)

    @rule(scale=scales, place=places)
    def write_through_numpy(self, scale: float, place: int) -> None:
        self.some(place).detach().numpy()[...] *= scale

    @rule(scale=scales)
    def take_a_vector_of_parameters(self, scale: float) -> None:
        vector = nn.utils.parameters_to_vector(self.net.parameters()).detach()
        nn.utils.vector_to_parameters(vector * scale, self.net.parameters())

    @rule(scale=scales)
    def load_state_dict(self, scale: float) -> None:
        self.net.load_state_dict(self.scaled(scale))

    @rule(scale=scales)
    def assign_state_dict(self, scale: float) -> None:
        self.net.load_state_dict(self.scaled(scale), assign=True)
        for optimiser in self.optimisers.values():  # the parameters are others now
            optimiser.param_groups[0]["params"] = list(self.net.parameters())
            optimiser.state.clear()

    @rule()
    def swap_with_the_average(self) -> None:
        self.average.update_parameters(self.net)
        with torch.no_grad():
            for ours, theirs in zip(
                self.net.parameters(), self.average.module.parameters(), strict=True
            ):
                before = ours.clone()
                ours.copy_(theirs)
                theirs.copy_(before)

    @rule(scale=scales, place=places)
    def write_a_statistic(self, scale: float, place: int) -> None:
        statistics = [b for b in self.net.buffers() if b.is_floating_point()]
        statistics[place % len(statistics)].mul_(scale)

    @invariant()
    def the_net_computes_with_its_weights_of_now(self) -> None:
        self.reference.load_state_dict(self.net.state_dict())
        layers = zip(self.net.modules(), self.reference.modules(), strict=True)
        for ours, theirs in layers:
            theirs.training = ours.training
        with torch.no_grad():
            got = [self.net(self.x) for _ in range(2)]
            expected = [self.reference(self.x) for _ in range(2)]
        for one, other in zip(got, expected, strict=True):
            assert_close(one, other, NET)
        for ours, theirs in zip(self.net.buffers(), self.reference.buffers(), strict=True):
            assert_close(ours, theirs, NET)

    def some(self, place: int) -> nn.Parameter:
        parameters = list(self.net.parameters())
        return parameters[place % len(parameters)]

    def scaled(self, scale: float) -> dict[str, Tensor]:
        state = copy.deepcopy(self.net.state_dict())
        return {k: t * scale if t.is_floating_point() else t for k, t in state.items()}


Weights.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestWeights = Weights.TestCase


def test_a_guard_that_sees_nothing_is_found(monkeypatch):
    monkeypatch.setattr(Folded, "fresh", lambda *_: True)
    one_run = settings(TestWeights.settings, phases=[Phase.generate])
    with pytest.raises(AssertionError, match="where the reference has"):
        run_state_machine_as_test(Weights, settings=one_run)
