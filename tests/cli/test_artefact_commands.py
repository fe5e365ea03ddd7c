"""`compile`, `inspect`, `run` and `verify` on small nets and their artefacts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Command
from safetensors.torch import save_file

import netdsl as package
from netdsl.op import Build, Gradients, Values
from netdsl.ops.activation import Sigmoid
from netdsl.ops.arithmetic import Mul

NET = """netdsl 1
net Small(x: [N, 2, 6, 6]; c = 3) -> [N, 4] {
  return x -> conv(c, 3) -> bn -> relu -> global_avg_pool -> linear(4)
}
"""


@pytest.fixture
def small(netdsl: Command) -> Path:
    """small.net and small.netc in the current folder."""
    Path("small.net").write_text(NET)
    assert netdsl("compile", "small.net", "-o", "small.netc").code == 0
    return Path("small.netc")


def test_compile_says_what_was_done(netdsl: Command, small: Path) -> None:
    ran = netdsl("compile", "small.net", "-D", "c=5", "-o", "m.netc")
    assert ran.code == 0
    assert ran.out.startswith("Small: 129 parameters, 5 stages\n")
    fold = next(line for line in ran.out.splitlines() if line.startswith("fold-bn"))
    assert fold.rstrip().endswith("bn in eval moves into the weights before it")
    found = json.loads(netdsl("compile", "small.net", "-o", "m.netc", "--json").out)
    assert (found["net"], found["parameters"]) == ("Small", 79)
    assert "fold-bn" in [row["pass"] for row in found["passes"]]
    assert found["bytes"] == Path("m.netc").stat().st_size


def test_the_same_seed_compiles_to_the_same_bytes(netdsl: Command, small: Path) -> None:
    netdsl("compile", "small.net", "-o", "again.netc")
    netdsl("compile", "small.net", "-o", "other.netc", "--seed", 1)
    assert Path("again.netc").read_bytes() == small.read_bytes()
    assert Path("other.netc").read_bytes() != small.read_bytes()


def test_given_weights_are_taken_and_a_misfit_is_said(netdsl: Command, small: Path) -> None:
    weights = package.load("small.net", seed=7).state_dict()
    save_file({key: t.contiguous() for key, t in weights.items()}, "w.safetensors")
    netdsl("compile", "small.net", "-o", "m.netc", "--weights", "w.safetensors")
    assert torch.equal(package.load("m.netc").state_dict()["conv1.weight"], weights["conv1.weight"])
    ran = netdsl("compile", "small.net", "-D", "c=5", "-o", "n.netc", "--weights", "w.safetensors")
    assert (ran.code, ran.err) == (
        2,
        "error: the weights of w.safetensors do not fit: "
        "7 of another shape (conv1.weight [3, 2, 3, 3], not [5, 2, 3, 3])\n"
        "`netdsl keys F --diff w.safetensors` compares all of them and proposes a renaming\n",
    )


def test_the_dtype_of_the_weights_can_be_chosen(netdsl: Command, small: Path) -> None:
    netdsl("compile", "small.net", "-o", "m.netc", "--dtype", "bfloat16")
    assert package.load("m.netc").state_dict()["conv1.weight"].dtype is torch.bfloat16
    ran = netdsl("compile", "small.net", "-o", "m.netc", "--dtype", "int8")
    assert ran.code == 2
    assert "the dtype is one of float32, float64, bfloat16, float16, not `int8`" in ran.err


def test_any_stage_of_the_pipeline_can_be_printed(netdsl: Command, small: Path) -> None:
    ran = netdsl("compile", "small.net", "--dump-after", "elaborate")
    assert ran.code == 0
    assert ran.out.startswith("graph Small {\n  %0 = input x: [N, 2, 6, 6]\n")
    ran = netdsl("compile", "small.net", "--dump-after", "polish")
    assert ran.code == 2
    assert "not `polish`" in ran.err
    ran = netdsl("compile", "small.net")
    assert ran.code == 2
    assert "say where to write it (-o m.netc), or use --dump-after PASS" in ran.err


def test_inspect_shows_all_but_runs_nothing(netdsl: Command, small: Path) -> None:
    lines = netdsl("inspect", small).out.splitlines()
    assert lines[1:4] == [
        "net      Small(x: [N, 2, 6, 6]) -> [N, 4]",
        "source   small.net",
        "hyper    -",
    ]
    assert ["conv1.weight", "float32", "[3,", "2,", "3,", "3]"] in [line.split() for line in lines]
    found = json.loads(netdsl("inspect", small, "--json").out)
    assert found["weights"]["linear1.bias"] == {"dtype": "float32", "shape": [4]}
    assert found["files"] == {"small.net": NET}
    assert netdsl("inspect", small, "--source").out == NET


@pytest.mark.parametrize("command", ["inspect", "verify", "eval"])
def test_a_damaged_artefact_exits_with_4(netdsl: Command, small: Path, command: str) -> None:
    Path("bad.netc").write_bytes(small.read_bytes()[:200])
    np.savez("data.npz", x=np.zeros((5, 2, 6, 6), np.float32), y=np.arange(5) % 4)
    more = ["--data", "data.npz"] if command == "eval" else []
    ran = netdsl(command, "bad.netc", *more)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines()[-1] == "error: bad.netc: truncated, or not an artefact"


@pytest.mark.parametrize("command", ["check", "show"])
def test_what_reads_texts_points_to_inspect(netdsl: Command, small: Path, command: str) -> None:
    ran = netdsl(command, small)
    assert (ran.code, ran.out, ran.err) == (
        2,
        "",
        "error: small.netc is an artefact: `netdsl inspect small.netc` shows what it holds\n",
    )


def test_run_writes_what_the_model_gives(netdsl: Command, small: Path) -> None:
    x = np.random.RandomState(0).randn(3, 2, 6, 6).astype(np.float32)
    np.save("x.npy", x)
    ran = netdsl("run", small, "--input", "x=x.npy", "-o", "y.npz")
    with torch.no_grad():
        expected = package.load(small)(torch.from_numpy(x)).numpy()
    with np.load("y.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["return"], expected)
    assert ran.code == 0
    name, shape = ran.out.splitlines()[2].split("  ")[:2]
    assert (name, shape) == ("return", "[3, 4]")
    assert ran.err.startswith("y.npz: ")


def test_taps_of_a_text_and_of_an_artefact_agree(netdsl: Command, small: Path) -> None:
    call = ["--input", "x=random", "--size", "N=2", "--tap", "relu1", "--tap", "linear1", "--json"]
    text, artefact = netdsl("run", "small.net", *call), netdsl("run", small, *call)
    found = json.loads(text.out)
    assert {name: f["shape"] for name, f in found.items()} == {
        "relu1": [2, 3, 6, 6],
        "linear1": [2, 4],
    }
    assert text.out == artefact.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "error: input x is missing: the net takes x: [N, 2, 6, 6], as in --input x=random"),
        (["--input", "z=random"], 2, "error: no input is called z: the net takes x: [N, 2, 6, 6]"),
        (["--input", "x=no.npy"], 2, "error: No such file or directory: no.npy"),
        (["--input", "x=small.net"], 2, "error: small.net is not an .npy file of numbers"),
        (["--input", "x=random", "--size", "H=3"], 2, "error: Small has no size H; it has N"),
        (["--input", "x=random", "--tap", "conv9"], 1, "has no stage `conv9`"),
        (["--input", "x=random", "-D", "c=4"], 2, "small.netc has its hyper-parameters"),
        (["--input", "x=flat.npy"], 1, "input `x` does not fit the signature: rank 4 expected"),
    ],
)
def test_what_cannot_be_run_is_said(
    netdsl: Command, small: Path, arguments: list[str], code: int, message: str
) -> None:
    np.save("flat.npy", np.zeros((2, 6)))
    ran = netdsl("run", small, *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err


def test_verify_shows_every_layer_and_says_ok(netdsl: Command, small: Path) -> None:
    ran = netdsl("verify", small, "--batch", 2)
    lines = ran.out.splitlines()
    assert ran.code == 0
    assert lines[0] == "Small(x: [2, 2, 6, 6]) as it runs against the reference in float64"
    assert [line.split()[0] for line in lines[4:10]] == [
        "conv1", "bn1", "relu1", "global_avg_pool1", "linear1", "(the",
    ]  # fmt: skip
    assert lines[-1].startswith("ok: ")


def test_verify_names_the_first_bad_layer_and_exits_with_1(
    netdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("bad.net").write_text(
        "netdsl 1\nnet Bad(x: [N, 3]) { return x -> linear(9) -> sigmoid -> linear(2) }\n"
    )
    right = Sigmoid.vjp

    def wrong(self: Sigmoid, b: Build, *values: Values) -> Gradients:
        (dx,) = right(self, b, *values)
        assert dx is not None
        return (b(Mul(), dx, b.constant(1.01)),)

    monkeypatch.setattr(Sigmoid, "vjp", wrong)
    ran = netdsl("verify", "bad.net")
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith(
        "WRONG: first the gradient of `linear1.bias`, in eval, float64: error "
    )
    found = json.loads(netdsl("verify", "bad.net", "--json").out)
    assert found["good"] is False
    assert any(row["error"] > row["tolerance"] for row in found["rows"])
