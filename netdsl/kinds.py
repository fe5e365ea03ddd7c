"""Kinds of hyper-parameters: what a value must be, how it becomes canonical, how it is shown."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import Any

from netdsl.errors import Problem
from netdsl.sizes import Poly

REQUIRED: Any = MISSING
MAX_SIZE = 2**31 - 1
SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Kind:
    """A hyper-parameter's schema; `optional` admits None (written `none`), the op's own default."""

    optional: bool = field(default=False, kw_only=True)

    def coerce(self, value: Any, name: str, owner: Any) -> Any:
        """The canonical value; raises `Problem` N106 with the kind's own words."""
        if value is None and self.optional:
            return None
        return self.accept(value, name, owner)

    def accept(self, value: Any, name: str, owner: Any) -> Any:
        return value

    @property
    def words(self) -> tuple[str, ...]:
        """Names of the language that stand for values of this kind: `half`, `zeros`."""
        return ()

    def show(self, value: Any) -> str:
        """A value as .net text."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, tuple):
            if value and all(v == value[0] for v in value):
                return self.show(value[0])
            return f"({', '.join(self.show(v) for v in value)})"
        return "none" if value is None else str(value)

    def shown(self, value: Any, default: Any) -> bool:
        """Whether a dump shows the value: not where it is the default."""
        if default is MISSING:
            return True
        return bool(self.show(value) != self.show(default))

    def refuse(self, name: str, value: Any, rule: str) -> Problem:
        if isinstance(value, Poly):
            return Problem(
                "N210",
                f"`{name}` must be a number at compile time, but {value} is a size of the input",
                helps=(f"write the size in the signature as a number, or make `{name}` a number",),
            )
        text = self.show(value)
        shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
        return Problem("N106", f"`{name}` {rule}, not {shown}")


def show_number(value: float) -> str:
    """A number as .net text, exactly."""
    whole = abs(value) < 1e9 and repr(value) == f"{int(value)}.0"  # -0.0 is no whole number
    return str(int(value)) if whole else repr(value).replace("e-0", "e-")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class Int(Kind):
    """A whole number, low <= n <= high."""

    low: int = 1
    high: int = MAX_SIZE

    def accept(self, value: Any, name: str, owner: Any) -> int:
        if not _whole(value) or not self.low <= value <= self.high:
            most = "" if self.high == MAX_SIZE else f" to {self.high}"
            raise self.refuse(name, value, f"is a whole number from {self.low}{most}")
        return int(value)


@dataclass(frozen=True)
class Number(Kind):
    """A real number, low <= x <= high (`open_high`: x < high)."""

    low: float = float("-inf")
    high: float = float("inf")
    open_high: bool = False
    rule: str = "is a number"

    def accept(self, value: Any, name: str, owner: Any) -> float:
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if (
            not good
            or not self.low <= value <= self.high
            or (self.open_high and value == self.high)
        ):
            raise self.refuse(name, value, self.rule)
        return float(value)

    def show(self, value: Any) -> str:
        return show_number(value) if isinstance(value, float) else super().show(value)


@dataclass(frozen=True)
class Flag(Kind):
    """true or false."""

    def accept(self, value: Any, name: str, owner: Any) -> bool:
        if not isinstance(value, bool):
            raise self.refuse(name, value, "is true or false")
        return value


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few names."""

    names: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return self.names

    def accept(self, value: Any, name: str, owner: Any) -> str:
        if value not in self.names:
            raise self.refuse(name, value, f"is one of {', '.join(self.names)}")
        return str(value)


@dataclass(frozen=True)
class Spatial(Kind):
    """A whole number for every spatial axis of the op (`owner.spatial`), or one for all.

    `like` names the hyper-parameter before it whose value this one may take: `stride=k`.
    """

    low: int = 1
    like: str = ""

    def accept(self, value: Any, name: str, owner: Any) -> tuple[int, ...]:
        if self.like and value == self.like:
            value = getattr(owner, self.like)
        axes = owner.spatial
        several = value if isinstance(value, (tuple, list)) else (value,) * axes
        if len(several) != axes or not all(
            _whole(v) and self.low <= v <= MAX_SIZE for v in several
        ):
            what = "a whole number" if axes == 1 else f"a whole number or {axes} of them"
            raise self.refuse(name, value, f"is {what} from {self.low}")
        return tuple(several)


