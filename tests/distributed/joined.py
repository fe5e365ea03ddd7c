"""Training steps on one process with the joined batch, and on two with a share of it each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

import netdsl
from netdsl.module import NetModule

EXACT = {"rtol": 1e-9, "atol": 1e-12}

CONV = """netdsl 1
net Conv(x: [N, 3, 9, 9]) {
  return x -> conv(6, 3) -> relu -> max_pool(2) -> conv(4, 3) -> relu -> flatten -> linear(5)
}
"""
LAYER_NORM = """netdsl 1
net LayerNorm(x: [N, 7]) {
  return x -> linear(8) -> ln -> gelu -> linear(6) -> ln -> linear(5)
}
"""
BATCH_NORM = """netdsl 1
net BatchNorm(x: [N, 3, 9, 9]) {
  h = x -> conv(6, 3, bias=false) -> bn -> relu
  return h -> conv(4, 3) -> bn(momentum=none) -> sigmoid -> tanh -> global_avg_pool
           -> bn(affine=false) -> linear(5) -> bn(track=false)
}
"""


def made(text: str) -> NetModule:
    """The net in float64, the same numbers in every process."""
    return netdsl.loads(text, seed=0).double()


def batch(model: NetModule, examples: int = 6) -> Tensor:
    """A whole batch, the same in every process; its statistics are not those of its halves."""
    sizes = model.graph.inputs[0].type.shape[1:]
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(examples, *sizes, generator=generator, dtype=torch.float64)
    return x + torch.arange(examples, dtype=torch.float64).reshape(-1, *[1 for _ in sizes])


def losses(y: Tensor) -> Tensor:
    """A number for each example."""
    return (y.sin() + y.square()).flatten(1).sum(1)


def step(
    call: Callable[[Tensor], Tensor], x: Tensor, shares: Sequence[slice] = (slice(None),)
) -> None:
    """Add the gradients of the mean loss over each share of the examples."""
    for share in shares:
        losses(call(x[share])).mean().backward()


def assert_same_gradients(model: nn.Module, alone: nn.Module) -> None:
    expected = dict(alone.named_parameters())
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, expected[name].grad, **EXACT, msg=named(name))


def assert_same_numbers(model: nn.Module, alone: nn.Module) -> None:
    expected = alone.state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], **EXACT, msg=named(name))


def named(name: str) -> Callable[[str], str]:
    return lambda message: f"{name}: {message}"
