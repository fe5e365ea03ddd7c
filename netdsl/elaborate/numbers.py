"""Arithmetic and comparison of compile-time values: exact, bounded, sizes included.

Whole numbers stay whole: `6 / 3` is 2, `7 / 2` is 3.5. A size is divided by `/` only where nothing
is left over for any size.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from netdsl.elaborate.values import describe, is_number, is_tensor, is_whole
from netdsl.errors import Problem
from netdsl.sizes import WEIGHT, Poly

LARGEST = 10**18
LENGTH = 100_000  # elements of a list


def calculate(symbol: str, left: Any, right: Any) -> Any:
    """`left symbol right` of two compile-time values."""
    if symbol in COMPARISONS:
        return compare(symbol, left, right)
    if symbol == "+" and isinstance(left, tuple) and isinstance(right, tuple):
        if len(left) + len(right) > LENGTH:
            raise Problem("N143", f"this list has more than {LENGTH:,} elements")
        return left + right
    if not (_is_numeric(left) and _is_numeric(right)):
        raise Problem(
            "N143", f"`{symbol}` is of two numbers, not of {describe(left)} and {describe(right)}"
        )
    if symbol in ("/", "//", "%") and right == 0:
        raise Problem("N143", "division by zero")
    result = ARITHMETIC[symbol](left, right)
    return _bounded(result)


def negate(value: Any) -> Any:
    if not _is_numeric(value):
        raise Problem("N143", f"`-` is of a number, not of {describe(value)}")
    return -value


def compare(symbol: str, left: Any, right: Any) -> bool:
    """The truth of a comparison; N211 where it depends on a size that is not known."""
    if isinstance(left, Poly) or isinstance(right, Poly):
        return _compare_sizes(symbol, left, right)
    if symbol in ("==", "!="):
        same = left == right and isinstance(left, bool) == isinstance(right, bool)
        return same == (symbol == "==")
    ordered = (is_number(left) and is_number(right)) or (
        isinstance(left, str) and isinstance(right, str)
    )
    if not ordered:
        raise Problem(
            "N143", f"`{symbol}` is of two numbers, not of {describe(left)} and {describe(right)}"
        )
    return bool(COMPARISONS[symbol](left, right))


def _compare_sizes(symbol: str, left: Any, right: Any) -> bool:
    if not (_is_numeric(left) and _is_numeric(right)):
        return symbol == "!="
    difference = None if isinstance(left, float) or isinstance(right, float) else left - right
    if difference is None or isinstance(difference, Poly):
        raise Problem(
            "N211",
            f"whether {left} {symbol} {right} cannot be decided at compile time",
            helps=("write a number for the size in the signature, or make it a hyper-parameter",),
        )
    return bool(COMPARISONS[symbol](difference, 0))


def _is_numeric(value: Any) -> bool:
    return is_number(value) or isinstance(value, Poly)


def _bounded(value: Any) -> Any:
    if is_number(value) and not abs(value) <= LARGEST:
        raise Problem("N143", "the result is larger than 10^18")
    if isinstance(value, Poly) and value.weight > WEIGHT:
        raise Problem("N143", "this size is too long an expression")
    return value


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, Poly) or isinstance(right, Poly):
        if left == right:
            return 1
        whole = _floor(left, right)
        if whole * right != left:
            raise Problem(
                "N203",
                f"{left} / {right} is not a whole number for every size",
                helps=(f"`{right}*h` in the signature makes it one; `//` rounds down",),
            )
        return whole
    if is_whole(left) and is_whole(right) and left % right == 0:
        return left // right
    return left / right


def _floor(left: Any, right: Any) -> Any:
    if isinstance(right, Poly) or (isinstance(left, Poly) and not (is_whole(right) and right > 0)):
        raise Problem("N143", f"a size can be divided by a whole number from 1, not by {right}")
    return left // right


def _remainder(left: Any, right: Any) -> Any:
    if isinstance(left, Poly) or isinstance(right, Poly):
        return left - _floor(left, right) * right
    return left % right


def _exact(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Sums and products; a size takes part in those of whole numbers only."""

    def rule(left: Any, right: Any) -> Any:
        if (isinstance(left, Poly) and isinstance(right, float)) or (
            isinstance(right, Poly) and isinstance(left, float)
        ):
            raise Problem("N143", f"a size is whole: {left} and {right} do not mix")
        return function(left, right)

    return rule


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, Poly) and is_whole(right) and 0 <= right <= 8:
        product: Any = 1
        for _ in range(right):
            product = _bounded(product * left)
        return product
    if isinstance(left, Poly) or isinstance(right, Poly):
        raise Problem("N143", f"{left} ^ {right}: a size is raised to a number from 0 to 8")
    if left == 0 and right < 0:
        raise Problem("N143", "division by zero")
    if left < 0 and not is_whole(right):
        raise Problem("N143", f"{left} ^ {right} is no real number")
    if abs(left) > 1 and abs(right) * math.log10(abs(left)) > 18:
        raise Problem("N143", "the result is larger than 10^18 or smaller than 10^-18")
    return left**right


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": _exact(operator.add),
    "-": _exact(operator.sub),
    "*": _exact(operator.mul),
    "/": _divide,
    "//": _floor,
    "%": _remainder,
    "^": _power,
}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def truth(value: Any, what: str) -> bool:
    """A condition's value; N211 for what is neither true nor false."""
    if isinstance(value, bool):
        return value
    helps: tuple[str, ...] = ()
    if is_tensor(value):
        helps = ("`where(condition, a, b)` chooses element by element",)
    elif is_number(value):
        helps = (f"`{value} != 0` is true or false",)
    raise Problem("N211", f"{what} is true or false, not {describe(value)}", helps=helps)
