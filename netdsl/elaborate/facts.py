"""What `require` adds to what is known of sizes (language.md §4): an equation, solved for one name.

Given   require S == T      require H % 2 == 0
Result  S is T              H is 2*h              in the signature of the net

The net is then elaborated again, so that what stands before the `require` knows it too, and
`forward` checks it on entry as it checks every signature.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from netdsl.elaborate.scope import Scope
from netdsl.elaborate.values import is_whole
from netdsl.elaborate.walk import evaluate
from netdsl.errors import Problem
from netdsl.ir import Input
from netdsl.sizes import Floor, Poly, Size, atom, names, substitute
from netdsl.syntax import Binary, Expression

FACTS = 64  # of one net


class Learnt(Exception):
    """A name of the signature is known to be another size: elaborate again with it."""

    def __init__(self, name: str, size: Size) -> None:
        self.fact = name, size
        super().__init__(name, size)


def learn(condition: Expression, scope: Scope) -> None:
    """Raise `Learnt` where the condition has an equation of sizes that is not known to hold.

    Raises `Problem` N140 where it holds for no size.
    """
    for equation in _equations(condition):
        left, right = evaluate(equation.left, scope), evaluate(equation.right, scope)
        if not (_is_size(left) and _is_size(right)) or len(scope.run.facts) >= FACTS:
            continue
        difference = left - right
        if not isinstance(difference, Poly):
            continue
        fact = _solved(difference, scope) or _remainder(difference, scope.run.facts)
        if fact is not None:
            raise Learnt(*fact)


def known(name: str, scope: Scope) -> Size:
    """The size of a name of the net's signature, by the facts so far."""
    size: Size = atom(name)
    for replaced, by in scope.run.facts:
        size = substitute(size, {replaced: by})
    return size


def _equations(condition: Expression) -> Iterator[Binary]:
    """The equations that all must hold."""
    pending = [condition]
    while pending:
        node = pending.pop()
        if isinstance(node, Binary) and node.operator == "and":
            pending += [node.right, node.left]
        elif isinstance(node, Binary) and node.operator == "==":
            yield node


def _is_size(value: Any) -> bool:
    return isinstance(value, Poly) or is_whole(value)


def _solved(difference: Poly, scope: Scope) -> tuple[str, Size] | None:
    """A name that stands in `difference = 0` by itself, and what it is: the last of the signature,
    since the others are known before it."""
    found: dict[str, Size] = {}
    for monomial, coefficient in difference.ordered:
        if len(monomial) == 1 and isinstance(monomial[0][0], str) and monomial[0][1] == 1:
            name = monomial[0][0]
            rest = difference - atom(name) * coefficient
            if abs(coefficient) == 1 and name not in names(rest):
                found[name] = rest * -coefficient
    order = {name: i for i, name in enumerate(_signature(scope))}
    last = max(found, key=lambda name: order.get(name, -1), default=None)
    return None if last is None else (last, found[last])


def _signature(scope: Scope) -> Iterator[str]:
    """The names of sizes in the net's inputs, by where they stand first."""
    graph = scope.run.builder.graph
    ops = [graph.node(n).op for n in graph]
    types = [op.type for op in ops if isinstance(op, Input)]
    yield from dict.fromkeys(n for t in types for size in t.shape for n in sorted(names(size)))


def _remainder(difference: Poly, facts: tuple[tuple[str, Size], ...]) -> tuple[str, Size] | None:
    """`a*name + c ≡ r (mod d)`, as a difference m (a*name + c - d floor((a*name + c)/d) - r)."""
    floors = [
        (base, abs(coefficient), coefficient)
        for monomial, coefficient in difference.ordered
        if len(monomial) == 1 and isinstance(base := monomial[0][0], Floor)
    ]
    if len(floors) != 1:
        return None
    floor, total, coefficient = floors[0]
    numerator, k = floor.numerator, floor.divisor
    sign = -1 if coefficient > 0 else 1
    times, unequal = divmod(total, k)
    quotient = Poly(frozenset({(((floor, 1),), 1)}))
    remainder = numerator * times - (difference * sign + quotient * total)
    if unequal or not isinstance(remainder, int) or len(names(numerator)) != 1:
        return None
    (name,) = names(numerator)
    c = substitute(numerator, {name: 0})
    a = substitute(numerator, {name: 1}) - c
    if not (isinstance(a, int) and isinstance(c, int)) or numerator != atom(name) * a + c:
        return None
    common = math.gcd(a, k)
    if remainder % times or (remainder // times - c) % common:
        raise Problem("N140", "this holds for no size")
    remainder //= times
    period = k // common
    first = (remainder - c) // common * pow(a // common, -1, period) % period
    taken = {name for name, _ in facts} | {n for _, size in facts for n in names(size)}
    fresh = name.lower()
    while fresh == name or fresh in taken:
        fresh += "_"
    return name, atom(fresh) * period + first
