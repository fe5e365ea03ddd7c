"""The training loop over plain torch modules: exact resumption, options, losses, checkpoints."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netdsl.datasets import Dataset
from netdsl.training import (
    CheckpointError,
    Epoch,
    History,
    Interrupted,
    Options,
    Step,
    TrainingError,
    train,
)
from netdsl.training.evaluation import batches


def blobs(classes: int = 3) -> Dataset:
    """Points around as many centres; `classes=0`: the distance from the origin is to be met."""
    random = np.random.RandomState(0)
    y = random.randint(0, max(classes, 1), 50)
    x = (random.randn(50, 4) + 3 * y[:, None] * [1, -1, 1, 0]).astype(np.float32)
    target = y if classes else np.linalg.norm(x, axis=1).astype(np.float32)
    return Dataset("blobs", x[:40], target[:40], x[40:], target[40:], classes, "blobs")


def net(outputs: int = 3) -> nn.Module:
    """A net in which everything that a checkpoint must hold counts: buffers, masks, momenta."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, outputs)
    )


def bits(model: nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in model.state_dict().items()}


def without_time(history: History) -> list[tuple[float, ...]]:
    return [(r.epoch, r.loss, r.test_loss, r.metric, r.lr) for r in history.rows]


def press_ctrl_c(epoch: int, step: int) -> object:
    """A report that interrupts after a step, as a user does."""

    def report(told: Step | Epoch) -> None:
        if isinstance(told, Step) and (told.epoch, told.step) == (epoch, step):
            os.kill(os.getpid(), signal.SIGINT)

    return report


@pytest.mark.parametrize("optim", ["adamw", "adam", "sgd"])
def test_a_net_learns_and_the_same_seed_gives_the_same_bits(optim: str) -> None:
    first, second, other = net(), net(), net()
    history = train(first, blobs(), epochs=8, batch=8, lr=0.02, optim=optim)
    again = train(second, blobs(), epochs=8, batch=8, lr=0.02, optim=optim)
    train(other, blobs(), epochs=8, batch=8, lr=0.02, optim=optim, seed=1)
    assert history.metric >= 0.8
    assert history.rows[-1].loss < history.rows[0].loss
    assert bits(first) == bits(second)
    assert without_time(history) == without_time(again)
    assert bits(first) != bits(other)


@pytest.mark.parametrize("step", [1, 3, 5])
@pytest.mark.parametrize("optim", ["adamw", "sgd"])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path, optim: str, step: int) -> None:
    whole, file = net(), tmp_path / "run.ckpt"
    expected = train(whole, blobs(), epochs=4, batch=8, optim=optim)
    broken = net()
    with pytest.raises(Interrupted) as caught:
        train(
            broken,
            blobs(),
            epochs=4,
            batch=8,
            optim=optim,
            checkpoint=file,
            report=press_ctrl_c(2, step),  # type: ignore[arg-type]
        )
    assert (caught.value.epoch, caught.value.step) == (2, step)
    torch.manual_seed(99)
    resumed = net()
    history = train(resumed, blobs(), epochs=4, batch=8, optim=optim, resume=file)
    assert bits(resumed) == bits(whole)
    assert without_time(history) == without_time(expected)


@pytest.mark.parametrize(
    ("where", "forgotten"),
    [
        (nn.Module, "load_state_dict"),
        (torch.optim.Optimizer, "load_state_dict"),
        (torch, "set_rng_state"),
    ],
    ids=["weights", "momenta", "masks"],
)
def test_a_run_that_forgets_a_part_of_its_checkpoint_has_other_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: object, forgotten: str
) -> None:
    file = tmp_path / "run.ckpt"
    train(net(), blobs(), epochs=2, batch=8, checkpoint=file)

    def resumed() -> dict[str, bytes]:
        model = net()
        train(model, blobs(), epochs=3, batch=8, resume=file)
        return bits(model)

    found = resumed()
    assert resumed() == found
    monkeypatch.setattr(where, forgotten, lambda *_: None)
    assert resumed() != found


