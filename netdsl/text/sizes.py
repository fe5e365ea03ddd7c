"""Symbolic sizes as expressions of the language: floor((H + 1)/2) is `(H + 1) // 2`."""

from __future__ import annotations

from netdsl.sizes import Atom, Floor, Monomial, Size

POWER = 8  # the largest exponent that the language takes


def size_text(size: Size) -> str:
    """The size, as it can stand in a type or among arguments."""
    if isinstance(size, int):
        return str(size)
    text = ""
    for monomial, coefficient in size.ordered:
        minus = coefficient < 0
        sign = (" - " if minus else " + ") if text else ("-" if minus else "")
        text += sign + _term(monomial, abs(coefficient))
    return text


def _term(monomial: Monomial, coefficient: int) -> str:
    factors = [] if coefficient == 1 and monomial else [str(coefficient)]
    for atom, power in monomial:
        while power > POWER:
            factors.append(f"{_factor(atom)}^{POWER}")
            power -= POWER
        factors.append(_factor(atom) + (f"^{power}" if power > 1 else ""))
    if len(factors) == 1 and monomial and isinstance(monomial[0][0], Floor) and monomial[0][1] == 1:
        return _quotient(monomial[0][0])
    return "*".join(factors)


def _factor(atom: Atom) -> str:
    return f"({_quotient(atom)})" if isinstance(atom, Floor) else atom


def _quotient(floor: Floor) -> str:
    numerator = size_text(floor.numerator)
    return f"{numerator if numerator.isidentifier() else f'({numerator})'} // {floor.divisor}"
