"""Whether a data set fits a net and a loss, said before anything runs, with the fix."""

from __future__ import annotations

from netdsl.datasets import Dataset, adapter_for
from netdsl.ir import Graph
from netdsl.op import Type
from netdsl.training.measures import ONE_HOT, TrainingError
from netdsl.training.options import Options

OF_CLASSES = ("ce", "nll", *ONE_HOT)


def check_fit(graph: Graph, dataset: Dataset, options: Options) -> None:
    """Raise a `TrainingError` with the fix where net, data and loss do not fit."""
    if len(graph.inputs) != 1:
        names = ", ".join(op.key for op in graph.inputs)
        raise TrainingError(
            f"{graph.name} takes {len(graph.inputs)} inputs ({names}), a data set has one; "
            "train it from Python (netdsl.load)"
        )
    (taken,) = graph.inputs
    wanted = [size if isinstance(size, int) else None for size in taken.type.shape[1:]]
    fix = adapter_for(dataset.x_train.shape[1:], wanted)
    if fix:
        shape = Type(("N", *dataset.x_train.shape[1:]))  # type: ignore[arg-type]
        raise TrainingError(
            f"{graph.name} takes {taken.key}: {taken.type}, "
            f"but {dataset.name} has samples {shape}: {fix}"
        )
    outputs = graph.outputs[0].value.type
    if not dataset.classes or options.resolved(dataset).loss not in OF_CLASSES:
        return
    given = outputs.shape[1] if outputs.rank == 2 else None
    if isinstance(given, int) and given < dataset.classes:
        raise TrainingError(
            f"{dataset.name} has {dataset.classes} classes, but {graph.name} gives {outputs}: "
            f"add `-D classes={dataset.classes}`, or what its number of outputs is called"
        )


def description(dataset: Dataset, options: Options) -> str:
    """The first line of a run: all that is done to the data."""
    one_hot = dataset.classes and options.resolved(dataset).loss in ONE_HOT
    return dataset.description + (", classes one-hot" if one_hot else "")
