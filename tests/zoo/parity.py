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


def assert_parity(model: nn.Module, twin: nn.Module, x: Tensor) -> None:
    """Equal outputs, gradients of input and of every parameter, and buffers after the call."""
    names = ["input", *(name for name, _ in model.named_parameters())]
    got, got_gradients = _step(model, x)
    expected, gradients = _step(twin, x)
    assert_close(got, expected, NET, "output")
    assert_gradients_close(
        dict(zip(names, got_gradients, strict=True)), dict(zip(names, gradients, strict=True))
    )
    assert_same_buffers(model, twin)


def assert_same_buffers(model: nn.Module, twin: nn.Module) -> None:
    for (key, got), expected in zip(model.named_buffers(), twin.buffers(), strict=True):
        assert_close(got, expected, NET, key)


def _step(model: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients of input and parameters for a random cotangent."""
    model.zero_grad()
    x = x.clone().requires_grad_()
    y = model(x)
    generator = torch.Generator().manual_seed(2)
    y.backward(torch.randn(y.shape, generator=generator, dtype=y.dtype))
    gradients = [t.grad for t in (x, *model.parameters()) if t.grad is not None]
    model.zero_grad()
    return y.detach(), gradients
