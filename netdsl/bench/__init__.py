"""Our nets beside their peers: a process a contender, rounds in turn, medians and ratios.

report = measure(Job("lenet", batch=1), families=("eager", "onnxruntime"))

A contender with several settings is tried in each for one round, and measured in the fastest. With
one thread a contender is judged by the CPU time of its process, which stays true on a machine that
others use too, else by wall clock. A ratio is the median of the ratios of single rounds.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from netdsl.bench.contenders import CONTENDERS, FAMILIES, OURS, PEAK_FLOPS, find
from netdsl.bench.job import DTYPES, Job, Variant, save_inputs
from netdsl.bench.machine import machine, versions
from netdsl.bench.processes import Unmeasurable, Worker

__all__ = ["DTYPES", "FAMILIES", "Job", "Report", "Row", "measure"]

Told = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """A contender's figures; all None where it was `skipped`, which says why.

    variant, remark  the setting it was fastest in; where its net comes from
    wall_ms, cpu_ms  medians over the rounds, of a call
    ratio            its time over that of ours: above 1, ours is faster
    peak_share       of the floating-point peak that was measured beside it
    peak_bytes       resident memory at most, after the first call; `imported_bytes`: before the net
    first_call_s     from the file, or from the eager module, to the first result; imports aside
    error            of inference: the largest difference of the first numbers from those of the
                     first row, over the largest of these
    rounds, trials   milliseconds of each round; of each variant that was tried
    """

    contender: str
    skipped: str = ""
    variant: str = ""
    remark: str = ""
    wall_ms: float | None = None
    cpu_ms: float | None = None
    ratio: float | None = None
    peak_share: float | None = None
    peak_bytes: int | None = None
    imported_bytes: int | None = None
    first_call_s: float | None = None
    error: float | None = None
    rounds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    trials: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """One table. `basis`: the clock that ratios are of; FLOPs are those of one call."""

    net: str
    job: Job
    inputs: Mapping[str, tuple[int, ...]]
    basis: str
    flops: int
    peak_flops: float | None
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    rows: Sequence[Row]


@dataclass
class _Running:
    """A worker, what its rounds took, and why it stopped early."""

    worker: Worker
    trials: Mapping[str, float]
    rounds: list[Mapping[str, Any]] = field(default_factory=list)
    failed: str = ""


def measure(
    job: Job,
    families: Collection[str] = FAMILIES,
    rounds: int = 9,
    told: Told = lambda what: None,
) -> Report:
    """Measure ours and the contenders of some families.

    `told` hears what is being done. Raises `NetError` for a mistake in the text and `Problem` where
    the sizes do not fit; a contender that cannot be measured is a row that says why.
    """
    from netdsl.bench.work import work

    done = work(job)
    basis = "cpu" if job.threads == 1 else "wall"
    chosen = [n for n, c in CONTENDERS.items() if c.family == OURS or c.family in families]
    with tempfile.TemporaryDirectory(prefix="netdsl-bench-") as folder, _stopping() as running:
        job = replace(job, folder=folder)
        save_inputs(job, {key: x.numpy() for key, x in done.inputs.items()})
        skipped = _start_all(job, chosen, basis, running, told)
        for number in range(rounds):
            told(f"round {number + 1} of {rounds}")
            _round(list(running.values()), number)
        roof = _roof(running.get("peak"), basis)
        good = [running[name] for name in chosen if name in running and not running[name].failed]
        base = good[0].worker.ready["sample"] if good and not job.train else []
        ours = next((one for one in reversed(good) if _family(one) == OURS), None)
        rows = [
            _row(name, running[name], ours, basis, done.flops, roof, base)
            if name in running and not running[name].failed
            else Row(name, skipped.get(name) or running[name].failed)
            for name in chosen
        ]
    shapes = {key: tuple(x.shape) for key, x in done.inputs.items()}
    return Report(done.net, job, shapes, basis, done.flops, roof, machine(), versions(), rows)


@contextmanager
def _stopping() -> Iterator[dict[str, _Running]]:
    """The workers by name, stopped at the end whatever happens."""
    running: dict[str, _Running] = {}
    try:
        yield running
    finally:
        for one in running.values():
            one.worker.stop()


def _start_all(
    job: Job, chosen: Sequence[str], basis: str, running: dict[str, _Running], told: Told
) -> dict[str, str]:
    """Start each contender in its fastest variant; why those are skipped that are."""
    skipped = {name: why for name in chosen if (why := CONTENDERS[name].declines(job))}
    if any(CONTENDERS[name].exported for name in chosen if name not in skipped):
        told("exporting to ONNX")
        try:
            worker = Worker("export", job, Variant())
            worker.stop()
            job = replace(job, source=worker.ready["remark"])
        except Unmeasurable as error:
            exported = (name for name in chosen if CONTENDERS[name].exported)
            skipped |= dict.fromkeys(exported, f"no ONNX export: {error}") | skipped
    for name in ("peak", *(name for name in chosen if name not in skipped)):
        told(f"starting {name}")
        try:
            running[name] = _fastest(name, job, basis)
        except Unmeasurable as error:
            skipped[name] = str(error)
    return skipped


def _fastest(name: str, job: Job, basis: str) -> _Running:
    """The worker of the variant whose trial round was the fastest; the others are stopped."""
    best: Worker | None = None
    trials: dict[str, float] = {}
    why = Unmeasurable("no variant")
    for variant in find(name).variants:
        try:
            worker = Worker(name, job, variant)
            seconds = worker.round()[basis]
        except Unmeasurable as error:
            why = error
            continue
        faster = best is None or 1e3 * seconds < trials[str(best.variant)]
        trials[str(variant)] = 1e3 * seconds
        loser = best if faster else worker
        if faster:
            best = worker
        if loser is not None:
            loser.stop()
    if best is None:
        raise why
    return _Running(best, trials)


def _round(running: Sequence[_Running], number: int) -> None:
    """One round of each in turn, another one first every time."""
    first = number % len(running) if running else 0
    for one in (*running[first:], *running[:first]):
        if not one.failed:
            try:
                one.rounds.append(one.worker.round())
            except Unmeasurable as error:
                one.failed = str(error)


def _roof(peak: _Running | None, basis: str) -> float | None:
    """Floating-point operations a second of the large convolution, at best."""
    if peak is None or peak.failed or not peak.rounds:
        return None
    best: float = min(found[basis] for found in peak.rounds)
    return PEAK_FLOPS / best


def _row(
    name: str,
    one: _Running,
    ours: _Running | None,
    basis: str,
    flops: int,
    roof: float | None,
    base: Sequence[float],
) -> Row:
    times = {clock: [found[clock] for found in one.rounds] for clock in ("wall", "cpu")}
    seconds = statistics.median(times[basis])
    ratio = None
    if ours is not None:
        ratio = statistics.median(
            theirs[basis] / found[basis]
            for theirs, found in zip(one.rounds, ours.rounds, strict=True)
        )
    ready = one.worker.ready
    return Row(
        name,
        variant=str(one.worker.variant),
        remark=ready["remark"],
        wall_ms=1e3 * statistics.median(times["wall"]),
        cpu_ms=1e3 * statistics.median(times["cpu"]),
        ratio=ratio,
        peak_share=flops / seconds / roof if roof else None,
        peak_bytes=one.rounds[-1]["peak_bytes"],
        imported_bytes=ready["imported_bytes"],
        first_call_s=ready["first_call_s"],
        error=_error(ready["sample"], base),
        rounds={clock: [1e3 * t for t in found] for clock, found in times.items()},
        trials=one.trials,
    )


def _family(one: _Running) -> str:
    return find(one.worker.name).family


def _error(numbers: Sequence[float], base: Sequence[float]) -> float | None:
    largest = max(map(abs, base), default=0.0)
    if not largest or len(numbers) != len(base):
        return None
    return max(abs(x - y) for x, y in zip(numbers, base, strict=True)) / largest