def test_a_resumed_optimiser_keeps_the_memory_layout_of_its_parameters(tmp_path: Path) -> None:
    # a fused step goes through the memory of a weight and of its momenta side by side
    def conv() -> nn.Module:
        torch.manual_seed(1)
        layers = nn.Sequential(nn.Conv2d(2, 4, (3, 2)), nn.Flatten(), nn.Linear(24, 3))
        return layers.to(memory_format=torch.channels_last)

    points = blobs()
    x = np.random.RandomState(1).randn(50, 2, 4, 4).astype(np.float32)
    images = replace(points, x_train=x[:40], x_test=x[40:])
    whole, resumed, file = conv(), conv(), tmp_path / "run.ckpt"
    train(whole, images, epochs=3)
    with pytest.raises(Interrupted):
        train(conv(), images, epochs=3, checkpoint=file, report=press_ctrl_c(2, 1))  # type: ignore[arg-type]
    train(resumed, images, epochs=3, resume=file)
    assert bits(resumed) == bits(whole)


def test_the_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.ckpt"
    train(net(), blobs(), epochs=1, checkpoint=file)
    with pytest.raises(TrainingError) as caught:
        train(net(), replace(blobs(), description="other"), epochs=1, resume=file)
    assert str(caught.value) == f"{file} is of a run on other data: blobs"


def test_a_finished_run_can_be_trained_on(tmp_path: Path) -> None:
    model, file = net(), tmp_path / "run.ckpt"
    train(model, blobs(), epochs=2, checkpoint=file)
    history = train(net(), blobs(), epochs=3, resume=file)
    assert [row.epoch for row in history.rows] == [1, 2, 3]


def test_training_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = net()
    torch.manual_seed(5)
    train(model, blobs(), epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_other_options_than_the_checkpoint_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.ckpt"
    train(net(), blobs(), epochs=1, checkpoint=file)
    with pytest.raises(TrainingError) as caught:
        train(net(), blobs(), epochs=1, batch=16, resume=file)
    assert str(caught.value) == f"{file} is of a run with batch=32, not batch=16"


def test_the_checkpoint_of_another_net_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.ckpt"
    train(net(), blobs(), epochs=1, checkpoint=file)
    with pytest.raises(CheckpointError, match="is of another net"):
        train(net(4), blobs(), epochs=2, resume=file)


def test_damaged_checkpoints_are_refused_at_every_length(tmp_path: Path) -> None:
    file, cut = tmp_path / "run.ckpt", tmp_path / "cut.ckpt"
    train(net(), blobs(), epochs=1, checkpoint=file)
    content = file.read_bytes()
    for end in (0, 7, 8, 100, len(content) - 1):
        cut.write_bytes(content[:end])
        with pytest.raises(CheckpointError, match="is no checkpoint of a training run"):
            train(net(), blobs(), epochs=2, resume=cut)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.ckpt", "run.ckpt"]


def test_further_outputs_count_by_their_weight() -> None:
    Outputs = namedtuple("Outputs", ["y", "aux"])

    class Two(nn.Module):
        """Two heads in training, one in eval."""

        def __init__(self) -> None:
            super().__init__()
            self.main, self.side = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor | Outputs:
            return Outputs(self.main(x), self.side(x)) if self.training else self.main(x)

    def moved(**more: object) -> float:
        torch.manual_seed(0)
        model = Two()
        before = model.side.weight.detach().clone()
        train(model, blobs(), epochs=1, optim="sgd", decay=0.0, **more)
        return float((model.side.weight.detach() - before).abs().max())

    assert moved() == 0
    assert moved(weight={"aux": 0.3}) > moved(weight={"aux": 0.1}) > 0
    with pytest.raises(TrainingError) as caught:
        moved(weight={"aux2": 0.3})
    assert str(caught.value) == "no output in training is called `aux2` (y, aux)"


def test_real_targets_are_met_by_mse_and_classes_become_one_hot() -> None:
    history = train(net(1), blobs(0), epochs=1)
    assert (history.options.loss, history.options.metric) == ("mse", "mse")
    assert np.isfinite(history.metric)
    model = nn.Linear(4, 3)
    x, y = torch.from_numpy(blobs().x_test), torch.from_numpy(blobs().y_test)
    history = train(model, blobs(), epochs=1, loss="mse")
    expected = ((model(x).detach() - torch.eye(3)[y]) ** 2).mean()
    assert history.rows[-1].test_loss == pytest.approx(float(expected), rel=1e-5)


def test_a_frozen_part_stays_in_eval_and_as_it_is() -> None:
    model = net()
    norm = model[1]
    norm.requires_grad_(False).eval()
    before = bits(norm)
    train(model, blobs(), epochs=1)
    assert bits(norm) == before
    assert (model.training, norm.training) == (True, False)


def test_autocast_trains_and_clipping_bounds_the_step() -> None:
    low, full = net(), net()
    train(low, blobs(), epochs=1, amp="bf16")
    train(full, blobs(), epochs=1)
    assert bits(low) != bits(full)
    still = net()
    before = still[0].weight.detach().clone()
    train(still, blobs(), epochs=1, optim="sgd", momentum=0.0, decay=0.0, clip=1e-6)
    assert float((still[0].weight.detach() - before).abs().max()) < 1e-5


def test_logs_have_a_row_an_epoch(tmp_path: Path) -> None:
    table, lines = tmp_path / "log.csv", tmp_path / "log.jsonl"
    history = train(net(), blobs(), epochs=2, log=table)
    train(net(), blobs(), epochs=2, log=lines)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "test_loss", "lr", "seconds", "test_accuracy"]
    assert [float(row["test_accuracy"]) for row in rows] == [r.metric for r in history.rows]
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["loss"] for row in written] == [r.loss for r in history.rows]


