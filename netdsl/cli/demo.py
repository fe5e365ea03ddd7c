"""`netdsl demo`: the whole road with LeNet on real digits, each step with its result and time."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netdsl.cli import options, screen
from netdsl.cli.failure import FINDINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netdsl.datasets import Dataset
    from netdsl.module import NetModule

NET, DATA, WANTED = "lenet", "mnist5k:pad=2", 0.95
DIGITS = 5


def demo(
    seeds: Annotated[int, typer.Option(min=1, help="How often to train.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the 4,000 digits.")] = 10,
    json: options.Json = False,
) -> None:
    """Take LeNet all the way on real digits, in under a minute.

    Check, show, train, verify, compile, load in a new process, run. Exits with 1 if the mean
    accuracy is below 95 % or any number is wrong.

    \b
    netdsl demo
    """
    from netdsl import datasets

    dataset = datasets.load(DATA)  # first, so that a missing package is said at once
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="netdsl-demo-") as folder:
        told = _Told(quiet=json)
        told.say("LeNet-5 (LeCun et al. 1998), from its text to numbers that hold.\n")
        work = _Work(dataset, seeds, epochs, Path(folder))
        good = [told.step(name, action, work) for name, action in STEPS.items()]
    seconds = time.perf_counter() - begin
    if json:
        screen.show_json({"good": all(good), "seconds": seconds, "steps": told.facts})
    told.say(f"{'All is well' if all(good) else 'Something is WRONG'}: {screen.seconds(seconds)}.")
    if not all(good):
        raise typer.Exit(FINDINGS)


@dataclass
class _Work:
    """What the steps hand on: the data, then the trained net and its answers."""

    dataset: Dataset
    seeds: int
    epochs: int
    folder: Path
    model: Any = None
    answers: Any = None

    @property
    def artefact(self) -> Path:
        return self.folder / f"{NET}.netc"


@dataclass(frozen=True)
class _Result:
    """Of a step: whether it is right, lines for the reader, facts for a program."""

    good: bool
    lines: list[str]
    facts: dict[str, Any] = field(default_factory=dict)


class _Told:
    """Prints the steps as they are done, numbered and timed."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.facts: dict[str, Any] = {}

    def say(self, text: str) -> None:
        if not self.quiet:
            print(text, flush=True)

    def step(self, name: str, action: Callable[[_Work], _Result], work: _Work) -> bool:
        begin = time.perf_counter()
        result = action(work)
        seconds = time.perf_counter() - begin
        head = f"{len(self.facts) + 1} {name}"
        self.say(f"{head:<70}{screen.seconds(seconds):>8}")
        for line in result.lines:
            self.say(f"  {line}" if line else "")
        self.say("")
        self.facts[name] = {"good": result.good, "seconds": seconds, **result.facts}
        return result.good


def _check(work: _Work) -> _Result:
    from netdsl import front

    found = front.check(NET)
    lines = [line for d in found for line in d.render().splitlines()]
    return _Result(not any(d.is_error for d in found), lines or ["nothing found"])


def _show(work: _Work) -> _Result:
    from netdsl import front
    from netdsl.cli.show import signature, totals
    from netdsl.show import summary

    seen = summary(front.parse(NET))
    stages = " → ".join(row.op for row in seen.rows)
    lines = [signature(seen), *_folded(stages), *totals(seen)]
    return _Result(True, lines, {"parameters": seen.params, "macs": seen.macs})


def _train(work: _Work) -> _Result:
    import torch

    from netdsl import compiler
    from netdsl import training as trainer
    from netdsl.cli.train import measure, progress

    torch.set_num_threads(1)  # tiny ops: more threads only wait for each other
    found, lines = [], _folded(work.dataset.description)
    for seed in range(work.seeds):
        model = compiler.load(NET, seed=seed)
        chosen = trainer.Options(epochs=work.epochs, seed=seed).resolved(work.dataset)
        begin = time.perf_counter()
        with progress(chosen, f"seed {seed}, ", lasting=False) as report:
            history = trainer.train(model, work.dataset, chosen, report=report)
        spent = time.perf_counter() - begin
        found.append(history.metric)
        lines.append(
            f"seed {seed}: {measure('accuracy', history.metric)} of "
            f"{len(work.dataset.x_test):,} held-out digits right, {screen.seconds(spent)}"
        )
        work.model = work.model or model.eval()
    mean = sum(found) / len(found)
    lines.append(f"mean: {measure('accuracy', mean)} ({100 * WANTED:.0f} % wanted)")
    return _Result(mean >= WANTED, lines, {"accuracy": found, "mean": mean})


def _verify(work: _Work) -> _Result:
    from netdsl.cli.verify import verdict
    from netdsl.verify import verify

    report = verify(work.model)
    what = f"{len(report.layers)} layers forward and backward against plain torch in float64"
    return _Result(report.good, [what, verdict(report)])


def _compile(work: _Work) -> _Result:
    import torch

    model: NetModule = work.model
    with torch.no_grad():
        work.answers = model(torch.from_numpy(work.dataset.x_test)).numpy()
    model.save(work.artefact)
    size = work.artefact.stat().st_size
    line = f"{work.artefact.name}: weights and source, {screen.size(size)}"
    return _Result(True, [line], {"bytes": size})


def _load(work: _Work) -> _Result:
    """Through the command line itself, so that nothing of this process helps."""
    import numpy as np

    given, got = work.folder / "x.npy", work.folder / "y.npz"
    np.save(given, work.dataset.x_test)
    call = ["run", str(work.artefact), "--input", f"x={given}", "-o", str(got)]
    done = subprocess.run(
        [sys.executable, "-m", "netdsl", *call], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return _Result(False, [f"netdsl run exited with {done.returncode}", done.stderr])
    with np.load(got, allow_pickle=False) as arrays:
        (again,) = arrays.values()
    same = again.tobytes() == work.answers.tobytes()
    lines = [
        f"a new process, netdsl run {work.artefact.name} --input x=x.npy -o y.npz:",
        f"{'the same bits' if same else 'OTHER BITS'} for all {len(again):,} held-out digits",
    ]
    return _Result(same, lines)


def _run(work: _Work) -> _Result:
    shown = slice(0, DIGITS)
    images, truth = work.dataset.x_test[shown, 0], work.dataset.y_test[shown]
    given = work.answers[shown].argmax(1)
    pictures = [_picture(image[2:-2, 2:-2]) for image in images]
    lines = ["   ".join(row) for row in zip(*pictures, strict=True)]
    words = [f"{g}" if g == t else f"{g}, but it is {t}" for g, t in zip(given, truth, strict=True)]
    return _Result(True, [*lines, "   ".join(f"{word:^14}" for word in words)])


# in this order: each sees the work of those before
STEPS: dict[str, Callable[[_Work], _Result]] = {
    "check": _check,
    "show": _show,
    "train": _train,
    "verify": _verify,
    "compile": _compile,
    "load": _load,
    "run": _run,
}

# Two pixels a character: neither, the upper, the lower, both bright.
BLOCKS = " ▀▄█"


def _picture(image: NDArray[Any]) -> list[str]:
    """28x28 pixels as 7 lines of 14 characters."""
    small = image.reshape(14, 2, 14, 2).mean((1, 3))
    bright = small > 0.7 * small.min() + 0.3 * small.max()
    return [
        "".join(BLOCKS[int(up) + 2 * int(low)] for up, low in zip(*rows, strict=True))
        for rows in zip(bright[::2], bright[1::2], strict=True)
    ]


def _folded(text: str) -> list[str]:
    return textwrap.wrap(text, 76, break_on_hyphens=False)
