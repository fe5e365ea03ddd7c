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
from netdsl.module import NetModule
from netdsl.training import checkpoint as checkpoints
from netdsl.training import processes
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
    inputs: tuple[Tensor, ...]
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
    """Train the model in place on `dataset.train`, measure on `test` after every epoch.

    `more`: fields of `Options`, where `options` is not given. `checkpoint`: a file written after
    every epoch and on Ctrl-C, which `resume` takes. `log`: a .csv or .jsonl file, a row an epoch.
    A model in eval mode is put into training; parts of one in training stay as they are.
    Raises `TrainingError` for a bad request before anything runs, `Interrupted` on Ctrl-C.

    Where torch.distributed has a process group, all its processes call this alike and are one run:
    each takes its share of every batch, batch normalisation of a net has the statistics of all, and
    the first writes the files. `TrainingError` where another process is gone.
    """
    chosen = (options or Options(**more)).resolved(dataset)
    loss, metric = find("loss", chosen.loss, LOSSES), find("metric", chosen.metric, METRICS)
    check_log(log)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    *inputs, y = (torch.from_numpy(a).to(device) for a in (*dataset.train, dataset.y_train))
    if not model.training:
        model.train()
    assert chosen.lr is not None and chosen.decay is not None
    optimiser = make_optimiser(model, chosen.optim, chosen.lr, chosen.momentum, chosen.decay)
    task = _Task(
        model, dataset, chosen, loss, metric, optimiser, tuple(inputs), y, checkpoint, report
    )
    if isinstance(model, NetModule) and processes.size() > 1:
        model.sync_batchnorm()
    with (
        torch.random.fork_rng(),
        _stop_between_steps() as stopped,
        processes.failing_together(checkpoint),
    ):
        torch.manual_seed(chosen.seed)
        run = _resumed(resume, task) if resume else _Run()
        processes.agree(model.state_dict().values())
        while len(run.rows) < chosen.epochs:
            run = _Run([*run.rows, _epoch(task, run, stopped)])
            _save(task, run)
            if processes.rank() == 0:
                write_log(log, run.rows, chosen.metric)
            report(run.rows[-1])
    return History(chosen, tuple(run.rows))


def _epoch(task: _Task, run: _Run, stopped: threading.Event) -> Epoch:
    """One epoch, or what is left of it."""
    options, number, begin = task.options, len(run.rows), time.perf_counter() - run.seconds
    order = batches(len(task.y), options.batch, options.seed, number)

    def lr(step: int) -> float:
        assert options.lr is not None
        return schedule(options.lr, number * len(order) + step, options.epochs * len(order))

    for rows in order[run.step :]:
        for group in task.optimiser.param_groups:
            group["lr"] = lr(run.step)
        processes.draw_apart(options.seed, number, run.step)
        loss = _step(task, rows)
        run.step += 1
        task.report(Step(number + 1, run.step, len(order)))
        found = torch.tensor([loss, stopped.is_set()], dtype=torch.float64)
        loss_of_all, stops = processes.summed(found).tolist()  # one that stops stops all
        run.summed += loss_of_all * len(rows)
        if stops:
            run.seconds = time.perf_counter() - begin
            _save(task, run)
            place = str(task.checkpoint) if task.checkpoint else None
            raise Interrupted(number + 1, run.step, place)
    processes.agree(task.model.buffers())
    test_loss, metric = evaluate(task.model, task.dataset, task.loss, task.metric, amp=options.amp)
    seconds = time.perf_counter() - begin
    return Epoch(number + 1, run.summed / len(task.y), test_loss, metric, lr(run.step - 1), seconds)


def _step(task: _Task, rows: Tensor) -> float:
    """One step of the optimiser on a batch; this process's share of the loss before it."""
    own = processes.share(rows)
    inputs, y = [x[own] for x in task.inputs], task.y[own]
    low = task.options.amp == "bf16"
    task.optimiser.zero_grad()
    with torch.autocast(y.device.type, torch.bfloat16, enabled=low):
        first, named = outputs(task.model(*inputs))
    unknown = set(task.options.weight) - set(named)
    if unknown:
        names = ", ".join(named) or "none has a name"
        raise TrainingError(f"no output in training is called `{min(unknown)}` ({names})")
    measure = task.loss if len(own) else _nothing
    loss = measure(first.float() if low else first, y)
    for name, factor in task.options.weight.items():
        loss = loss + factor * measure(named[name].float() if low else named[name], y)
    if len(own) != len(rows):
        loss = loss * (len(own) / len(rows))
    loss.backward()  # type: ignore[no-untyped-call]
    processes.sum_gradients(task.model.parameters())
    if task.options.clip is not None:
        nn.utils.clip_grad_norm_(task.model.parameters(), task.options.clip)
    task.optimiser.step()
    return float(loss.detach())


def _nothing(y: Tensor, target: Tensor) -> Tensor:
    """The loss of no examples: 0, with gradients of 0, since all processes take part in a step."""
    return y.sum()


def _save(task: _Task, run: _Run) -> None:
    if task.checkpoint and processes.rank() == 0:
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
