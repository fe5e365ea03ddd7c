"""The compiler, as a table of contents: a text to a graph, a graph to a module, a module to a file.

model = load("resnet", hyper={"depth": 101})     # text -> syntax -> graph -> module
model.save("m.netc"); model = load("m.netc")    # module -> artefact -> module, in eval
print(dump(graph, "fuse-pointwise"))             # any stage of the pipeline
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from netdsl import artifact, front, pipeline
from netdsl.artifact import ArtifactError, Manifest
from netdsl.errors import NetError, Source
from netdsl.externs import externs_of, under
from netdsl.front import Sources
from netdsl.ir import Graph
from netdsl.modes import modal_paths
from netdsl.module import NetModule
from netdsl.sources import given
from netdsl.taps import tap
from netdsl.weights import Filled, fill

Ops: TypeAlias = Mapping[str, Callable[..., Any]]

STAGES = ("elaborate", "specialise", "differentiate", *pipeline.PASSES)


def load(
    target: str | Path,
    *,
    hyper: Mapping[str, object] | None = None,
    outputs: Sequence[str] | None = None,
    backend: str = "auto",
    weights: str | Path | None = None,
    renaming: str | Path | None = None,
    partial: bool = False,
    told: Callable[[Filled], None] | None = None,
    ops: Ops | None = None,
    seed: int | None = None,
) -> NetModule:
    """A net as an nn.Module on the CPU.

    target   a .net file, a shipped model's name, `F:Net`, or a .netc artefact (comes back in eval)
    hyper    hyper-parameters by name
    outputs  paths of stages to return instead of the net's own outputs
    backend  "auto", or "reference": node by node with torch's autograd
    weights  a safetensors or torch file of a state_dict
    renaming a JSON table, keys of the net to keys of that file (`netdsl keys --write` makes one)
    partial  take from the file what fits; by default every key must be there and no other
    told     hears which keys were taken and which kept their initial values (by default a partial
             load says it in a warning)
    ops      functions and nn.Modules for the text's `extern`s, by name; they take tensors in the
             order of the declaration and its hyper-parameters by name
    seed     of the initial weights of a text; torch's own generator stays as it is (None: drawn
             from that one)

    Raises `NetError` for a mistake in the text, `ArtifactError` for a damaged artefact,
    `WeightsError` for weights that do not fit.
    """
    if Path(target).suffix == ".netc":
        if hyper or weights is not None:
            raise ValueError(
                f"{target} has its hyper-parameters and weights: to change them, load the .net "
                "file, or use load_state_dict"
            )
        return _open(Path(target), outputs, backend, ops)
    sources, net = front.read(target)
    model = _module(sources, net, hyper, outputs, backend, ops, seed)
    if weights is not None:
        whole = model.graph if outputs is None else front.build(sources, net, hyper)
        beyond = {p.key for p in whole.parameters}  # taps need a part of the net
        filled = fill(model, weights, renaming=renaming, partial=partial, unused=beyond)
        if told is not None:
            told(filled)
        elif filled.kept:
            warnings.warn(f"{weights}: {filled}", stacklevel=2)
    return model


def loads(
    text: str,
    *,
    net: str | None = None,
    hyper: Mapping[str, object] | None = None,
    outputs: Sequence[str] | None = None,
    backend: str = "auto",
    ops: Ops | None = None,
    seed: int | None = None,
) -> NetModule:
    """A net whose text is at hand; otherwise as `load`."""
    return _module(given(text, "<text>"), net, hyper, outputs, backend, ops, seed)


def _module(
    sources: Sources,
    net: str | None,
    hyper: Mapping[str, object] | None,
    outputs: Sequence[str] | None,
    backend: str,
    ops: Ops | None,
    seed: int | None,
) -> NetModule:
    graph = front.build(sources, net, hyper)
    if outputs is not None:
        graph = tap(graph, outputs)
    texts = {key: source.text for key, source in sources.files.items()}
    manifest = Manifest(net, sources.root, texts, dict(hyper or {}), outputs)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return NetModule(graph, manifest, backend=backend, ops=ops)


def _open(path: Path, outputs: Sequence[str] | None, backend: str, ops: Ops | None) -> NetModule:
    """The module of an artefact: its text compiled again, its tensors compared, then adopted."""
    opened = artifact.read(path)
    said = opened.manifest
    sources = Sources(said.root, {key: Source(key, text) for key, text in said.files.items()})
    try:
        graph = front.build(sources, said.net, said.hyper)
        if said.outputs is not None:
            graph = tap(graph, said.outputs)
    except (NetError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged, its text does not compile:\n{error}") from None
    declared = {p.key: p.type for p in graph.parameters}
    types, externs = opened.types(), externs_of(graph)
    if {key: t for key, t in types.items() if not under(key, externs)} != declared:
        raise ArtifactError(f"{path}: damaged: its tensors are not those of its text")
    if outputs is not None:
        graph, said = tap(graph, outputs), replace(said, outputs=list(outputs))
    weights = opened.weights()
    model = NetModule(graph, said, backend=backend, ops=ops, weights=weights)
    if externs:
        _load_externs(model, externs_of(graph), weights, path)
    return model.eval()


def _load_externs(
    model: NetModule, externs: Collection[str], weights: Mapping[str, Tensor], path: Path
) -> None:
    """The tensors of supplied modules, which the text does not know."""
    own = {key: t for key, t in weights.items() if under(key, externs)}
    lacking = [k for k in model.state_dict() if under(k, externs) and k not in own]
    try:
        found = model.load_state_dict(own, strict=False)
    except RuntimeError as error:
        raise ArtifactError(f"{path}: the modules of ops= do not fit: {error}") from None
    surplus = [key for key in found.unexpected_keys if under(key, externs)]
    if lacking or surplus:
        raise ArtifactError(
            f"{path}: the modules of ops= are not those it was saved with: "
            f"{', '.join([*lacking, *surplus][:5])}"
        )


def dump(
    graph: Graph,
    after: str,
    *,
    training: Iterable[str] | None = None,
    wanted: Iterable[str] | None = None,
) -> str:
    """The text of the graph after a stage: `elaborate`, `specialise`, `differentiate` or a pass.

    By default of inference; of a training step (everything in training mode, every parameter's
    gradient wanted) where `differentiate` is asked for.
    """
    if after not in STAGES:
        raise ValueError(f"no stage is called {after!r}; there are {', '.join(STAGES)}")
    step = after == "differentiate"
    if training is None:
        training = modal_paths(graph) if step else ()
    if wanted is None:
        wanted = [p.key for p in graph.parameters if not p.buffer] if step else ()
    found: list[str] = []

    def seen(name: str, stage: Graph) -> None:
        if name.partition(":")[0] == after:
            found.append(stage.text())

    pipeline.lower(graph, training=tuple(training), wanted=tuple(wanted), seen=seen)
    return "\n".join(found)
