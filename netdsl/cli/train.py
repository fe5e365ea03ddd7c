"""`netdsl train` and `netdsl eval`: real data in, an artefact or its metrics out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netdsl.cli import options, screen

if TYPE_CHECKING:
    from netdsl.datasets import Dataset
    from netdsl.training import Epoch, History, Options, Step
    from netdsl.training.loop import Report


def train(
    target: options.Runnable,
    data: options.Data,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="m.netc", help="The artefact to write.")
    ],
    hyper: options.Hyper = None,
    weights: options.Weights = None,
    renaming: options.Renaming = None,
    partial: options.Partial = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data (10).")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples a step (32).")] = None,
    optim: Annotated[str | None, typer.Option(help="adamw (the default), adam or sgd.")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Largest learning rate (by optimiser: 2e-3, 0.05 of sgd).")
    ] = None,
    momentum: Annotated[float | None, typer.Option(help="Of sgd (0.9).")] = None,
    decay: Annotated[float | None, typer.Option(help="Weight decay (by optimiser).")] = None,
    loss: Annotated[
        str | None, typer.Option(help="ce, nll, mse, l1 or package:function (by the data).")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="accuracy, top5, mse, mae or package:function.")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=0.3", help="Add a further output to the loss; may repeat."),
    ] = None,
    clip: Annotated[float | None, typer.Option(help="Largest norm of the gradient.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and dropout (0).")] = None,
    amp: Annotated[str | None, typer.Option(metavar="bf16", help="Autocast.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="CKPT", help="Go on with an interrupted run.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A .csv or .jsonl file, a row an epoch.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Train a net on real data and write it as an artefact.

    The state is saved after every epoch, and on Ctrl-C, beside the output (m.ckpt); --resume goes
    on with its options to the same bits as if nothing had happened. Under torchrun the processes
    are one run: each takes a share of every batch, and any number of them may go on with it.

    \b
    netdsl train lenet --data mnist5k:pad=2 -o lenet.netc
    netdsl train lenet --data mnist5k:pad=2 -o lenet.netc --resume lenet.ckpt
    torchrun --nproc-per-node 2 -m netdsl train lenet --data digits -o m.netc
    """
    given = {
        "epochs": epochs,
        "batch": batch,
        "optim": optim,
        "lr": lr,
        "momentum": momentum,
        "decay": decay,
        "loss": loss,
        "metric": metric,
        "weight": options.factors(weight) or None,
        "clip": clip,
        "seed": seed,
        "amp": amp,
    }
    if not output.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {output.parent}", param_hint="-o")

    from netdsl import datasets
    from netdsl import training as trainer

    with trainer.joined() as first:
        dataset = datasets.load(data)
        before = trainer.stored_options(resume) if resume else trainer.Options()
        wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        chosen = replace(before, **wanted)
        if first:
            screen.say(trainer.description(dataset, chosen))
        model = options.load(target, hyper, weights, renaming, partial, seed=chosen.seed)
        trainer.check_fit(model.graph, dataset, chosen)
        checkpoint = output.with_suffix(".ckpt")
        places = {"checkpoint": checkpoint, "resume": resume, "log": log}
        try:
            with progress(chosen.resolved(dataset)) if first else _silence() as report:
                history = trainer.train(model, dataset, chosen, report=report, **places)
        except trainer.Interrupted as stopped:
            place = f"epoch {stopped.epoch}, step {stopped.step}"
            if first:
                screen.say(f"saved at {place}: the same command with --resume {checkpoint} goes on")
            raise
        if first:
            model.eval()
            model.save(output)
            checkpoint.unlink()
            _tell(history, dataset, output, json)


def evaluate(
    target: options.Runnable,
    data: options.Data,
    hyper: options.Hyper = None,
    weights: options.Weights = None,
    renaming: options.Renaming = None,
    partial: options.Partial = False,
    metric: Annotated[
        list[str] | None, typer.Option(help="accuracy, top5, mse, mae or package:function.")
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="ce, nll, mse, l1 or package:function (by the data).")
    ] = None,
    json: options.Json = False,
) -> None:
    """Measure a net on the held-out examples of a data set.

    \b
    netdsl eval lenet.netc --data mnist5k:pad=2
    """
    from netdsl import datasets
    from netdsl import training as trainer
    from netdsl.training.measures import LOSSES, METRICS, find

    dataset = datasets.load(data)
    plain = trainer.Options(loss=loss or "").resolved(dataset)
    screen.say(trainer.description(dataset, plain))
    model = options.load(target, hyper, weights, renaming, partial)
    trainer.check_fit(model.graph, dataset, plain)
    loss_of = find("loss", plain.loss, LOSSES)
    names = metric or [plain.metric]
    found = {}
    for name in names:
        lost, found[name] = trainer.evaluate(model, dataset, loss_of, find("metric", name, METRICS))
    values = {"examples": len(dataset.x_test), plain.loss: lost, **found}
    if json:
        screen.show_json(values)
        return
    for name, value in values.items():
        print(f"{name:<10} {measure(name, value)}")


SHARES = ("accuracy", "top5")


def measure(name: str, value: float) -> str:
    """A value of a metric as people read it: 96.1 % of a share, else four digits."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{100 * value:.1f} %" if name in SHARES else f"{value:.4g}"


@contextmanager
def progress(chosen: Options, what: str = "", *, lasting: bool = True) -> Iterator[Report]:
    """On stderr a line an epoch, and where it is a terminal a bar for the running one; not
    `lasting`: the bar alone."""

    from netdsl.training import Epoch

    def line(told: Epoch) -> str:
        shown = measure(chosen.metric, told.metric)
        return (
            f"{what}epoch {told.epoch:>{len(str(chosen.epochs))}}/{chosen.epochs}   "
            f"loss {told.loss:.4f}   test loss {told.test_loss:.4f}   "
            f"{chosen.metric} {shown}   {screen.seconds(told.seconds)}"
        )

    console = screen.err()
    if not console.is_terminal:
        yield lambda told: screen.say(line(told)) if lasting and isinstance(told, Epoch) else None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def report(told: Step | Epoch) -> None:
            if isinstance(told, Epoch):
                if lasting:
                    console.print(line(told))
            else:
                text = f"{what}epoch {told.epoch}/{chosen.epochs}"
                bar.update(task, description=text, completed=told.step, total=told.steps)

        yield report


@contextmanager
def _silence() -> Iterator[Report]:
    """The report of a process that is not the first."""
    yield lambda told: None


def _tell(history: History, dataset: Dataset, output: Path, json: bool) -> None:
    if json:
        rows = [asdict(row) for row in history.rows]
        screen.show_json(
            {"options": asdict(history.options), "epochs": rows, "output": str(output)}
        )
        return
    options_, spent = history.options, sum(row.seconds for row in history.rows)
    print(
        f"{options_.metric} {measure(options_.metric, history.metric)} on "
        f"{len(dataset.x_test):,} held-out examples after {len(history.rows)} epochs, "
        f"{screen.seconds(spent)}\n{output}: {screen.size(output.stat().st_size)}"
    )
