"""`keys`, and the weights that commands take under other names and in part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from commands import Command

import netdsl as package

NET = """netdsl 1
net Small(x: [N, 4]; d = 3) -> [N, d] { return x -> linear(8) -> relu -> linear(d) as fc }
"""


@pytest.fixture
def theirs(netdsl: Command) -> dict[str, torch.Tensor]:
    """small.net and theirs.pt, whose keys begin with `module.`."""
    Path("small.net").write_text(NET)
    state = package.load("small.net", seed=3).state_dict()
    torch.save({f"module.{key}": t for key, t in state.items()}, "theirs.pt")
    return state


def test_keys_are_listed_with_shapes_and_dtypes(netdsl: Command, theirs: object) -> None:
    ran = netdsl("keys", "small.net", "-D", "d=5")
    assert ran.code == 0
    assert [" ".join(line.split()) for line in ran.out.splitlines()[2:]] == [
        "linear1.weight [8, 4] float32",
        "linear1.bias [8] float32",
        "fc.weight [5, 8] float32",
        "fc.bias [5] float32",
    ]
    netdsl("compile", "small.net", "-o", "small.netc", "--dtype", "bfloat16")
    found = json.loads(netdsl("keys", "small.netc", "--json").out)
    assert found["keys"]["fc.bias"] == {"shape": [3], "dtype": "bfloat16"}


def test_a_difference_is_shown_and_its_renaming_is_of_use(
    netdsl: Command, theirs: dict[str, torch.Tensor]
) -> None:
    ran = netdsl("keys", "small.net", "--diff", "theirs.pt", "--write", "map.json")
    lines = ran.out.splitlines()
    assert ran.code == 1
    assert lines[:2] == [
        "Small: 4 keys, theirs.pt (float32): 4",
        "4 missing in the file, 4 not of this net",
    ]
    assert lines[5].split() == [
        "missing", "linear1.weight", "[8,", "4]", "module.linear1.weight",
    ]  # fmt: skip
    assert lines[-2:] == ["proposed: 4 renamed keys", "  4 without the prefix `module.`"]
    assert ran.err == "map.json: 4 renamed keys\n"
    made = netdsl(
        "compile", "small.net", "--weights", "theirs.pt", "--map", "map.json", "-o", "m.netc"
    )
    assert made.code == 0
    assert torch.equal(package.load("m.netc").state_dict()["fc.weight"], theirs["fc.weight"])


def test_a_difference_as_json(netdsl: Command, theirs: dict[str, torch.Tensor]) -> None:
    torch.save(theirs | {"fc.bias": torch.zeros(7), "step": torch.zeros(())}, "w.pt")
    ran = netdsl("keys", "small.net", "--diff", "w.pt", "--json")
    assert (ran.code, json.loads(ran.out)) == (
        1,
        {
            "net": "Small",
            "file": "w.pt",
            "same": ["linear1.weight", "linear1.bias", "fc.weight"],
            "reshaped": {"fc.bias": {"net": [3], "file": [7]}},
            "missing": {},
            "unexpected": {"step": []},
            "near": [],
        },
    )
    torch.save(theirs, "w.pt")
    assert netdsl("keys", "small.net", "--diff", "w.pt").code == 0


@pytest.mark.parametrize("command", ["run", "verify", "compile"])
def test_a_part_of_the_weights_is_taken_on_request(
    netdsl: Command, theirs: dict[str, torch.Tensor], command: str
) -> None:
    torch.save({"linear1.bias": theirs["linear1.bias"]}, "w.pt")
    more = {"run": ["--input", "x=random"], "compile": ["-o", "m.netc"], "verify": []}[command]
    ran = netdsl(command, "small.net", "--weights", "w.pt", *more)
    assert ran.code == 2
    assert ran.err.startswith("error: the weights of w.pt do not fit: 3 missing (linear1.weight)")
    ran = netdsl(command, "small.net", "--weights", "w.pt", "--partial", *more)
    assert ran.code == 0
    assert ran.err.splitlines()[0] == (
        "w.pt: 1 key taken, 3 kept their initial values (linear1.weight, fc.weight, fc.bias)"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["keys", "small.net", "--write", "m.json"], "--write is for the renaming that --diff"),
        (["keys", "small.net", "--diff", "no.pt"], "No such file or directory: no.pt"),
        (["keys", "small.net", "--diff", "small.net"], "neither safetensors nor a torch file"),
        (["run", "small.net", "--partial"], "--map and --partial are for --weights FILE"),
        (["run", "small.netc", "--weights", "w.pt"], "small.netc has its weights"),
        (
            ["verify", "small.net", "--weights", "theirs.pt", "--map", "small.net"],
            "small.net: no JSON",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    netdsl: Command, theirs: object, arguments: list[str], message: str
) -> None:
    netdsl("compile", "small.net", "-o", "small.netc")
    ran = netdsl(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
