"""Sizes as polynomials with integer coefficients over atoms, so that equality can be proved.

An atom is a name bound by a signature (`H`) or a canonical quotient floor(p / d), where `d` divides
no coefficient of p's non-constant part in full and 0 <= constant < d. A size that is a plain number
is an `int`, never a `Poly`; so `==` on sizes is provable equality.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, Union

Size: TypeAlias = Union[int, "Poly"]
Atom: TypeAlias = Union[str, "Floor"]
WEIGHT = 256  # of a size, at most
DIGITS = 64  # binary ones of a number, which weigh as much as a term
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]  # ((atom, power), …), () is the constant


@dataclass(frozen=True)
class Floor:
    """The canonical quotient floor(numerator / divisor)."""

    numerator: Poly
    divisor: int

    def __str__(self) -> str:
        text = str(self.numerator)
        bare = text.isidentifier()
        return f"floor({text if bare else f'({text})'}/{self.divisor})"


@dataclass(frozen=True)
class Poly:
    """A sum of terms, at least one not constant; build one by arithmetic on `atom(name)`."""

    terms: frozenset[tuple[Monomial, int]]

    @cached_property
    def ordered(self) -> list[tuple[Monomial, int]]:
        """The terms, those of the highest degree first."""
        return sorted(self.terms, key=lambda t: (-sum(p for _, p in t[0]), str(t[0])))

    @cached_property
    def weight(self) -> int:
        """How much there is to it: its terms, and in each the digits, powers and quotients."""
        return sum(
            1 + abs(coefficient).bit_length() // DIGITS + sum(_factor(a, p) for a, p in monomial)
            for monomial, coefficient in self.terms
        )

    @property
    def constant(self) -> int:
        return dict(self.terms).get((), 0)

    def __add__(self, other: Size) -> Size:
        sums = dict(self.terms)
        for monomial, coefficient in _terms(other):
            sums[monomial] = sums.get(monomial, 0) + coefficient
        return _poly(sums)

    def __mul__(self, other: Size) -> Size:
        sums: dict[Monomial, int] = {}
        for a, m in self.terms:
            for b, n in _terms(other):
                product = _times(a, b)
                sums[product] = sums.get(product, 0) + m * n
        return _poly(sums)

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + other * -1

    def __rsub__(self, other: int) -> Size:
        return self * -1 + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Size:
        """floor(self / divisor): what the divisor divides leaves the quotient."""
        inner = self._single_floor()
        if inner is not None:  # floor((floor(p/a) + c) / b) = floor((p + a c) / (a b))
            quotient, constant = inner
            shifted = quotient.numerator + quotient.divisor * constant
            return shifted // (quotient.divisor * divisor)
        whole: dict[Monomial, int] = {}
        rest: dict[Monomial, int] = {}
        for monomial, coefficient in self.terms:
            if monomial == ():
                whole[()], rest[()] = divmod(coefficient, divisor)
            elif coefficient % divisor == 0:
                whole[monomial] = coefficient // divisor
            else:
                rest[monomial] = coefficient
        left = _poly(rest)
        if isinstance(left, int):
            return _poly(whole) + left // divisor
        common = math.gcd(divisor, *(c for m, c in left.terms if m != ()))
        if common > 1:  # floor((g p + c) / (g d)) = floor((p + floor(c/g)) / d)
            reduced = {m: c // common for m, c in left.terms}
            return _poly(whole) + _poly(reduced) // (divisor // common)
        return _poly(whole) + _poly({((Floor(left, divisor), 1),): 1})

    def __mod__(self, divisor: int) -> Size:
        return self - (self // divisor) * divisor

    def _single_floor(self) -> tuple[Floor, int] | None:
        """(quotient, constant) where the size is one quotient plus a constant."""
        others = [(m, c) for m, c in self.terms if m != ()]
        if len(others) == 1 and others[0][1] == 1 and len(others[0][0]) == 1:
            atom, power = others[0][0][0]
            if isinstance(atom, Floor) and power == 1:
                return atom, self.constant
        return None

    def __str__(self) -> str:
        out = ""
        for monomial, coefficient in self.ordered:
            minus = coefficient < 0
            sign = (" - " if minus else " + ") if out else ("-" if minus else "")
            factors = [str(a) if p == 1 else f"{a}^{p}" for a, p in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            out += sign + "*".join(factors)
        return out

    __repr__ = __str__


def atom(name: str) -> Poly:
    """The size that a signature binds to a name."""
    return Poly(frozenset({(((name, 1),), 1)}))


def ceildiv(a: Size, b: int) -> Size:
    """ceil(a / b)."""
    return (a + (b - 1)) // b


def least(a: Size, b: Size) -> Size | None:
    """The smaller of two sizes where their difference is a known number, else None."""
    difference = a - b
    if isinstance(difference, Poly):
        return None
    return a if difference <= 0 else b


def names(size: Size) -> frozenset[str]:
    """The bound names that a size depends on."""
    found: set[str] = set()
    queue = [size]
    while queue:
        item = queue.pop()
        for monomial, _ in _terms(item):
            for base, _ in monomial:
                if isinstance(base, str):
                    found.add(base)
                else:
                    queue.append(base.numerator)
    return frozenset(found)


def substitute(size: Size, bindings: Mapping[str, Size]) -> Size:
    """The size with names replaced; names without a binding stay."""
    if isinstance(size, int):
        return size
    total: Size = 0
    for monomial, coefficient in size.terms:
        product: Size = coefficient
        for base, power in monomial:
            value = _atom_value(base, bindings)
            for _ in range(power):
                product = product * value
        total = total + product
    return total


def evaluate(size: Size, bindings: Mapping[str, Any]) -> Any:
    """The number of a size; with torch's symbolic integers for names, one of theirs."""
    if not isinstance(size, Poly):
        return size
    total: Any = 0
    for monomial, coefficient in size.terms:
        product: Any = coefficient
        for base, power in monomial:
            if isinstance(base, str):
                value = bindings[base]
            else:
                value = evaluate(base.numerator, bindings) // base.divisor
            product = product * value**power
        total = total + product
    return total


