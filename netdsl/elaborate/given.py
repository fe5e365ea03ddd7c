"""Values of hyper-parameters that come from Python, as the language has them."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from netdsl.elaborate.bounds import LISTS, elements
from netdsl.elaborate.numbers import LARGEST, LENGTH
from netdsl.errors import Problem


def frozen(name: str, value: object) -> Any:
    """The value given for `name`: lists are tuples, numbers are Python's own.

    Raises `Problem` N106 for what no file could say: another type, a number beyond 10^18, a list of
    more than 100,000 elements; N321 for lists that nest too deep.
    """
    if isinstance(value, LISTS):
        if elements(value, LENGTH + 1) > LENGTH:
            raise Problem("N106", f"`{name}` has more than {LENGTH:,} elements")
        if not isinstance(value, dict):
            return tuple([frozen(name, part) for part in value])
        if all(type(key) in (int, str) for key in value):
            return {key: frozen(name, part) for key, part in value.items()}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Integral) and abs(int(value)) <= LARGEST:
        return int(value)
    if isinstance(value, Real) and not isinstance(value, Integral) and math.isfinite(value):
        return float(value)
    if isinstance(value, Real):
        raise Problem("N106", f"`{name}` is a finite number of at most 10^18")
    raise Problem(
        "N106",
        f"`{name}` is of type {type(value).__name__}, which the language does not have",
        helps=("give a number, a string, True, False, None, or a list or dict of these",),
    )
