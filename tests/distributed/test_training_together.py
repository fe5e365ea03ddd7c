"""train() in two processes: one run, as in one process with the same batches."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import netdsl
from netdsl.datasets import Dataset
from netdsl.module import NetModule
from netdsl.training import Epoch, History, Interrupted, Step, TrainingError, train

Both = Callable[[Callable[[int], None]], None]

NET = """netdsl 1
net Small(x: [N, 4]; p = 0.0) -> [N, 3] {
  return x -> linear(8, bias=false) -> bn -> relu -> dropout(p) -> linear(3)
}
"""
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
# 41 examples in batches of 8 leave one over, which makes the last batch one of 9: uneven shares
OPTIONS = {"epochs": 3, "batch": 8, "optim": "sgd", "seed": 3, "clip": 1.0}


def points() -> Dataset:
    """Three clouds of points."""
    random = np.random.RandomState(0)
    y = random.randint(0, 3, 340)
    x = (random.randn(340, 4) + 2 * y[:, None] * [1, -1, 1, 0]).astype(np.float32)
    return Dataset("points", x[:41], y[:41], x[41:], y[41:], 3, "points")


def small(p: float = 0.0) -> NetModule:
    return netdsl.loads(NET, hyper={"p": p}, seed=0)


def numbers(history: History) -> list[tuple[float, ...]]:
    return [(r.epoch, r.loss, r.test_loss, r.metric, r.lr) for r in history.rows]


def assert_close_to(model: NetModule, expected: Path) -> None:
    torch.testing.assert_close(model.state_dict(), load_file(expected), **CLOSE)


def whole_run(
    text: str, batch: int, expected: Path, rows: list[tuple[float, ...]], rank: int
) -> None:
    model, folder = netdsl.loads(text, seed=0), expected.parent
    places = {"checkpoint": folder / f"{rank}.ckpt", "log": folder / f"{rank}.csv"}
    history = train(model, points(), **{**OPTIONS, "batch": batch}, **places)
    assert_close_to(model, expected)
    torch.testing.assert_close(torch.tensor(numbers(history)), torch.tensor(rows), **CLOSE)
    assert [path.exists() for path in places.values()] == [rank == 0, rank == 0]


@pytest.mark.parametrize(
    ("text", "batch"),
    [(NET, 8), (NET, 40), (NET.replace(" -> bn", ""), 1)],  # 1: one process has no example at all
)
def test_two_processes_are_one_run(both: Both, tmp_path: Path, text: str, batch: int) -> None:
    model, expected = netdsl.loads(text, seed=0), tmp_path / "expected"
    history = train(model, points(), **{**OPTIONS, "batch": batch})
    save_file(model.state_dict(), expected)
    both(partial(whole_run, text, batch, expected, numbers(history)))


def interrupted(checkpoint: Path, resume: Path | None, step: int, who: int, rank: int) -> None:
    """Ctrl-C reaches one process alone; all stop after the same step."""

    def report(told: Step | Epoch) -> None:
        if isinstance(told, Step) and (told.epoch, told.step) == (step, 2) and rank == who:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        train(small(), points(), **OPTIONS, checkpoint=checkpoint, resume=resume, report=report)
    assert (caught.value.epoch, caught.value.step) == (step, 2)


def finished(resume: Path, expected: Path, rank: int) -> None:
    model = small()
    train(model, points(), **OPTIONS, resume=resume)
    assert_close_to(model, expected)


def test_a_run_goes_on_in_one_process_and_in_two_again(both: Both, tmp_path: Path) -> None:
    model = small()
    train(model, points(), **OPTIONS)
    save_file(model.state_dict(), tmp_path / "expected")
    first, second = tmp_path / "first.ckpt", tmp_path / "second.ckpt"
    both(partial(interrupted, first, None, 1, 1))
    interrupted(second, first, 2, 0, rank=0)
    both(partial(finished, second, tmp_path / "expected"))


def same_bits(folder: Path, rank: int) -> None:
    """With dropout, which each process draws on its own."""
    model, whole = small(0.5), small(0.5)
    train(whole, points(), **OPTIONS)
    checkpoint = folder / "c.ckpt"

    def report(told: Step | Epoch) -> None:
        if isinstance(told, Step) and (told.epoch, told.step) == (2, 3):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train(small(0.5), points(), **OPTIONS, checkpoint=checkpoint, report=report)
    dist.barrier()  # the file is the first process's
    train(model, points(), **OPTIONS, resume=checkpoint)
    torch.testing.assert_close(model.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_resumed_in_two_processes_it_has_the_same_bits(both: Both, tmp_path: Path) -> None:
    both(partial(same_bits, tmp_path))


class Drawing(nn.Linear):
    """Draws a number in each step, as dropout does."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.drawn: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.drawn.append(float(torch.rand(())))
        return super().forward(x)


def drawing(rank: int) -> None:
    model = Drawing()
    train(model, points(), **OPTIONS)
    gathered: list[list[float]] = [[], []]
    dist.all_gather_object(gathered, model.drawn)
    assert len({*gathered[0], *gathered[1]}) == 2 * len(model.drawn) == 30


def test_no_two_processes_draw_the_same_numbers(both: Both) -> None:
    both(drawing)


def started_apart(rank: int) -> None:
    model = netdsl.loads(NET, seed=rank)
    train(model, points(), **OPTIONS)
    gathered = [None, None]
    state = {k: v.tolist() for k, v in model.state_dict().items()}
    dist.all_gather_object(gathered, state)
    assert gathered[0] == gathered[1]


def test_processes_that_start_with_different_weights_have_the_first_ones(both: Both) -> None:
    both(started_apart)


def survive(rank: int, meeting: Path, told: Connection) -> None:
    """One process kills itself in the first epoch, the other says what its run ended with."""
    where: dict[str, Any] = {"init_method": meeting.as_uri(), "rank": rank, "world_size": 2}
    dist.init_process_group("gloo", **where)

    def report(step: Step | Epoch) -> None:
        if rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        train(small(), points(), **OPTIONS, checkpoint="run.ckpt", report=report)
    except TrainingError as error:
        told.send(str(error))


def test_a_run_says_that_another_process_is_gone(tmp_path: Path) -> None:
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (tmp_path / "meeting", theirs)
    processes = [context.Process(target=survive, args=(r, *arguments)) for r in range(2)]
    for process in processes:
        process.start()
    theirs.close()
    try:
        assert ours.poll(60)
        assert ours.recv() == (
            "another process of the run is gone or stuck: --resume run.ckpt goes on after the last "
            "whole epoch"
        )
    finally:
        for process in processes:
            process.kill()
            process.join()
