"""How far two tensors are apart, and how far they may be (reliability.md, one table)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

# dtype -> what is compared -> tolerance, of a whole net
TOLERANCES = {
    torch.float64: {"output": 1e-9, "gradient": 1e-8, "buffer": 1e-9},
    torch.float32: {"output": 2e-5, "gradient": 2e-4, "buffer": 2e-5},
}
# In float32 a deep net is ill-conditioned (batch statistics of few values, a ReLU or a pool that
# switches): an error up to this many times the reference's own in float32, the largest one on the
# way to the value, is none of the compiler's. There float64 is the test.
ILL_CONDITIONED = 3.0
# A gradient that is zero but for rounding (of a bias before bn in training) has no size of its own:
# it is judged against this part of the largest gradient's.
ZERO, ZERO_SCALE = 1e-9, 0.1
PART = 1 << 20  # numbers


@dataclass(frozen=True)
class Row:
    """One comparison. `what`: forward (of the stage `layer`), output, gradient or buffer; `name`:
    of that output, parameter or buffer; `error`: the largest |got - ref| / (rms(ref) + |ref|).
    """

    layer: str
    what: str
    name: str
    run: str
    dtype: str
    error: float
    tolerance: float

    @property
    def good(self) -> bool:
        return self.error <= self.tolerance

    @property
    def ill_conditioned(self) -> bool:
        """Whether more than the table's tolerance is allowed, as the reference is no better."""
        kind = "output" if self.what == "forward" else self.what
        return self.tolerance > TOLERANCES[getattr(torch, self.dtype)][kind]


def error(got: Tensor, ref: Tensor, least_scale: float = 0.0) -> float:
    """The largest |got - ref| / (rms(ref) + |ref|), rms at least `least_scale`; inf where shape,
    NaN or Inf differ."""
    if got.shape != ref.shape:
        return math.inf
    if not ref.is_floating_point():
        return 0.0 if torch.equal(got, ref) else math.inf
    scale = max(rms(ref), least_scale)
    parts = zip(_parts(got), _parts(ref), strict=True)
    return max((_error(y, r, scale) for y, r in parts), default=0.0)


def rms(x: Tensor) -> float:
    """The root of the mean square of what is neither NaN nor Inf."""
    squares = count = 0.0
    for part in _parts(x):
        finite = part[part.isfinite()]
        squares, count = squares + float(finite.square().sum()), count + finite.numel()
    return math.sqrt(squares / count) if count else 0.0


def _parts(x: Tensor) -> Iterator[Tensor]:
    """The numbers in float64, a few at a time: weights can be gigabytes."""
    flat = x.reshape(-1)
    return (flat[i : i + PART].double() for i in range(0, flat.numel(), PART))


def _error(got: Tensor, ref: Tensor, scale: float) -> float:
    finite = ref.isfinite()
    if not bool(finite.all()):
        same = torch.equal(got[~finite].nan_to_num(1.0), ref[~finite].nan_to_num(1.0))
        if not same or not torch.equal(got[~finite].isnan(), ref[~finite].isnan()):
            return math.inf
        got, ref = got[finite], ref[finite]
    if not bool(got.isfinite().all()):
        return math.inf
    if not ref.numel():
        return 0.0
    return float(((got - ref).abs() / (scale + ref.abs()).clamp_min(1e-300)).max())


def zero_scales(results: Mapping[tuple[str, str], Tensor]) -> dict[tuple[str, str], float]:
    """The least scale of each gradient: 0, but for those that are zero up to rounding."""
    sizes = {key: rms(x) for key, x in results.items() if key[0] == "gradient"}
    largest = max(sizes.values(), default=0.0)
    return {n: ZERO_SCALE * largest if s <= ZERO * largest else 0.0 for n, s in sizes.items()}


def worst(rows: Iterable[Row]) -> Row | None:
    """The row nearest to its tolerance, or furthest beyond it."""
    return max(rows, key=lambda row: row.error / row.tolerance, default=None)