@dataclass(frozen=True)
class Padding(Kind):
    """Padding of every spatial axis as (before, after) pairs.

    Written as a number, one number an axis, or both sides of every axis in order (top, bottom,
    left, right); `half`, which keeps ceil(n / stride), is resolved by the op, which knows its k.
    """

    half: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return ("half", "same")

    def accept(self, value: Any, name: str, owner: Any) -> Any:
        if self.half and value == "half":
            return value
        axes = owner.spatial
        if value == "same":
            raise Problem(
                "N209",
                "`pad=same` is TensorFlow's: at stride 2 it pads one side more, with other numbers",
                helps=("`pad=half` is symmetric and gives the same shapes",),
            )
        if isinstance(value, (tuple, list)) and value and isinstance(value[0], (tuple, list)):
            value = tuple(side for pair in value for side in pair)
        sides = value if isinstance(value, (tuple, list)) else (value,) * axes
        if len(sides) == axes:
            sides = tuple(s for side in sides for s in (side, side))
        if len(sides) != 2 * axes or not all(_whole(s) and 0 <= s <= MAX_SIZE for s in sides):
            forms = "a number" if axes == 1 else f"a number, {axes} numbers or {2 * axes}"
            raise self.refuse(name, value, f"is {forms} from 0{', or half' if self.half else ''}")
        return tuple((sides[2 * i], sides[2 * i + 1]) for i in range(axes))

    def show(self, value: Any) -> str:
        if isinstance(value, tuple) and all(isinstance(v, tuple) and v[0] == v[1] for v in value):
            return super().show(tuple(v[0] for v in value))
        if isinstance(value, tuple) and value and isinstance(value[0], tuple):
            return f"({', '.join(str(side) for pair in value for side in pair)})"
        return super().show(value)


@dataclass(frozen=True)
class Axis(Kind):
    """An axis number; negative counts from the end. The op checks it against the rank."""

    def accept(self, value: Any, name: str, owner: Any) -> int:
        if not _whole(value) or not -8 <= value < 8:
            raise self.refuse(name, value, "is an axis number")
        return int(value)


@dataclass(frozen=True)
class Axes(Kind):
    """One axis number or a list of different ones; the op checks them against the rank.

    The list may be `empty` where they are the axes of a tensor that may have none.
    """

    empty: bool = False

    def accept(self, value: Any, name: str, owner: Any) -> tuple[int, ...]:
        axes = tuple(value) if isinstance(value, (tuple, list)) else (value,)
        good = all(_whole(axis) and -8 <= axis < 8 for axis in axes)
        if not good or not (axes or self.empty) or len(set(axes)) < len(axes):
            raise self.refuse(name, value, "is an axis number or a list of them")
        return axes

    def show(self, value: Any) -> str:
        if isinstance(value, tuple) and len(value) != 1:
            return f"[{', '.join(map(str, value))}]"
        return super().show(value)


@dataclass(frozen=True)
class Extent(Kind):
    """A size, symbolic too (low <= n)."""

    low: int = 0

    def accept(self, value: Any, name: str, owner: Any) -> Any:
        if isinstance(value, Poly) or (_whole(value) and self.low <= value <= MAX_SIZE):
            return value
        raise self.refuse(name, value, f"is a size from {self.low}")


@dataclass(frozen=True)
class Shape(Kind):
    """A list of sizes, symbolic ones too (low <= each number)."""

    low: int = 0

    def accept(self, value: Any, name: str, owner: Any) -> tuple[Any, ...]:
        sizes = value if isinstance(value, (tuple, list)) else (value,)
        if not all(isinstance(s, Poly) or (_whole(s) and s >= self.low) for s in sizes):
            raise self.refuse(name, value, "is a list of sizes")
        return tuple(sizes)

    def show(self, value: Any) -> str:
        return (
            f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else super().show(value)
        )
