"""Every op under autocast: the dtypes that the graph says are those that the kernels give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from cases import CASES, Case
from torch import Tensor

from netdsl.backends.torch import TorchBackend
from netdsl.differentiate import differentiate
from netdsl.ir import Builder, Constant, Graph, Input, Output, Parameter, Source
from netdsl.modes import specialise
from netdsl.ops.cast import Autocast
from netdsl.passes.autocast import autocast
from netdsl.rewrite import with_sizes

DTYPES = {
    "float": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "int": torch.int64,
    "bool": torch.bool,
}
LAYERS = [case for case in CASES if case.op.layer]
# The CPU has no kernels in low precision for what only its own policy runs in float32.
RUNS = [
    (c, d) for d in ("cpu", "cuda") for c in LAYERS if d == "cpu" or c.op.autocast_cuda != "promote"
]


@pytest.mark.parametrize(("case", "device"), RUNS, ids=str)
def test_the_types_of_a_graph_with_casts_are_those_of_its_tensors(case: Case, device: str) -> None:
    for graph in _graphs(case):
        inputs = [op.key for op in graph.inputs if op.type.floating]
        wanted = [*inputs, *[op.key for op in graph.parameters if op.type.floating]]
        for low in ((), inputs, wanted):
            mixed = autocast(
                graph, Autocast("bfloat16", device, tuple((k, "bfloat16") for k in low))
            )
            _check(differentiate(mixed, wanted))


def _graphs(case: Case) -> Iterator[Graph]:
    """The layer alone, in each mode."""
    b = Builder("net")
    count = len(case.example.operands) - len(case.op.constants)
    operands = case.example.operands[:count]
    tensors = [b(Input(t, f"x{i}")) for i, t in enumerate(operands)]
    with b.at("layer", None):
        results = b.layer(case.op, *tensors)
    graph = b.build(tuple(Output(f"y{i}", y) for i, y in enumerate(results)))
    for training in ((), ("layer",)):
        for synced in (None, ""):
            moded = specialise(graph, training, synced)
            if synced is None or training:
                yield moded


def _check(graph: Graph) -> None:
    """Run by the kernels of the plans every value has its type; a gradient has that of its own."""
    backend = TorchBackend(torch.float32, torch.device("cpu"))
    made: dict[int, tuple[Tensor, ...]] = {}
    own = {op.key: op.type for _, op in graph.sources(Source) if isinstance(op, Input | Parameter)}
    for n, node in with_sizes(graph, {}).items:
        if isinstance(node.op, Constant):
            made[n] = (torch.tensor(node.op.value),)
        elif isinstance(node.op, Source):
            type = node.types[0]
            made[n] = ((torch.rand(type.shape) + 0.5).to(DTYPES[type.dtype]),)
        else:
            types = tuple(v.type for v in graph.operands(n))
            kernel = backend.kernel(node, types, (True,) * len(node.types))
            results = kernel(*[made[v.node][v.result] for v in graph.operands(n)])
            made[n] = results if isinstance(results, tuple) else (results,)
        for y, type in zip(made[n], node.types, strict=True):
            assert y.dtype == DTYPES[type.dtype], f"{node.op.describe()}: {y.dtype}, not {type}"
    for out in graph.outputs:
        if out.role == "gradient":
            assert out.value.type.dtype == own[out.name].dtype
