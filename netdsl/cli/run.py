"""`netdsl run`: one call of a net or an artefact on arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netdsl.cli import options, screen
from netdsl.cli.failure import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from netdsl.ir import Graph, Input

SHOWN = 10


def run(
    target: options.Runnable,
    input: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="x=x.npy|random", help="An input; may repeat."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="out.npz", help="Write the results.")
    ] = None,
    tap: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Give this stage's result instead; may repeat."),
    ] = None,
    hyper: options.Hyper = None,
    weights: options.Weights = None,
    renaming: options.Renaming = None,
    partial: options.Partial = False,
    size: options.Sizes = "",
    seed: options.Seed = 0,
    json: options.Json = False,
) -> None:
    """Call a net once, in eval mode, and say or write what it gives.

    Random inputs are standard normal, one example unless --size says otherwise.

    \b
    netdsl run lenet.netc --input x=x.npy -o out.npz
    netdsl run resnet --input x=random --size N=2,H=224,W=224 --tap layer3.5
    """
    given = dict(options.pairs(input or (), "--input x=x.npy"))
    import torch

    from netdsl.verify.twins import named

    loaded = options.load(target, hyper, weights, renaming, partial, seed=seed, taps=tap or None)
    model = loaded.eval()
    inputs = _inputs(model.graph, given, options.sizes_of(model.graph, size), seed)
    with torch.no_grad():
        results = dict(named(model(*inputs)))
    if tap:
        results = dict(zip(tap, results.values(), strict=True))
    if output is not None:
        _write(output, results)
    facts = {name: _facts(y) for name, y in results.items()}
    screen.show_json(facts) if json else _tell(facts)
    if output is not None:
        screen.say(f"{output}: {screen.size(output.stat().st_size)}")


def _inputs(
    graph: Graph, given: Mapping[str, str], sizes: Mapping[str, int], seed: int
) -> list[Tensor]:
    """The tensors of the signature, in order."""
    from netdsl.errors import Problem
    from netdsl.verify.inputs import random_inputs

    names = [op.key for op in graph.inputs]
    missing = [name for name in names if name not in given]
    unknown = [name for name in given if name not in names]
    if missing or unknown:
        takes = ", ".join(f"{op.key}: {op.type}" for op in graph.inputs)
        wrong = f"no input is called {unknown[0]}" if unknown else f"input {missing[0]} is missing"
        raise Refused(f"{wrong}: the net takes {takes}, as in --input {names[0]}=random")
    drawn: Mapping[str, Tensor] = {}
    if "random" in given.values():
        try:
            drawn = random_inputs(graph, 1, sizes, seed)
        except Problem as problem:
            raise Refused(f"a random input does not fit, say its --size: {problem}") from None
    return [
        drawn[op.key] if given[op.key] == "random" else _read(op, given[op.key])
        for op in graph.inputs
    ]


def _read(op: Input, path: str) -> Tensor:
    import numpy as np
    import torch

    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        array = None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise Refused(f"{path} is not an .npy file of numbers (numpy.save writes them)")
    wanted = {"float": np.float32, "int": np.int64, "bool": np.bool_}[op.type.dtype]
    return torch.from_numpy(array.astype(wanted))


def _write(path: Path, results: Mapping[str, Tensor]) -> None:
    import numpy as np

    from netdsl.files import replacing

    with replacing(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {name: y.numpy() for name, y in results.items()}
        np.savez(file, **arrays)


def _facts(y: Tensor) -> dict[str, Any]:
    """Shape, dtype and spread of a result, and its numbers where they are few."""
    numbers = y.double().flatten()
    spread = {"min": numbers.min(), "mean": numbers.mean(), "max": numbers.max()}
    return {
        "shape": list(y.shape),
        "dtype": str(y.dtype).removeprefix("torch."),
        **{name: float(value) for name, value in spread.items()},
        "values": y.tolist() if y.numel() <= SHOWN else None,
    }


def _tell(facts: Mapping[str, Mapping[str, Any]]) -> None:
    console = screen.out()
    columns = ("output", "shape", "dtype", "min", "mean", "max")
    rows = [
        (name, str(f["shape"]), f["dtype"], *(f"{f[k]:.4g}" for k in ("min", "mean", "max")))
        for name, f in facts.items()
    ]
    console.print(screen.table(columns, rows, right=("min", "mean", "max")))
    for name, f in facts.items():
        if f["values"] is not None:
            console.print(f"\n{name} = {_rounded(f['values'])}")


def _rounded(values: Any) -> str:
    if isinstance(values, Iterable):
        return f"[{', '.join(map(_rounded, values))}]"
    return f"{values:.4g}"
