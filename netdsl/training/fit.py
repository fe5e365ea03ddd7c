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
    names = ", ".join(op.key for op in graph.inputs)
    more = [(op.type.dtype, op.type.rank) for op in graph.inputs[1:]]
    if dataset.lengths_train is not None and more != [("int", 1)]:
        raise TrainingError(
            f"{dataset.name} has sequences and their lengths, but {graph.name} takes {names}: "
            "add `n: int[N]` behind the sequences, and `recur t in 1..n`"
        )
    if dataset.lengths_train is None and len(graph.inputs) != 1:
        raise TrainingError(
            f"{graph.name} takes {len(graph.inputs)} inputs ({names}), {dataset.name} has one; "
            "train it from Python (netdsl.load)"
        )
    taken = graph.inputs[0]
    if (taken.type.dtype == "int") != (dataset.x_train.dtype.kind == "i"):
        has = "symbols" if dataset.x_train.dtype.kind == "i" else "no symbols but numbers"
        raise TrainingError(
            f"{graph.name} takes {taken.key}: {taken.type}, but {dataset.name} has {has}"
        )
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
    given = outputs.shape[-1] if outputs.rank == 1 + dataset.y_train.ndim else None
    if isinstance(given, int) and given < dataset.classes:
        raise TrainingError(
            f"{dataset.name} has {dataset.classes} classes, but {graph.name} gives {outputs}: "
            f"add `-D classes={dataset.classes}`, or what its number of outputs is called"
        )


def description(dataset: Dataset, options: Options) -> str:
    """The first line of a run: all that is done to the data."""
    one_hot = dataset.classes and options.resolved(dataset).loss in ONE_HOT
    return dataset.description + (", classes one-hot" if one_hot else "")
