"""A net of ours and its torch.nn twin, with the same numbers in both, compared in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from tolerances import NET, assert_close, assert_gradients_close
from torch import Tensor, nn

import netdsl
from netdsl.module import NetModule


def pair(
    make: Callable[[], nn.Module], target: str, hyper: Mapping[str, object] | None = None
) -> tuple[NetModule, nn.Module]:
    """Our net in float64, its statistics and affine parameters drawn at random, and its twin."""
    torch.manual_seed(0)
    model = netdsl.load(target, hyper=hyper).double()
    scatter(model)
    return model, twin_of(model, make)


def twin_of(model: nn.Module, make: Callable[[], nn.Module]) -> nn.Module:
    """The twin with copies of the numbers, in the same order."""
    with torch.device("meta"):
        twin = make()
    copies = [t.clone() for t in model.state_dict().values()]
    twin.load_state_dict(dict(zip(twin.state_dict(), copies, strict=True)), assign=True)
    return twin


@torch.no_grad()
def scatter(model: nn.Module) -> None:
    """Normalisation that does something: numbers away from 0 and 1 where nets begin with them."""
    for name, t in model.state_dict().items():
        if name.endswith("running_mean"):
            t.normal_(0, 0.1)
        elif name.endswith("running_var") or (name.endswith("weight") and t.dim() == 1):
            t.uniform_(0.5, 1.5)
        elif name.endswith("bias"):
            t.uniform_(-0.1, 0.1)


def images(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def symbols(count: int, *shape: int) -> Tensor:
    return torch.randint(count, shape, generator=torch.Generator().manual_seed(1))


def assert_parity(model: nn.Module, twin: nn.Module, *inputs: Tensor) -> None:
    """Equal outputs, gradients of the inputs and of every parameter, and buffers after the call."""
    got, got_gradients = _step(model, inputs)
    expected, gradients = _step(twin, inputs)
    for i, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
        assert_close(ours, theirs, NET, f"output {i}")
    names = [*(f"input {i}" for i in range(len(inputs))), *(n for n, _ in model.named_parameters())]
    assert_gradients_close(_named(names, got_gradients), _named(names, gradients))
    assert_same_buffers(model, twin)


def assert_learns(model: nn.Module, loss: Callable[[], Tensor], rate: float) -> None:
    """Three steps of SGD, each of which lowers the loss."""
    optimiser = torch.optim.SGD(model.parameters(), rate)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    assert losses == sorted(losses, reverse=True), losses


def assert_same_buffers(model: nn.Module, twin: nn.Module) -> None:
    for (key, got), expected in zip(model.named_buffers(), twin.buffers(), strict=True):
        assert_close(got, expected, NET, key)


def _step(model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor | None]]:
    """The outputs, and the gradients of inputs and parameters for random cotangents."""
    model.zero_grad()
    inputs = tuple(x.clone().requires_grad_(x.is_floating_point()) for x in inputs)
    result = model(*inputs)
    ys = [result] if isinstance(result, Tensor) else [y for y in result if y is not None]
    generator = torch.Generator().manual_seed(2)
    cotangents = [torch.randn(y.shape, generator=generator, dtype=y.dtype) for y in ys]
    torch.autograd.backward(ys, cotangents)
    gradients = [t.grad for t in (*inputs, *model.parameters())]
    model.zero_grad()
    return [y.detach() for y in ys], gradients


def _named(names: list[str], gradients: list[Tensor | None]) -> dict[str, Tensor]:
    """The gradients that there are, by name."""
    return {n: g for n, g in zip(names, gradients, strict=True) if g is not None}
