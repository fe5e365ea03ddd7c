"""What would grow without end is refused at once, with the line, and in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bombs import BOMBS

SECONDS = 3.0  # of CPU time; most take a tenth, those of 250 kB as long as lark reads them


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[object]]:
    """Code, line, longest message and seconds of every bomb, checked in a process of 1 GB."""
    program = Path(__file__).with_name("bombs.py")
    run = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=300)
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, f"behind {found[-1:]}: {run.stderr}"
    return {name: rest for name, *rest in found}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_with_its_line(name: str, outcomes: dict[str, list[object]]) -> None:
    bomb = BOMBS[name]
    code, line, longest, seconds = outcomes[name]
    assert code == bomb.code
    if bomb.code is not None and bomb.line is not None:
        assert line == bomb.line
    assert isinstance(longest, int) and longest <= 2048
    assert isinstance(seconds, float) and seconds < SECONDS
