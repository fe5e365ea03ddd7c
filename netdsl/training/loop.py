"""The training loop; the loss is L(first output) + Σ weight[name] · L(output `name`)."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from netdsl.datasets import Dataset
from netdsl.training import checkpoint as checkpoints
from netdsl.training.checkpoint import CheckpointError
from netdsl.training.evaluation import batches, evaluate, outputs
from netdsl.training.history import Epoch, History, Step, check_log, write_log
from netdsl.training.measures import LOSSES, METRICS, Measure, TrainingError, find
from netdsl.training.optimisers import make_optimiser, schedule
from netdsl.training.options import Options

Report: TypeAlias = Callable[[Step | Epoch], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during training, after the state was saved to `checkpoint` (None: nowhere to)."""

    def __init__(self, epoch: int, step: int, checkpoint: str | None) -> None:
        self.epoch, self.step, self.checkpoint = epoch, step, checkpoint
        super().__init__(f"interrupted in epoch {epoch}, after step {step}")


@dataclass(frozen=True)
class _Task:
    """What does not change during a run."""

    model: nn.Module
    dataset: Dataset
    options: Options
    loss: Measure
    metric: Measure
    optimiser: torch.optim.Optimizer
    x: Tensor
    y: Tensor
    checkpoint: str | Path | None
    report: Report


@dataclass
class _Run:
    """Where a run stands: its epochs, then the next one's steps so far and the loss summed over
    their examples. A checkpoint holds it in full."""

    rows: list[Epoch] = field(default_factory=list)
    step: int = 0
    summed: float = 0.0
    seconds: float = 0.0


def train(
    model: nn.Module,
    dataset: Dataset,
    options: Options | None = None,
    *,
    checkpoint: str | Path | None = None,
    resume: str | Path | None = None,
    log: str | Path | None = None,
    report: Report = lambda told: None,
    **more: Any,
) -> History:
    """Train the model in place on `dataset.x_train`, measure on `x_test` after every epoch.

    `more`: fields of `Options`, where `options` is not given. `checkpoint`: a file written after
    every epoch and on Ctrl-C, which `resume` takes. `log`: a .csv or .jsonl file, a row an epoch.
    A model in eval mode is put into training; parts of one in training stay as they are.
    Raises `TrainingError` for a bad request before anything runs, `Interrupted` on Ctrl-C.
    """
    chosen = (options or Options(**more)).resolved(dataset)
    loss, metric = find("loss", chosen.loss, LOSSES), find("metric", chosen.metric, METRICS)
    check_log(log)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    x, y = (torch.from_numpy(a).to(device) for a in (dataset.x_train, dataset.y_train))
    if not model.training:
        model.train()
    assert chosen.lr is not None and chosen.decay is not None
    optimiser = make_optimiser(model, chosen.optim, chosen.lr, chosen.momentum, chosen.decay)
    task = _Task(model, dataset, chosen, loss, metric, optimiser, x, y, checkpoint, report)
    with torch.random.fork_rng(), _stop_between_steps() as stopped:
        torch.manual_seed(chosen.seed)
        run = _resumed(resume, task) if resume else _Run()
        while len(run.rows) < chosen.epochs:
            run = _Run([*run.rows, _epoch(task, run, stopped)])
            _save(task, run)
            write_log(log, run.rows, chosen.metric)
            report(run.rows[-1])
    return History(chosen, tuple(run.rows))


def _epoch(task: _Task, run: _Run, stopped: threading.Event) -> Epoch:
    """One epoch, or what is left of it."""
    options, number, begin = task.options, len(run.rows), time.perf_counter() - run.seconds
    order = batches(len(task.x), options.batch, options.seed, number)

    def lr(step: int) -> float:
        assert options.lr is not None
        return schedule(options.lr, number * len(order) + step, options.epochs * len(order))

    for rows in order[run.step :]:
        for group in task.optimiser.param_groups:
            group["lr"] = lr(run.step)
        run.summed += float(_step(task, task.x[rows], task.y[rows])) * len(rows)
        run.step += 1
        task.report(Step(number + 1, run.step, len(order)))
        if stopped.is_set():
            run.seconds = time.perf_counter() - begin
            _save(task, run)
            place = str(task.checkpoint) if task.checkpoint else None
            raise Interrupted(number + 1, run.step, place)
    test_loss, metric = evaluate(task.model, task.dataset, task.loss, task.metric, amp=options.amp)
    seconds = time.perf_counter() - begin
    return Epoch(number + 1, run.summed / len(task.x), test_loss, metric, lr(run.step - 1), seconds)


def _step(task: _Task, x: Tensor, y: Tensor) -> Tensor:
    """One step of the optimiser; the loss before it."""
    low = task.options.amp == "bf16"
    task.optimiser.zero_grad()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
        first, named = outputs(task.model(x))
    unknown = set(task.options.weight) - set(named)
    if unknown:
        names = ", ".join(named) or "none has a name"
        raise TrainingError(f"no output in training is called `{min(unknown)}` ({names})")
    loss = task.loss(first.float() if low else first, y)
    for name, factor in task.options.weight.items():
        loss = loss + factor * task.loss(named[name].float() if low else named[name], y)
    loss.backward()  # type: ignore[no-untyped-call]
    if task.options.clip is not None:
        nn.utils.clip_grad_norm_(task.model.parameters(), task.options.clip)
    task.optimiser.step()
    return loss.detach()


def _save(task: _Task, run: _Run) -> None:
    if task.checkpoint:
        state = {
            "options": asdict(task.options),
            "run": asdict(run),
            "data": task.dataset.description,
        }
        checkpoints.save(task.checkpoint, task.model, task.optimiser, state)


def stored_options(path: str | Path) -> Options:
    """The options of the run that wrote a checkpoint."""
    return _stored(path, checkpoints.load(path).state)[0]


def _stored(path: str | Path, state: Mapping[str, Any]) -> tuple[Options, _Run, str]:
    """The options, the place and the data of a checkpoint's run."""
    try:
        rows = [Epoch(**row) for row in state["run"]["rows"]]
        run = _Run(**{**state["run"], "rows": rows})
        return Options(**state["options"]), run, state["data"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no checkpoint of a training run: {error}") from error


def _resumed(path: str | Path, task: _Task) -> _Run:
    """Where the checkpointed run stands, its weights and random generators put back.

    `epochs` alone may differ from it; the learning rate then follows the new schedule.
    """
    found = checkpoints.load(path)
    before, run, data = _stored(path, found.state)
    if data != task.dataset.description:
        raise TrainingError(f"{path} is of a run on other data: {data}")
    for name, value in asdict(task.options).items():
        was = getattr(before, name)
        if name != "epochs" and was != value:
            raise TrainingError(f"{path} is of a run with {name}={was}, not {name}={value}")
    checkpoints.restore(found, task.model, task.optimiser)
    return run


@contextmanager
def _stop_between_steps() -> Iterator[threading.Event]:
    """Ctrl-C sets the event, so that no step is left half done; a second one stops at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: object) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
