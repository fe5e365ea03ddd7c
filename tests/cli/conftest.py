"""Commands run in this process, as the shell would see them."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command, Ran

from netdsl.cli import run_command


@pytest.fixture
def netdsl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """`netdsl("check", "my.net")`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETDSL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = run_command([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return run