def solve(pattern: Size, value: Size) -> tuple[str, Size] | None:
    """The (name, size) that makes the one-name pattern `a*name + b` equal `value`, or None.

    Raises ValueError where the pattern is not of that form.
    """
    if not isinstance(pattern, Poly):
        raise ValueError(f"{pattern} is no size with a name")
    (name,) = names(pattern)
    slope = substitute(pattern, {name: 1}) - substitute(pattern, {name: 0})
    offset = substitute(pattern, {name: 0})
    if not isinstance(slope, int) or slope == 0 or pattern != slope * atom(name) + offset:
        raise ValueError(f"{pattern} is not a multiple of a name plus a number")
    rest = value - offset
    return (name, rest // slope) if rest % slope == 0 else None


def map_sizes(value: object, change: Callable[[Size], Size]) -> object:
    """`value` with every symbolic size in it (tuples nested) changed."""
    if isinstance(value, Poly):
        return change(value)
    if isinstance(value, tuple):
        return tuple(map_sizes(v, change) for v in value)
    return value


def _factor(base: Atom, power: int) -> int:
    if isinstance(base, str):
        return power
    return power * (base.numerator.weight + base.divisor.bit_length() // DIGITS)


def _terms(size: Size) -> frozenset[tuple[Monomial, int]]:
    if isinstance(size, Poly):
        return size.terms
    return frozenset({((), size)}) if size else frozenset()


def _poly(sums: Mapping[Monomial, int]) -> Size:
    terms = frozenset((m, c) for m, c in sums.items() if c)
    if all(m == () for m, _ in terms):
        return sum(c for _, c in terms)
    return Poly(terms)


def _times(a: Monomial, b: Monomial) -> Monomial:
    powers: dict[Atom, int] = {}
    for base, power in (*a, *b):
        powers[base] = powers.get(base, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0])))


def _atom_value(base: Atom, bindings: Mapping[str, Size]) -> Size:
    if isinstance(base, str):
        return bindings.get(base, Poly(frozenset({(((base, 1),), 1)})))
    return substitute(base.numerator, bindings) // base.divisor
