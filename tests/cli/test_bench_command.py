"""`bench` on a net of a few neurons: what is reported, and how a contender fails. Nothing is timed
against anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision_operators  # noqa: F401
from commands import Command

from netdsl import bench
from netdsl.bench import Job, Report, Row, processes
from netdsl.bench.contenders import CONTENDERS
from netdsl.bench.job import Variant, save_inputs
from netdsl.bench.torch_calls import call_of, ours, twin
from netdsl.bench.worker import resident
from netdsl.cli.bench import _markdown

NET = """netdsl 1
net Tiny(x: [N, 2, 6, 6]; c = 3) -> [N, 4] {
  return x -> conv(c, 3) -> bn -> relu -> max_pool(2) -> global_avg_pool -> linear(4)
}
"""


@pytest.fixture
def tiny(netdsl: Command) -> str:
    Path("tiny.net").write_text(NET)
    return "tiny.net"


class Dying(processes.Worker):
    """A worker that ends after its trial, where it measures our frozen net."""

    rounds = 0

    def round(self) -> dict[str, Any]:
        self.rounds += 1
        if self.name == "netdsl, frozen" and self.rounds > 1:
            self._process.kill()
        return super().round()


def test_a_report_has_what_it_was_made_with_and_a_row_for_every_contender(
    netdsl: Command, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "Worker", Dying)
    monkeypatch.delitem(CONTENDERS, "eager, mallopt")
    one = replace(CONTENDERS["eager"], variants=(Variant(channels_last=True),))
    monkeypatch.setitem(CONTENDERS, "eager", one)
    quick = ("--rounds", 2, "--seconds", 0.01, "--against", "eager,jax", "--json")
    ran = netdsl("bench", tiny, "-D", "c=5", "--batch", 2, *quick)
    assert ran.code == 0
    found = json.loads(ran.out)
    assert (found["net"], found["inputs"], found["basis"]) == ("Tiny", {"x": [2, 2, 6, 6]}, "cpu")
    assert (found["job"]["dtype"], found["job"]["threads"]) == ("float32", 1)
    # conv 2·5·3²·6² and linear 5·4, two examples, two operations each
    assert found["flops"] == 2 * 2 * (2 * 5 * 9 * 36 + 5 * 4)
    assert found["peak_flops"] > 0
    assert found["machine"]["processor"]
    assert found["versions"]["torch"] == torch.__version__
    rows = {row["contender"]: row for row in found["rows"]}
    assert list(rows) == ["netdsl", "netdsl, frozen", "eager", "JAX"]
    for name in ("netdsl", "eager"):
        assert_measured(rows[name])
    assert rows["netdsl"]["ratio"] == 1.0
    assert rows["eager"]["variant"] == "channels_last"
    assert rows["eager"]["remark"] == "traced into torch functions"
    assert rows["netdsl, frozen"]["skipped"] == "its process ended with -9"
    assert rows["JAX"]["skipped"] == "not installed (pip install jax)"
    assert rows["JAX"]["cpu_ms"] is None


def assert_measured(row: Mapping[str, Any]) -> None:
    assert row["skipped"] == ""
    assert [len(times) for times in row["rounds"].values()] == [2, 2]
    for figure in ("wall_ms", "cpu_ms", "ratio", "peak_share", "first_call_s"):
        assert row[figure] > 0, figure
    assert row["error"] < 1e-5
    if resident("VmHWM") is not None:
        assert row["peak_bytes"] > row["imported_bytes"] / 2 > 0


class Fake:
    """A worker without a process; the time of a round is by its variant."""

    def __init__(self, name: str, job: Job, variant: Variant) -> None:
        self.name, self.variant, self.stopped = name, variant, False
        if variant.channels_last and variant.mallopt:
            raise processes.Unmeasurable("no such variant")
        MADE.append(self)

    def round(self) -> dict[str, float]:
        return {"cpu": 0.001 if self.variant.channels_last else 0.002, "wall": 1.0}

    def stop(self) -> None:
        self.stopped = True


MADE: list[Fake] = []


def test_the_fastest_variant_stays_and_the_others_are_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench, "Worker", Fake)
    variants = (Variant(), Variant(True), Variant(mallopt=True), Variant(True, True))
    monkeypatch.setitem(CONTENDERS, "eager", replace(CONTENDERS["eager"], variants=variants))
    found = bench._fastest("eager", Job("lenet"), "cpu")
    assert str(found.worker.variant) == "channels_last"
    assert found.trials == {"": 2.0, "channels_last": 1.0, "mallopt": 2.0}
    assert [one.stopped for one in MADE] == [True, False, True]
    monkeypatch.setitem(CONTENDERS, "eager", replace(CONTENDERS["eager"], variants=variants[3:]))
    with pytest.raises(processes.Unmeasurable, match="no such variant"):
        bench._fastest("eager", Job("lenet"), "cpu")


def test_a_worker_that_cannot_make_its_contender_says_why(tmp_path: Path) -> None:
    job = Job("no.net", folder=str(tmp_path))
    with pytest.raises(processes.Unmeasurable, match=r"FileNotFoundError|NetError|no\.net"):
        processes.Worker("netdsl", job, Variant())


def test_a_worker_that_ends_shows_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "environment", lambda *_: {"PYTHONHOME": "/nowhere"})
    with pytest.raises(processes.Unmeasurable, match="its process ended with 1: "):
        processes.Worker("eager", Job("lenet"), Variant())


def test_what_a_contender_does_not_do_is_said_before_it_starts() -> None:
    trains, low = Job("lenet", train=True), Job("lenet", dtype="bfloat16")
    only_torch = [name for name, c in CONTENDERS.items() if c.packages == ("torch",)]
    declined = [name for name in only_torch if CONTENDERS[name].declines(trains)]
    assert declined == ["netdsl, frozen", "torch.compile, freezing"]
    assert CONTENDERS["netdsl, frozen"].declines(trains) == "runs inference only"
    assert [name for name in only_torch if CONTENDERS[name].declines(low)] == []


def test_the_eager_twin_is_torchvisions_where_the_keys_are_the_same(tmp_path: Path) -> None:
    model, remark = twin(Job("resnet", {"depth": 18}))
    assert (type(model).__module__, remark) == ("torchvision.models.resnet", "torchvision's class")
    assert not model.training


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_traced_twin_computes_what_the_net_does(
    tmp_path: Path, tiny: str, train: bool, dtype: str
) -> None:
    job = Job(tiny, batch=2, train=train, dtype=dtype, folder=str(tmp_path))
    save_inputs(job, {"x": torch.randn(2, 2, 6, 6).numpy()})
    model, remark = twin(job)
    assert remark == "traced into torch functions"
    for variant in (Variant(), Variant(channels_last=True)):
        theirs = call_of(model, job, variant)()
        got = call_of(ours(job), job, variant)()
        tolerance = 1e-5 if dtype == "float32" else 2e-2
        first = theirs[0] if isinstance(theirs, tuple) else theirs
        torch.testing.assert_close(got, first, rtol=tolerance, atol=tolerance)
        model, _ = twin(job)  # a step has changed the first


def test_a_report_in_markdown() -> None:
    rows = (
        Row("netdsl", "", "mallopt", "", 0.5, 0.25, 1.0, 0.5, 270_000_000, 1, 0.1, 0.0),
        Row("JAX", "not installed (pip install jax)"),
    )
    machine = {"processor": "A CPU", "capability": "AVX2", "cores": 2, "load": 0.25}
    report = Report(
        "Tiny", Job("tiny"), {"x": (1, 2)}, "cpu", 4_000_000, 8e10, machine, {"torch": "2"}, rows
    )
    assert _markdown(report).splitlines() == [
        "### Tiny, inference, 1×2, float32, 1 thread",
        "",
        "| contender | ms | CPU ms | netdsl is | of peak | memory | first call | error |  |",
        "| :-- | --: | --: | --: | --: | --: | --: | --: | :-- |",
        "| netdsl | 0.500 | 0.250 | 1.00× | 50 % | 270 MB | 100 ms | 0 | mallopt |",
        "| JAX | - | - | - | - | - | - | - | not installed (pip install jax) |",
        "",
        "Medians of no rounds of 0.3 s in turn; ratios by CPU time of the process; 0.004 GFLOP a "
        "call, peak 80 GFLOP/s measured beside it.",
        "A CPU (AVX2), 2 cores, load 0.2; torch 2.",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "tensorflow"], "not `tensorflow`"),
        (["--dtype", "int8"], "the dtype is float32 or bfloat16, not `int8`"),
        (["--size", "H=7"], "Tiny has no size H; it has N"),
    ],
)
def test_what_cannot_be_asked_is_said(
    netdsl: Command, tiny: str, arguments: list[str], message: str
) -> None:
    ran = netdsl("bench", tiny, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
