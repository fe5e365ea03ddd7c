"""A net with a recurrence against a loop of torch's own over the same numbers, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from textwrap import dedent

import torch
from tolerances import NET, assert_close, assert_gradients_close
from torch import Tensor

import netdsl

# (inputs, parameters by key) -> outputs
Loop = Callable[[Sequence[Tensor], Mapping[str, Tensor]], tuple[Tensor, ...]]
BACKENDS = ("auto", "reference")


def assert_is_loop(
    text: str, loop: Loop, inputs: Sequence[Tensor], backends: Sequence[str] = BACKENDS
) -> None:
    """Our plans and the interpreter give the loop's outputs and, each output alone as the loss, its
    gradients of all inputs and parameters."""
    for backend in backends:
        model = netdsl.loads(dedent(text), seed=0, backend=backend).double()
        scatter(model)
        own = {k: p.detach().clone().requires_grad_() for k, p in model.named_parameters()}
        theirs, ours = ([x.clone().requires_grad_() for x in inputs] for _ in range(2))
        expected = loop(theirs, own)
        for i, reference in enumerate(expected):
            note = f"{backend} output {i}"
            result = model(*ours)
            y = result if isinstance(result, Tensor) else result[i]
            assert_close(y, reference, NET, note)
            dy = torch.randn_like(reference)
            got = _gradients(y, dy, ours, dict(model.named_parameters()))
            wanted = _gradients(reference, dy, theirs, own)
            assert_gradients_close(got, wanted, NET)


@torch.no_grad()
def scatter(model: torch.nn.Module) -> None:
    """Parameters that do something: none is a 0 or 1 that hides what it multiplies."""
    for p in model.parameters():
        p.uniform_(-0.8, 0.8)


def _gradients(
    y: Tensor, dy: Tensor, inputs: Sequence[Tensor], parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    leaves = {**{f"input {i}": x for i, x in enumerate(inputs)}, **parameters}
    if not y.requires_grad:  # it follows from none of them
        return {key: torch.zeros_like(x) for key, x in leaves.items()}
    xs = list(leaves.values())
    found = torch.autograd.grad(y, xs, dy, retain_graph=True, materialize_grads=True)
    return dict(zip(leaves, found, strict=True))
