"""Exit codes, help, literals, bugs; and that what must feel instant imports no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from commands import Command

import netdsl as package
from netdsl import front
from netdsl.cli import COMMANDS, LIGHT, options, screen


def test_light_commands_never_import_torch() -> None:
    calls = {
        "check": ["check", "resnet"],
        "explain": ["explain", "N206"],
        "fmt": ["fmt", "--check", "models/lenet.net"],
        "pin": ["pin", "--diff", "models/lenet.net"],
        "new": ["new", "--help"],
        "show": ["show", "lenet", "--format", "net"],
        "models": ["models", "--json"],
    }
    assert tuple(calls) == LIGHT
    program = (
        "import sys\n"
        "from netdsl.cli import run_command\n"
        f"codes = [run_command(call) for call in {list(calls.values())!r}]\n"
        "heavy = {'torch', 'numpy', 'triton'} & set(sys.modules)\n"
        "assert codes == [0] * 7 and not heavy, (codes, heavy)\n"
    )
    root = str(Path(package.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=False
    )
    assert done.returncode == 0
    assert done.stderr == "1 file: nothing found\nmodels/lenet.net would change\n"


def test_an_unknown_command_proposes_the_nearest(netdsl: Command) -> None:
    ran = netdsl("chek", "lenet")
    assert ran.code == 2
    assert "No such command 'chek'. Did you mean 'check'?" in ran.err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_help_has_examples_and_fits_the_screen(netdsl: Command, command: str) -> None:
    ran = netdsl(*filter(None, [command]), "--help")
    assert ran.code == 0
    assert max(len(line) for line in ran.out.splitlines()) <= 80
    assert command in LIGHT or f"netdsl {command}".rstrip() in ran.out
    assert all("..." not in line for line in ran.out.splitlines() if line.startswith("  "))


def test_a_bug_of_ours_is_written_down_and_exits_with_70(
    netdsl: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(front, "check", broken)
    ran = netdsl("check", "lenet")
    (report,) = (tmp_path / "cache" / "reports").iterdir()
    assert (ran.code, ran.out, ran.err) == (
        70,
        "",
        "internal error: KeyError: 'surprise'\n"
        f"This is a bug of netdsl, not of your file. The report is saved: {report}\n",
    )
    text = report.read_text()
    assert text.startswith("netdsl check lenet\npython ")
    assert "KeyError: 'surprise'" in text


def test_a_report_that_cannot_be_saved_is_shown(
    netdsl: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file is in the way")
    monkeypatch.setattr(front, "check", lambda _: 1 / 0)
    ran = netdsl("check", "lenet")
    assert ran.code == 70
    assert "The report could not be saved; it is:\n\nnetdsl check lenet\npython " in ran.err


def test_ctrl_c_exits_with_130(netdsl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(front, "check", stopped)
    ran = netdsl("check", "lenet")
    assert (ran.code, ran.out, ran.err) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("101", 101),
        ("-3", -3),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e-3", 1e-3),
        ("true", True),
        ("false", False),
        ("gelu", "gelu"),
        ('"a b"', "a b"),
    ],
)
def test_values_are_literals_of_the_language(text: str, value: object) -> None:
    assert options.hypers([f"name={text}"]) == {"name": value}
    assert type(options.literal(text)) is type(value)


@pytest.mark.parametrize("text", ["", "1" * 19, "a b", '"', "__import__('os')", "1_000", "1e99999"])
def test_anything_else_is_no_value(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        options.hypers([f"name={text}"])


@pytest.mark.parametrize(
    ("number", "short", "size"),
    [
        (0, "0", "0 B"),
        (999, "999", "999 B"),
        (1000, "1.00k", "1.00 kB"),
        (99_949, "99.9k", "99.9 kB"),
        (999_499, "999k", "999 kB"),
        (999_500, "1.00M", "1.00 MB"),
        (4_089_184_256, "4.09G", "4.09 GB"),
        (None, "-", "- B"),
    ],
)
def test_numbers_are_shown_with_three_digits(number: int | None, short: str, size: str) -> None:
    assert (screen.short(number), screen.size(number)) == (short, size)


def test_models_are_listed_with_their_parameters(netdsl: Command) -> None:
    lines = netdsl("models").out.splitlines()
    assert "  lenet                     61,706 params  classes=10" in lines
    assert "  dannet:MCDNN             380,200 params  columns=5, classes=10" in lines
    listed = {item["model"]: item for item in json.loads(netdsl("models", "--json").out)}
    assert listed["lenet"]["comment"].startswith("LeNet-5 (LeCun et al. 1998)")
    assert [net["target"] for net in listed["resnet"]["nets"]] == [
        "resnet",
        "resnet:ResNet101",
        "resnet:ResNet200",
    ]
