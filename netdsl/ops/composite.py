"""The gradient of several of torch's functions at once, by torch's own autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from netdsl.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def gradients(
    function: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    xs: Sequence[Tensor],
    dys: Sequence[Tensor],
    used: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """dx of every x that is `used`, None of the others: the function runs again, with a tape."""
    with torch.enable_grad():
        leaves = [x.detach().requires_grad_(wanted) for x, wanted in zip(xs, used, strict=True)]
        ys = function(leaves)
    # A result may depend on none of the x that are used: it is no way to go back then.
    pairs = [(y, dy) for y, dy in zip(ys, dys, strict=True) if y.requires_grad]
    reached, given = zip(*pairs, strict=True)
    sought = [x for x in leaves if x.requires_grad]
    found = iter(torch.autograd.grad(reached, sought, given, materialize_grads=True))
    return tuple(next(found) if wanted else None for wanted in used)
