"""Copies of a net that differ in backend, dtype or outputs only, and what one run of them gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from netdsl.ir import Graph
from netdsl.module import NetModule

# ("output" | "gradient" | "buffer", name) -> tensor: outputs in order, gradients backwards
Results: TypeAlias = dict[tuple[str, str], Tensor]


def twin(model: NetModule, graph: Graph, backend: str, dtype: torch.dtype) -> NetModule:
    """The model's weights under another graph, backend and dtype; the model shares no memory."""
    with torch.device("meta"):
        made = NetModule(graph, backend=backend, off=model.off, ops=model.ops)
    state = {
        key: value.detach().to(dtype if value.is_floating_point() else value.dtype, copy=True)
        for key, value in model.state_dict().items()
    }
    made.load_state_dict(state, assign=True)
    return made


def run(
    net: NetModule,
    inputs: Mapping[str, Tensor],
    dtype: torch.dtype,
    *,
    training: bool,
    gradients: bool,
    seed: int,
) -> Results:
    """One call, and its gradients for a random cotangent; the same seed, the same numbers."""
    net.train(training)
    given = [x.to(dtype) if x.is_floating_point() else x for x in inputs.values()]
    wanted: dict[str, Tensor] = {}
    if gradients:
        wanted |= {k: x.requires_grad_() for k, x in zip(inputs, given, strict=True) if _float(x)}
        wanted |= {key: p for key, p in net.named_parameters() if p.requires_grad}
    torch.manual_seed(seed)
    with torch.set_grad_enabled(gradients):
        outputs = named(net(*given))
    results: Results = {("output", name): y.detach() for name, y in outputs}
    if gradients:
        generator = torch.Generator().manual_seed(seed)
        floats = [y for _, y in outputs if y.requires_grad]
        cotangents = [torch.randn(y.shape, generator=generator).to(dtype) for y in floats]
        found = torch.autograd.grad(floats, list(wanted.values()), cotangents, allow_unused=True)
        for key, gradient in reversed(list(zip(wanted, found, strict=True))):
            if gradient is not None:
                results["gradient", key] = gradient.detach()
    if training:
        results |= {("buffer", key): b.detach().clone() for key, b in net.named_buffers()}
    return results


def _float(x: Tensor) -> bool:
    return x.is_floating_point()


def named(result: Any) -> list[tuple[str, Tensor]]:
    """The outputs of a call by name; outputs that are absent in eval are left out."""
    if isinstance(result, Tensor):
        return [("return", result)]
    fields = getattr(result, "_fields", tuple(map(str, range(len(result)))))
    return [(name, y) for name, y in zip(fields, result, strict=True) if y is not None]
