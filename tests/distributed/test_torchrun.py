"""`netdsl train` under torchrun: one process writes and tells, a killed one stops all, and the
checkpoint goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

NET = """netdsl 1
net Small(x: [N, 4]; classes = 3) -> [N, classes] {
  return x -> linear(8, bias=false) -> bn -> relu -> linear(classes)
}
"""
# cross entropy that kills the second process in the third epoch, where the environment says so
LOSS = """import os, signal
import torch.nn.functional as F
steps = 0
def loss(y, target):
    global steps
    if y.requires_grad:
        steps += 1
        if steps == 12 and os.environ.get("RANK") == os.environ.get("KILLED"):
            os.kill(os.getpid(), signal.SIGKILL)
    return F.cross_entropy(y, target)
"""
TRAIN = ["-m", "netdsl", "train", "small.net", "--data", "data.npz", "--loss", "deadly:loss"]
SIZES = ["--epochs", "4", "--batch", "8"]
TOGETHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SECONDS = 90


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.RandomState(0)
    y = np.arange(50) % 3
    x = random.randn(50, 4) + 4 * y[:, None] * [1, -1, 1, 0]
    np.savez(tmp_path / "data.npz", x=x.astype(np.float32), y=y)
    (tmp_path / "small.net").write_text(NET)
    (tmp_path / "deadly.py").write_text(LOSS)
    return tmp_path


def python(folder: Path, *arguments: str, killed: str = "") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), *sys.path]))
    environment = {**os.environ, "KILLED": killed or "nobody", "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def test_a_killed_process_stops_the_run_which_goes_on_from_its_checkpoint(folder: Path) -> None:
    alone = python(folder, *TRAIN, *SIZES, "-o", "alone.netc")
    assert alone.returncode == 0, alone.stderr

    died = python(folder, *TOGETHER, *TRAIN, *SIZES, "-o", "both.netc", killed="1")
    assert died.returncode != 0 and not (folder / "both.netc").exists(), died.stderr
    assert died.stderr.count("epoch 2/4") == 1  # the first process alone tells
    assert "epoch 3/4" not in died.stderr

    resumed = python(folder, *TOGETHER, *TRAIN, *SIZES, "-o", "both.netc", "--resume", "both.ckpt")
    assert resumed.returncode == 0, resumed.stderr
    told = [line.split("   ")[0] for line in resumed.stderr.splitlines() if "epoch " in line]
    assert told == ["epoch 3/4", "epoch 4/4"]
    accuracy, written = resumed.stdout.splitlines()
    assert accuracy.split(",")[0] == alone.stdout.splitlines()[0].split(",")[0]
    assert written.startswith("both.netc: ") and not (folder / "both.ckpt").exists()
    expected, found = (load_file(folder / f"{name}.netc") for name in ("alone", "both"))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
