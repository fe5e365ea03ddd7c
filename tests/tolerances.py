"""How far a result may be from its float64 reference: the one table, loosened nowhere else.

Same shape, dtype, NaN and Inf, then |got - ref| <= tol (rms(ref) + |ref|), element by element.
"""

from __future__ import annotations

from collections.abc import Mapping

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

# A gradient this far below the largest is zero but for rounding (a bias before bn in training).
VANISHED = 1e-9


def assert_close(
    got: Tensor, reference: Tensor, kind: int = OP, note: object = "", floor: float = 0.0
) -> None:
    """`got` is near a float64 reference, by the row of its dtype; its rms counts as `floor` at
    least."""
    assert got.shape == reference.shape, f"{note} {got.shape} is not {reference.shape}"
    if not got.is_floating_point():
        assert got.dtype == reference.dtype, f"{note} {got.dtype} is not {reference.dtype}"
        assert torch.equal(got, reference), note
        return
    if got.numel() == 0:
        return
    tolerance = TOLERANCES[got.dtype][kind]
    got, reference = got.detach().double(), reference.detach().double()
    if not bool(reference.sum().isfinite()):  # a sum: large tensors are compared often
        assert torch.equal(got.isnan(), reference.isnan()), f"{note} NaN elsewhere"
        infinite = reference.isinf()
        assert torch.equal(got[infinite], reference[infinite]), f"{note} Inf elsewhere"
        rest = ~(infinite | reference.isnan())
        got, reference = got[rest], reference[rest]
        if got.numel() == 0:
            return
    got, reference = got.flatten(), reference.flatten()
    rms = (reference.norm() / reference.numel() ** 0.5).clamp(min=floor)
    allowed = reference.abs().add_(rms).mul_(tolerance)
    excess = (got - reference).abs_().sub_(allowed)
    worst = int(excess.argmax())  # NaN, too, counts as the largest
    assert excess[worst] <= 0, (
        f"{note} {got[worst]:.9g} where the reference has {reference[worst]:.9g}, rms {rms:.3g}"
    )


def assert_gradients_close(
    got: Mapping[str, Tensor], reference: Mapping[str, Tensor], kind: int = NET_GRADIENT
) -> None:
    """The same names, and every gradient near its float64 reference; those that vanish are judged
    against a tenth of the largest."""
    assert list(got) == list(reference)
    sizes = {name: _rms(t) for name, t in reference.items()}
    largest = max(sizes.values(), default=0.0)
    for name, expected in reference.items():
        floor = 0.1 * largest if sizes[name] < VANISHED * largest else 0.0
        assert_close(got[name], expected, kind, name, floor)


def _rms(t: Tensor) -> float:
    return float(t.detach().double().norm()) / max(t.numel(), 1) ** 0.5


def assert_exact(got: Tensor, reference: Tensor, note: object = "") -> None:
    """The same shape, dtype and numbers; NaN equals NaN."""
    assert got.dtype == reference.dtype, f"{note} {got.dtype} is not {reference.dtype}"
    assert got.shape == reference.shape, f"{note} {got.shape} is not {reference.shape}"
    same = got == reference
    if got.is_floating_point():
        same |= got.isnan() & reference.isnan()
    assert bool(same.all()), f"{note} not equal"
