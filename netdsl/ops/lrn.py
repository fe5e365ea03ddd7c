"""Local response normalisation across neighbouring channels, and its gradient.

y[c] = x[c] s[c]^-beta, s[c] = k + alpha / size Σ x[j]² over the `size` channels j around c, those
that do not exist counting as zero (Krizhevsky et al. 2012, section 3.3, where alpha is undivided).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.kinds import Int, Number
from netdsl.lazy import F
from netdsl.op import Build, Example, Gradients, Op, Type, Values, hyper, op
from netdsl.shapes import checked_images

if TYPE_CHECKING:
    from torch import Tensor


@op("lrn")
class LRN(Op):
    """y = x / (k + alpha mean x²)^beta, the mean over `size` channels around each place's own.

    As torch.nn.LocalResponseNorm; x [N, C, H, W] -> y [N, C, H, W]
    """

    per_example = (0,)
    autocast = "float32"
    size: int = hyper(Int())
    alpha: float = hyper(Number(), 1e-4)
    beta: float = hyper(Number(), 0.75)
    k: float = hyper(Number(), 1)

    def infer(self, x: Type) -> Type:
        checked_images(self.name, x, 2)
        return x

    def reference(self, x: Tensor) -> Tensor:
        before, after = self.size // 2, (self.size - 1) // 2
        scale = self.k + self.alpha * _mean(x * x, before, after, self.size)
        return x * scale.pow(-self.beta)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        return (b(LRNGrad(*self.hypers().values()), xs[0], dys[0]),)


@op("lrn_grad")
class LRNGrad(Op):
    """dx[j] = dy[j] s[j]^-beta - 2 alpha beta / size x[j] Σ dy[c] x[c] s[c]^(-beta-1), over the
    channels c whose windows hold j.

    x, dy [N, C, H, W] -> dx [N, C, H, W]
    """

    per_example = (0, 1)
    layer = False
    tensors = ("x", "dy")
    results = ("dx",)
    size: int = hyper(Int())
    alpha: float = hyper(Number())
    beta: float = hyper(Number())
    k: float = hyper(Number())

    def infer(self, x: Type, dy: Type) -> Type:
        return x

    def reference(self, x: Tensor, dy: Tensor) -> Tensor:
        before, after = self.size // 2, (self.size - 1) // 2
        scale = self.k + self.alpha * _mean(x * x, before, after, self.size)
        through = dy * scale.pow(-self.beta)
        back = _mean(through * x / scale, after, before, self.size)
        return through - 2 * self.alpha * self.beta * x * back


def _mean(x: Tensor, before: int, after: int, size: int) -> Tensor:
    """The sum from channel c - before to c + after, divided by `size`."""
    channels = x.shape[1]
    before, after = (min(n, max(channels - 1, 0)) for n in (before, after))  # beyond are zeros
    padded = F.pad(x, (0, 0, 0, 0, before, after))
    total = padded.narrow(1, 0, channels)
    for offset in range(1, before + after + 1):
        total = total + padded.narrow(1, offset, channels)
    return total / size


_IMAGE = Type((3, 5, 2, 4))
LRN.examples = (
    Example(LRN(5), (_IMAGE,)),
    Example(LRN(2, alpha=0.5, beta=1.5, k=2), (_IMAGE,)),
    Example(LRN(9, alpha=2), (_IMAGE,)),
    Example(LRN(1, alpha=1), (Type((2, 1, 3, 3)),)),
)
LRNGrad.examples = (
    Example(LRNGrad(5, 1e-4, 0.75, 1), (_IMAGE, _IMAGE)),
    Example(LRNGrad(4, 0.5, 1.5, 2), (_IMAGE, _IMAGE)),
)
