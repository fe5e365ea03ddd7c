"""Functions of compile time: `range len min max sum`, and the distributions `normal uniform`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netdsl.elaborate.numbers import LENGTH, calculate, compare
from netdsl.elaborate.values import describe, is_number, is_whole
from netdsl.errors import Problem
from netdsl.initial import Init


def _range(*bounds: Any) -> range:
    """`range(n)`: 0 to n-1; `range(from, to)`, `range(from, to, step)`."""
    _count("range", bounds, 1, 3)
    if not all(is_whole(b) for b in bounds):
        raise Problem("N143", f"`range` takes whole numbers, not {_several(bounds)}")
    if len(bounds) == 3 and bounds[2] == 0:
        raise Problem("N143", "the step of `range` is 0")
    found = range(*bounds)
    if len(found) > LENGTH:
        raise Problem("N323", f"this range has more than {LENGTH:,} numbers")
    return found


def _len(*values: Any) -> int:
    _count("len", values, 1, 1)
    if not isinstance(values[0], (tuple, range, dict)):
        raise Problem("N143", f"`len` is of a list, not of {describe(values[0])}")
    return len(values[0])


def _extreme(name: str, symbol: str) -> Callable[..., Any]:
    def rule(*values: Any) -> Any:
        elements = _elements(name, values)
        if not elements:
            raise Problem("N143", f"`{name}` of nothing")
        best = elements[0]
        for value in elements[1:]:
            best = value if compare(symbol, value, best) else best
        return best

    return rule


def _sum(*values: Any) -> Any:
    total: Any = 0
    for value in _elements("sum", values):
        total = calculate("+", total, value)
    return total


def _elements(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The elements of one list, or the values themselves."""
    _count(name, values, 1, LENGTH)
    if len(values) == 1 and isinstance(values[0], (tuple, range)):
        return tuple(values[0])
    return values


def _distribution(name: str, count: int) -> Callable[..., Init]:
    def rule(*values: Any) -> Init:
        _count(name, values, count, count)
        if not all(is_number(v) for v in values):
            raise Problem("N143", f"`{name}` takes numbers, not {_several(values)}")
        mean = (0.0,) if name == "normal" else ()
        return Init(name, (*mean, *(float(v) for v in values)))

    return rule


def _count(name: str, values: tuple[Any, ...], least: int, most: int) -> None:
    if not least <= len(values) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise Problem("N104", f"`{name}` takes {wanted} values, not {len(values)}")


def _several(values: tuple[Any, ...]) -> str:
    return ", ".join(describe(v) for v in values)


BUILTINS: dict[str, Callable[..., Any]] = {
    "range": _range,
    "len": _len,
    "min": _extreme("min", "<"),
    "max": _extreme("max", ">"),
    "sum": _sum,
    "normal": _distribution("normal", 1),
    "uniform": _distribution("uniform", 2),
}
