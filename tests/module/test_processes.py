"""Weights in shared memory, trained by another process (Recht et al. 2011, Hogwild)."""

from __future__ import annotations

import torch
from tolerances import NET, assert_close
from torch import Tensor, multiprocessing, nn

import netdsl

TEXT = """netdsl 1
net Shared(x: [N, 3, 8, 8]) { return x -> conv(4, 3) -> bn -> relu -> flatten -> linear(2) }
"""


def train(model: nn.Module, x: Tensor) -> None:
    """One step, in the mode that the model is in."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(x).sin().sum().backward()
    optimiser.step()


def test_a_step_of_another_process_is_seen_by_the_next_call() -> None:
    ours = netdsl.loads(TEXT, seed=0).double()
    theirs = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 2),
    ).double()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(5, 3, 8, 8, dtype=torch.float64)
    ours.share_memory().eval()
    with torch.no_grad():
        assert_close(ours(x), theirs.eval()(x), NET)  # our folded weights are made here
    worker = multiprocessing.get_context("spawn").Process(target=train, args=(ours, x))
    worker.start()
    train(theirs, x)
    worker.join()
    assert worker.exitcode == 0
    with torch.no_grad():
        assert_close(ours(x), theirs(x), NET)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(p, q, NET)
