"""How far a result may be from its float64 reference: the one table, loosened nowhere else.

Same shape, dtype, NaN and Inf, then |got - ref| <= tol (rms(ref) + |ref|), element by element.
"""

from __future__ import annotations

import torch
from torch import Tensor

# dtype -> (op forward, op gradient, net forward, net gradient)
TOLERANCES = {
    torch.float64: (1e-10, 1e-9, 1e-9, 1e-8),
    torch.float32: (1e-5, 1e-4, 2e-5, 2e-4),
    torch.float16: (2e-3, 2e-2, 1e-2, 1e-1),
    torch.bfloat16: (1.6e-2, 1.6e-1, 6e-2, 6e-1),
}
OP, OP_GRADIENT, NET, NET_GRADIENT = range(4)


def assert_close(got: Tensor, reference: Tensor, kind: int = OP, note: object = "") -> None:
    """`got` is near a float64 reference, by the row of its dtype."""
    assert got.shape == reference.shape, f"{note} {got.shape} is not {reference.shape}"
    if not got.is_floating_point():
        assert got.dtype == reference.dtype, f"{note} {got.dtype} is not {reference.dtype}"
        assert torch.equal(got, reference), note
        return
    if got.numel() == 0:
        return
    tolerance = TOLERANCES[got.dtype][kind]
    got, reference = got.detach().double(), reference.detach().double()
    assert torch.equal(got.isnan(), reference.isnan()), f"{note} NaN elsewhere"
    infinite = reference.isinf()
    assert torch.equal(got[infinite], reference[infinite]), f"{note} Inf elsewhere"
    rest = ~(infinite | reference.isnan())
    got, reference = got[rest], reference[rest]
    if got.numel() == 0:
        return
    rms = reference.square().mean().sqrt()
    excess = (got - reference).abs() - tolerance * (rms + reference.abs())
    worst = int(excess.argmax())
    assert excess[worst] <= 0, (
        f"{note} {got[worst]:.9g} where the reference has {reference[worst]:.9g}, rms {rms:.3g}"
    )


def assert_exact(got: Tensor, reference: Tensor, note: object = "") -> None:
    """The same shape, dtype and numbers; NaN equals NaN."""
    assert got.dtype == reference.dtype, f"{note} {got.dtype} is not {reference.dtype}"
    assert got.shape == reference.shape, f"{note} {got.shape} is not {reference.shape}"
    same = got == reference
    if got.is_floating_point():
        same |= got.isnan() & reference.isnan()
    assert bool(same.all()), f"{note} not equal"
