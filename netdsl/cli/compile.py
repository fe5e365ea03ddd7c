"""`netdsl compile` and `netdsl inspect`: a net into an artefact, and what an artefact holds."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netdsl.cli import options, screen

if TYPE_CHECKING:
    from netdsl.ir import Graph

DTYPES = ("float32", "float64", "bfloat16", "float16")


def compile(
    target: options.Runnable,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="m.netc", help="The artefact to write.")
    ] = None,
    hyper: options.Hyper = None,
    weights: options.Weights = None,
    renaming: options.Renaming = None,
    partial: options.Partial = False,
    dtype: Annotated[str, typer.Option(metavar="|".join(DTYPES), help="Of the weights.")] = "",
    seed: options.Seed = 0,
    dump_after: Annotated[
        str, typer.Option(metavar="PASS", help="Print the graph as it is after a pass.")
    ] = "",
    json: options.Json = False,
) -> None:
    """Compile a net into an artefact, one safetensors file.

    It holds the weights, the source text, and how it was compiled. Weights are random where none
    are given. --dump-after prints a graph and needs no -o.

    \b
    netdsl compile resnet --weights resnet50.safetensors -o resnet.netc
    netdsl compile my.net --weights theirs.pt --map map.json --partial -o my.netc
    netdsl compile lenet --dump-after fuse-pointwise
    """
    if output is None and not dump_after:
        raise typer.BadParameter("say where to write it (-o m.netc), or use --dump-after PASS")
    if dtype and dtype not in DTYPES:
        raise typer.BadParameter(f"the dtype is one of {', '.join(DTYPES)}, not `{dtype}`")

    import torch

    from netdsl import compiler

    if dump_after and dump_after not in compiler.STAGES:
        raise typer.BadParameter(f"the stages are {', '.join(compiler.STAGES)}, not `{dump_after}`")
    model = options.load(target, hyper, weights, renaming, partial, seed=seed)
    if dump_after:
        print(compiler.dump(model.graph, after=dump_after))
    if output is None:
        return
    model = model.to(getattr(torch, dtype)) if dtype else model
    model.eval()
    model.save(output)
    done = {
        "net": model.graph.name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "nodes": _nodes(model.graph),
        "passes": _passes(model.graph),
        "graph": model.graph.digest,
        "output": str(output),
        "bytes": output.stat().st_size,
    }
    screen.show_json(done) if json else _tell(done)


def _passes(graph: Graph) -> list[dict[str, Any]]:
    """What each pass makes of the net for inference, by number of nodes; those that change it."""
    from netdsl.pipeline import PASSES, lower

    docs = {name: entry.doc for name, entry in PASSES.items()}
    found: list[dict[str, Any]] = []
    stages: list[tuple[str, Graph]] = []
    lower(graph, seen=lambda name, stage: stages.append((name, stage)))
    for (_, before), (name, after) in pairwise(stages):
        doc = docs.get(name.partition(":")[0])
        if after is not before and doc:
            counts = {"before": _nodes(before), "after": _nodes(after)}
            found.append({"pass": name, **counts, "doc": doc})
    return found


def _nodes(graph: Graph) -> int:
    """How many nodes compute something."""
    from netdsl.ir import Source

    return sum(not isinstance(node.op, Source) for _, node in graph.items)


def _tell(done: dict[str, Any]) -> None:
    console = screen.out()
    console.print(f"{done['net']}: {done['parameters']:,} parameters, {done['nodes']} stages")
    console.print()
    rows = [(p["pass"], str(p["before"]), str(p["after"]), p["doc"]) for p in done["passes"]]
    columns = ("pass", "nodes", "after", "")
    table = screen.table(columns, rows, right=("nodes", "after"), folded=("",))
    console.print(table if rows else "no pass changes it")
    console.print()
    console.print(f"graph {done['graph'][:16]}")
    console.print(f"{done['output']}: {screen.size(done['bytes'])}")


def inspect(
    file: Annotated[Path, typer.Argument(metavar="m.netc", help="An artefact.")],
    source: Annotated[bool, typer.Option("--source", help="Print the source text, only.")] = False,
    json: options.Json = False,
) -> None:
    """Say what an artefact holds, without running any of it.

    \b
    netdsl inspect lenet.netc
    netdsl inspect lenet.netc --source > lenet.net
    """
    from netdsl import artifact, front
    from netdsl.cli.show import signature
    from netdsl.errors import NetError, Source
    from netdsl.show import summary

    opened = artifact.read(file)
    manifest = opened.manifest
    if source:
        print(manifest.files[manifest.root], end="")
        return
    weights = [
        (key, str(dtype).removeprefix("torch."), str(list(shape)))
        for key, (dtype, shape) in opened.specs.items()
    ]
    texts = {key: Source(key, text) for key, text in manifest.files.items()}
    try:
        graph = front.build(front.Sources(manifest.root, texts), manifest.net, manifest.hyper)
    except NetError as error:
        raise artifact.ArtifactError(f"{file}: its text does not compile\n{error}") from None
    held = {
        "file": str(file),
        "bytes": file.stat().st_size,
        "hash": opened.hash,
        **manifest.as_json(),
        "net": graph.name,
        "weights": {
            key: {"dtype": str(dtype).removeprefix("torch."), "shape": list(shape)}
            for key, (dtype, shape) in opened.specs.items()
        },
    }
    if json:
        screen.show_json(held)
        return
    console = screen.out()
    facts = {
        "file": f"{file} ({screen.size(held['bytes'])}, format {held['format']})",
        "net": signature(summary(graph)),
        "source": ", ".join(manifest.files),
        "hyper": _settings(manifest.hyper),
        "taps": ", ".join(manifest.outputs or ()) or "-",
        "options": _settings(manifest.options),
        "hash": opened.hash,
    }
    for name, value in facts.items():
        console.print(f"{name:<9}{value}")
    console.print()
    console.print(screen.table(("weight", "dtype", "shape"), weights))


def _settings(given: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in given.items()) or "-"