def test_losses_and_metrics_can_be_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_for_test.py").write_text(
        "def half(y, t):\n    return 0.5 * (y.argmax(1) == t).float().mean()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    full = train(net(), blobs(), epochs=1)
    half = train(net(), blobs(), epochs=1, metric="mine_for_test:half")
    assert half.metric == full.metric / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"loss": "cs"},
            "no loss is called `cs` (ce, nll, mse, l1, or package:function); did you mean `ce`?",
        ),
        (
            {"metric": "accuraccy"},
            "no metric is called `accuraccy` (accuracy, top5, mse, mae, or package:function); "
            "did you mean `accuracy`?",
        ),
        ({"loss": "nowhere:f"}, "loss `nowhere:f`: No module named 'nowhere'"),
        (
            {"optim": "adamv"},
            "no optimiser is called `adamv` (adamw, adam, sgd); did you mean `adam`?",
        ),
        ({"optim": "adam", "momentum": 0.9}, "`adam` takes no momentum; sgd does"),
        ({"batch": 0}, "`batch` is 1 or more, not 0"),
        ({"amp": "fp16"}, "`amp` is bf16 or left out, not `fp16`"),
        ({"log": "log.txt"}, "a log is a file that ends in .csv or .jsonl, not `log.txt`"),
    ],
)
def test_bad_requests_are_refused_before_training(options: dict[str, object], message: str) -> None:
    model = net()
    before = bits(model)
    with pytest.raises(TrainingError) as caught:
        train(model, blobs(), **options)
    assert str(caught.value) == message
    assert bits(model) == before


def test_a_last_batch_of_one_joins_the_one_before() -> None:
    assert [len(part) for part in batches(9, 4, 0, 0)] == [4, 5]
    assert [len(part) for part in batches(1, 4, 0, 0)] == [1]
    assert sorted(torch.cat(batches(9, 4, 0, 0)).tolist()) == list(range(9))


def test_options_show_every_default() -> None:
    assert Options().resolved(blobs()) == Options(loss="ce", metric="accuracy", lr=2e-3, decay=0.05)
    assert Options(optim="sgd").resolved(blobs(0)) == Options(
        loss="mse", metric="mse", optim="sgd", lr=0.05, momentum=0.9, decay=5e-4
    )
