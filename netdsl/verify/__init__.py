"""The compiled net against the reference interpreter in float64, by layer, forward and backward.

Same shape, the same NaN and Inf, then |got - ref| <= tol · (rms(ref) + |ref|) for every element.
The net as it runs (fused, folded) gives outputs, gradients and buffers; stages are compared in a
net that shows them all. Where the outputs are wrong and no stage is, because only the fused net is
wrong, a search over nets that show one stage finds the first that is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from netdsl.ir import Graph, Output, Source
from netdsl.module import NetModule
from netdsl.op import Value
from netdsl.rewrite import rebuild
from netdsl.verify.compare import ILL_CONDITIONED, TOLERANCES, Row, error, worst, zero_scales
from netdsl.verify.inputs import random_inputs
from netdsl.verify.twins import Results, run, twin

__all__ = ["RUNS", "TOLERANCES", "Report", "Row", "verify", "worst"]

# run -> (training, with gradients)
RUNS = {"inference": (False, False), "eval": (False, True), "training": (True, True)}

# (graph, backend, dtype, training, with gradients) -> what one call gives
Call: TypeAlias = Callable[[Graph, str, torch.dtype, bool, bool], Results]
Stages: TypeAlias = Sequence[tuple[str, Value]]


@dataclass(frozen=True)
class Report:
    """Every comparison: stages in the order of the graph, outputs, gradients backwards, buffers."""

    net: str
    inputs: Mapping[str, tuple[int, ...]]
    layers: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def first_bad(self) -> Row | None:
        """Where it first goes wrong, forward before backward."""
        return next((row for row in self.rows if not row.good), None)

    @property
    def good(self) -> bool:
        return self.first_bad is None


def verify(
    model: NetModule,
    *,
    batch: int = 3,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    backward: bool = True,
    told: Callable[[str], None] = lambda what: None,
) -> Report:
    """Compare in inference, eval and training, in float64 and float32, on random inputs; the model
    itself stays as it is.

    `sizes`: numbers for names of the signature (see `random_inputs`); `told` hears what is being
    done. Raises `Problem` where the sizes do not fit the net.
    """
    inputs = random_inputs(model.graph, batch, sizes or {}, seed)

    def call(
        graph: Graph, backend: str, dtype: torch.dtype, training: bool, gradients: bool
    ) -> Results:
        net = twin(model, graph, backend, dtype)
        return run(net, inputs, dtype, training=training, gradients=gradients, seed=seed)

    stages = _stages(model.graph)
    rows: list[Row] = []
    with torch.random.fork_rng():
        for name, (training, gradients) in RUNS.items():
            if training or not gradients:
                told(f"stages, {name}")
                rows += _stage_rows(name, call, model.graph, stages, training)
            if training or not gradients or backward:
                told(f"net, {name}")
                rows += _rows(name, call, model.graph, training, gradients and backward)
        rows.sort(key=lambda row: ORDER.index(row.what))
        first = next((row for row in rows if not row.good), None)
        if first and first.what == "output":
            told("searching for the first wrong stage")
            rows = [*_blamed(first, call, model.graph, stages), *rows]
    layers = tuple(dict.fromkeys(path for path, _ in stages))
    shapes = {key: tuple(x.shape) for key, x in inputs.items()}
    return Report(model.graph.name, shapes, layers, tuple(rows))


ORDER = ("forward", "output", "gradient", "buffer")


def _stages(graph: Graph) -> Stages:
    """The path and first result of everything that is computed."""
    return [
        (node.path, graph.results(n)[0])
        for n, node in graph.items
        if not isinstance(node.op, Source)
    ]


def _showing(graph: Graph, stages: Stages) -> Graph:
    """The graph with the values of these stages as its outputs, and nothing else changed."""
    taps = tuple(Output(str(i), value, "tap") for i, (_, value) in enumerate(stages))
    return rebuild(graph, outputs=taps)


def _stage_rows(name: str, call: Call, graph: Graph, stages: Stages, training: bool) -> list[Row]:
    """The rows of every stage, in a net that shows them all."""
    rows = _rows(name, call, _showing(graph, stages), training, False)
    shown = [row for row in rows if row.what == "output"]
    return [replace(row, layer=stages[int(row.name)][0], what="forward", name="") for row in shown]


def _rows(name: str, call: Call, graph: Graph, training: bool, gradients: bool) -> Iterator[Row]:
    """The rows of one run of a graph, in every dtype."""
    exact = call(graph, "reference", torch.float64, training, gradients)
    scales = zero_scales(exact)
    for dtype in TOLERANCES:
        got = call(graph, "auto", dtype, training, gradients)
        same = dtype is torch.float64
        own = exact if same else call(graph, "reference", dtype, training, gradients)
        yield from _compared(name, dtype, got, own, exact, scales)
        del got, own  # a net's gradients can be gigabytes


def _compared(
    name: str,
    dtype: torch.dtype,
    got: Results,
    own: Results,
    exact: Results,
    scales: Mapping[tuple[str, str], float],
) -> Iterator[Row]:
    """The rows of what was got; `own` is what the reference itself gives in that dtype."""
    allowed = dict(TOLERANCES[dtype])
    for result, ref in exact.items():
        what, key = result
        scale = scales.get(result, 0.0)
        ill = ILL_CONDITIONED * error(own[result], ref, scale)
        allowed[what] = max(allowed[what], ill)
        found = error(got[result], ref, scale) if result in got else math.inf
        layer = "" if what == "output" else key.rpartition(".")[0]
        yield Row(layer, what, key, name, _text(dtype), found, allowed[what])


def _blamed(first: Row, call: Call, graph: Graph, stages: Stages) -> list[Row]:
    """The first wrong stage of the net as it runs, by bisection: past it all are wrong."""
    training, gradients = RUNS[first.run]
    dtype = getattr(torch, first.dtype)

    def shown(i: int) -> Row:
        one = _showing(graph, stages[i : i + 1])
        ref = call(one, "reference", torch.float64, training, gradients)["output", "0"]
        y = call(one, "auto", dtype, training, gradients)["output", "0"]
        path = stages[i][0]
        return Row(path, "forward", "", first.run, first.dtype, error(y, ref), first.tolerance)

    low, high = 0, len(stages) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if not shown(middle).good else (middle + 1, high)
    found = shown(low)
    return [] if found.good else [found]


def _text(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
