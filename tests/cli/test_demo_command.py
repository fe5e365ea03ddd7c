"""The demo on smaller digits: one seed, every step done for real."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
from commands import Command

from netdsl.cli import demo

pytestmark = pytest.mark.skipif(find_spec("sklearn") is None, reason="it ships the digits")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "DATA", "digits:resize=32,train=800")
    monkeypatch.setattr(demo, "WANTED", 0.5)


def test_the_demo_goes_all_the_way(netdsl: Command) -> None:
    ran = netdsl("demo", "--seeds", 1, "--epochs", 3, "--json")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert list(found["steps"]) == ["check", "show", "train", "verify", "compile", "load", "run"]
    assert all(step["good"] for step in found["steps"].values())
    assert found["steps"]["show"]["parameters"] == 61_706
    assert found["steps"]["train"]["mean"] > 0.5


def test_an_accuracy_below_what_is_wanted_exits_with_1(
    netdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {name: demo.STEPS[name] for name in ("check", "show", "train")}
    monkeypatch.setattr(demo, "STEPS", steps)
    monkeypatch.setattr(demo, "WANTED", 1.01)
    ran = netdsl("demo", "--seeds", 1, "--epochs", 1)
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("Something is WRONG: ")
    assert max(len(line) for line in ran.out.splitlines()) <= 80
