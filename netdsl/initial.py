"""Initial values of parameters, as data: `torch`, `he`, `xavier` … by name, resolved by fan.

With `init=torch` a net starts from the distributions of its torch.nn twin (nn.Conv2d, nn.Linear:
uniform within 1 / sqrt(fan in), for weight and bias).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from netdsl.errors import Problem
from netdsl.kinds import Kind, show_number


@dataclass(frozen=True)
class Init:
    """A distribution: constant(value), uniform(low, high), normal(mean, std), orthogonal() or
    identity()."""

    name: str
    arguments: tuple[float, ...] = ()


ZEROS = Init("constant", (0.0,))
ONES = Init("constant", (1.0,))


def uniform(bound: float) -> Init:
    return Init("uniform", (-bound, bound))


def normal(std: float) -> Init:
    return Init("normal", (0.0, std))


# name -> (fan in, fan out) -> distribution of a weight
NAMED = {
    # nn.Conv2d, nn.Linear: kaiming_uniform_(a=sqrt(5))
    "torch": lambda fan_in, fan_out: uniform(1 / math.sqrt(fan_in)),
    # He et al. 2015, eq. 14, fan out as torchvision's ResNet
    "he": lambda fan_in, fan_out: normal(math.sqrt(2 / fan_out)),
    "he_uniform": lambda fan_in, fan_out: uniform(math.sqrt(6 / fan_in)),
    # Glorot & Bengio 2010, eq. 16
    "xavier": lambda fan_in, fan_out: uniform(math.sqrt(6 / (fan_in + fan_out))),
    # LeCun et al. 1998, Efficient BackProp, eq. 16
    "lecun": lambda fan_in, fan_out: normal(1 / math.sqrt(fan_in)),
    "orthogonal": lambda fan_in, fan_out: Init("orthogonal"),
    "identity": lambda fan_in, fan_out: Init("identity"),
}
MATRICES = ("orthogonal", "identity")


@dataclass(frozen=True)
class Initial(Kind):
    """An initial value in a .net file: a name of `NAMED`, a number, or an `Init`.

    A `vector` has no orthogonal or identity.
    """

    vector: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(NAMED)

    def accept(self, value: Any, name: str, owner: Any) -> Any:
        names = [name for name in NAMED if not (self.vector and name in MATRICES)]
        if isinstance(value, Init) or (isinstance(value, str) and value in names):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return Init("constant", (float(value),))
        raise Problem(
            "N106",
            f"`{name}` is an initial value{' of a vector' * self.vector}, not {self.show(value)}",
            helps=(f"it is a number, normal(std), uniform(a, b) or one of {', '.join(names)}",),
        )

    def show(self, value: Any) -> str:
        if isinstance(value, Init):
            if value.name == "constant":
                return show_number(value.arguments[0])
            shown = value.arguments[1:] if value.name == "normal" else value.arguments
            listed = ", ".join(show_number(a) for a in shown)
            return f"{value.name}({listed})" if shown else value.name
        return super().show(value)


def weight_init(init: Any, fan_in: int, fan_out: int) -> Init:
    """The distribution of a weight under a hyper-parameter `init`."""
    return init if isinstance(init, Init) else NAMED[init](max(fan_in, 1), max(fan_out, 1))


def bias_init(init: Any, weight: Any, fan_in: int, fan_out: int) -> Init:
    """The distribution of a bias under a hyper-parameter `bias_init`, beside a weight of the same
    fans; under `none` it is torch's own where the weight's is, and zeros where it is not."""
    if init is None:
        init = weight if weight == "torch" else ZEROS
    return weight_init(init, fan_in, fan_out)
