"""Saving is whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from artefacts import (
    SMALL,
    contents,
    contents_of,
    saved,
    small,
)

import netdsl
from netdsl.module import NetModule

SAVE_FOR_EVER = """
import sys, netdsl
nets = [netdsl.loads(sys.argv[2], seed=seed) for seed in (0, 1)]
print("ready", flush=True)
while True:
    for net in nets:
        net.save(sys.argv[1])
"""


def test_a_kill_in_the_middle_of_saving_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "a.netc"
    nets = [netdsl.loads(SMALL, seed=seed) for seed in (0, 1)]
    expected = [contents_of(net) for net in nets]
    for delay in (0.02, 0.11):
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(path), SMALL]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as saving:
            assert saving.stdout is not None
            assert saving.stdout.readline() == b"ready\n"
            while not path.exists():
                time.sleep(0.001)
            time.sleep(delay)
            saving.send_signal(signal.SIGKILL)
        assert contents(path) in expected


def test_a_save_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left on device"):
        small(seed=1).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.netc"]


def test_a_folder_that_cannot_be_written_to_is_said_with_the_files_name(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "a.netc"
    with pytest.raises(FileNotFoundError) as raised:
        small().save(missing)
    assert str(raised.value) == f"[Errno 2] No such file or directory: '{missing}'"


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a folder that root cannot write to")
def test_a_folder_that_is_read_only_is_said_with_the_files_name() -> None:
    with pytest.raises(OSError) as raised:
        small().save("/sys/a.netc")
    assert raised.value.filename == "/sys/a.netc"


def test_a_new_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    assert saved(tmp_path).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_net_made_by_hand_has_no_text_to_save(tmp_path: Path) -> None:
    model = NetModule(small().graph)
    with pytest.raises(ValueError) as raised:
        model.save(tmp_path / "a.netc")
    assert str(raised.value) == "this net was made from a graph by hand: it has no text to save"
