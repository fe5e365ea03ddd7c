"""Hyper-parameters from Python: any object is a value of the language or a `NetError`."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from netdsl.errors import NetError
from netdsl.front import parse_text

TEXT = """
net A(x: [N, 3, H, W]; n = 3, act = relu, f = true, w = [1, 2], t = {1: 2}, s = "a", z = none) {
  let a = n + 1
  let b = [i for i in w]
  return x -> conv(n, 1) -> act -> for i in range(2) { relu as "{s}{i}" }
}
"""
NAMES = ("n", "act", "f", "w", "t", "s", "z", "N", "H", "x", "nothing", "")


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def doubled() -> list[Any]:
    found: list[Any] = [1]
    for _ in range(40):
        found = [found, found]
    return found


VALUES = (
    *(0, 1, -1, 3, 2**31, 10**19, 10**5000, True, None, 1.5, math.nan, math.inf, 1e300),
    *("", "relu", "nothing", "a" * 100_000, "\0\x1b", "\ud800", b"x", 1j, Decimal("1.5")),
    *([], [1], [[1, 2], [3]], (None,), range(3), range(10**12), {}, {1: 2}, {1.5: 2}, {3}),
    *(endless(), doubled(), [0] * 200_000, object(), object, print, iter([1]), Fraction(1, 3)),
    *(np.int64(3), np.float32(2.5), np.float64("nan"), np.array([1, 2]), np.bool_(True)),
)


@pytest.mark.parametrize("name", NAMES)
def test_any_value_is_taken_or_refused_by_a_net_error(name: str) -> None:
    for value in VALUES:
        try:
            parse_text(TEXT, {name: value})
        except NetError as error:
            assert len(str(error).encode("utf-8", "replace")) <= 2048


def test_numbers_of_numpy_are_numbers() -> None:
    assert parse_text(TEXT, {"n": np.int64(5)}) == parse_text(TEXT, {"n": 5})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (math.nan, "`n` is a finite number of at most 10^18"),
        (10**5000, "`n` is a finite number of at most 10^18"),
        (object(), "`n` is of type object, which the language does not have"),
        ([0] * 200_000, "`n` has more than 100,000 elements"),
        (endless(), "these lists are nested more than 64 levels deep"),
    ],
    ids=["nan", "10^5000", "an object", "200,000 elements", "a list in itself"],
)
def test_what_no_file_could_say_is_refused(value: object, problem: str) -> None:
    with pytest.raises(NetError) as raised:
        parse_text(TEXT, {"n": value})
    assert raised.value.diagnostics[0].message == problem


def test_names_and_texts_of_another_type_are_type_errors() -> None:
    names: Any = {3: 1}
    with pytest.raises(TypeError, match="a hyper-parameter has a name, not 3"):
        parse_text(TEXT, names)
    text: Any = TEXT.encode()
    with pytest.raises(TypeError, match="the text of a net is a str, not bytes"):
        parse_text(text)
