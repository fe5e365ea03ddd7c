"""Dropout: a mask that follows from a seed, so that backward, recompute and replay draw it again.

y = x mask / (1 - p) in training, y = x in eval (Srivastava et al. 2014, in the inverted form).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.kinds import Extent, Flag, Number, Shape
from netdsl.lazy import torch
from netdsl.op import Build, Example, Gradients, Op, Places, Specialised, Type, Values, hyper, op
from netdsl.shapes import checked_float, checked_images
from netdsl.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor

WORD = 2**64 - 1


@op("dropout")
class Dropout(Op):
    """Each element is 0 with probability `p` (0 <= p < 1). As torch.nn.Dropout.

    Inside `recur` every step draws a mask of its own, with `shared` all steps have one (Gal &
    Ghahramani 2016).
    """

    modal = True
    random = True
    torch_class: ClassVar[str] = "Dropout"
    p: float = hyper(Number(0, 1, open_high=True, rule="is a probability, 0 <= p < 1"), 0.5)
    shared: bool = hyper(Flag(), False)

    @property
    def draws_once(self) -> bool:  # type: ignore[override]
        return self.shared

    def infer(self, x: Type) -> Type:
        checked_float(self.name, x)
        return x

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return axes[0]

    def specialise(self, b: Build, xs: Values, training: bool, stream: int) -> Specialised:
        if not training or self.p == 0:
            return Specialised(xs[:1])
        x, seed = xs
        mask = b(Bernoulli(self.mask_shape(x.type), 1 - self.p, stream), seed)
        return Specialised((b(MaskedScale(1 / (1 - self.p)), x, mask),))

    def counterpart(self, x: Type, *_: Type) -> tuple[str, dict[str, Any]] | None:
        return None if self.shared else (self.torch_class, {"p": self.p})

    def mask_shape(self, x: Type) -> tuple[Size, ...]:
        """The shape of the independent draws; it broadcasts to x."""
        return x.shape


@op("dropout2d")
class Dropout2d(Dropout):
    """Each whole channel is 0 with probability `p`. As torch.nn.Dropout2d.

    x [N, C, H, W] -> y [N, C, H, W]
    """

    torch_class = "Dropout2d"
    spatial: ClassVar[int] = 2

    def infer(self, x: Type) -> Type:
        checked_images(self.name, x, self.spatial)
        return x

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        return axes[0] if axes[0] in (0, 1) else None

    def mask_shape(self, x: Type) -> tuple[Size, ...]:
        return (*x.shape[:2], *(1,) * self.spatial)


@op("dropout1d")
class Dropout1d(Dropout2d):
    """Each whole channel is 0 with probability `p`. As torch.nn.Dropout1d.

    x [N, C, L] -> y [N, C, L]
    """

    torch_class = "Dropout1d"
    spatial = 1


@op("dropout3d")
class Dropout3d(Dropout2d):
    """Each whole channel is 0 with probability `p`. As torch.nn.Dropout3d.

    x [N, C, D, H, W] -> y [N, C, D, H, W]
    """

    torch_class = "Dropout3d"
    spatial = 3


@op("bernoulli")
class Bernoulli(Op):
    """True with probability `keep`, element by element; the same seed and stream, the same mask.

    seed int[] -> mask bool[shape]
    """

    layer = False
    tensors = ("seed",)
    results = ("mask",)
    shape: tuple[int, ...] = hyper(Shape())
    keep: float = hyper(Number(0, 1))
    stream: int = hyper(Extent())

    def infer(self, seed: Type) -> Type:
        return Type(self.shape, "bool")

    def reference(self, seed: Tensor) -> Tensor:
        generator = torch.Generator(seed.device)
        generator.manual_seed(_mixed(_mixed(int(seed)) + self.stream))
        count = math.prod(self.shape)
        # Whole words of 64 random bits, two draws in each: five times faster than bernoulli_.
        words = torch.empty((count + 1) // 2, dtype=torch.int64, device=seed.device)
        draws = words.random_(-(2**63), None, generator=generator).view(torch.int32)[:count]
        below = min(max(round(self.keep * 2**32), 1), 2**32)
        return (draws <= below - 1 - 2**31).view(self.shape)


@op("masked_scale")
class MaskedScale(Op):
    """y = scale x where the mask is true, else 0; NaN stays NaN, as torch's dropout has it."""

    layer = False
    tensors = ("x", "mask")
    pointwise = True
    writes = True
    overwrites = (0,)
    scale: float = hyper(Number())

    def infer(self, x: Type, mask: Type) -> Type:
        return x

    def reference(self, x: Tensor, mask: Tensor) -> Tensor:
        return (x * mask.view(torch.uint8)).mul_(self.scale)  # faster than times bool

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        x, mask = operands
        return torch.mul(x, mask.view(torch.uint8), out=out).mul_(self.scale)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return b(self, dys[0], xs[1]), None


def _mixed(word: int) -> int:
    """A bijection of 64-bit words that spreads every bit (Steele et al. 2014, SplitMix64)."""
    word = (word + 0x9E3779B97F4A7C15) & WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    return word ^ (word >> 31)


Dropout.examples = (Example(Dropout(0.3), (Type((3, 5)),)), Example(Dropout(0), (Type((2, 3)),)))
Dropout1d.examples = (Example(Dropout1d(), (Type((2, 3, 4)),)),)
Dropout2d.examples = (Example(Dropout2d(), (Type((2, 3, 4, 5)),)),)
Dropout3d.examples = (Example(Dropout3d(), (Type((2, 3, 2, 4, 5)),)),)
Bernoulli.examples = (Example(Bernoulli((3, 5), 0.7, 2), (Type((), "int"),)),)
MaskedScale.examples = (
    Example(MaskedScale(1.5), (Type((3, 5)), Type((3, 5), "bool"))),
    Example(MaskedScale(2), (Type((2, 3, 4, 5)), Type((2, 3, 1, 1), "bool"))),
)
