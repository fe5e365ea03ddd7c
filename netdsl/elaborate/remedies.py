"""Fixes for shapes that do not fit, found by looking at the operands."""

from __future__ import annotations

from dataclasses import replace

from netdsl.errors import Problem
from netdsl.op import Type, Value
from netdsl.sizes import Floor, Poly, Size


def explain(problem: Problem, operands: list[Value], texts: tuple[str, ...]) -> Problem:
    """The problem with what the operands are, where there are several, and with a fix."""
    if len(operands) < 2:
        return problem
    found = Problem(problem.diagnostic.code, problem.diagnostic.message)
    types = [operand.type for operand in operands]
    known = problem.diagnostic
    found.diagnostic = replace(
        known,
        notes=(*_operand_notes(types, texts), *known.notes),
        helps=(*known.helps, *_remedies(types, texts)),
    )
    return found


def _operand_notes(types: list[Type], texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(types) != len(texts):  # the pipe brings the first
        texts = ("the input", *(f"`{text}`" for text in texts))
    else:
        texts = tuple(f"`{text}`" for text in texts)
    if len(types) != len(texts):
        return ()
    sides = ("left ", "right ") if len(types) == 2 else ("",) * len(types)
    heads = [side + text for side, text in zip(sides, texts, strict=True)]
    if len(types) == 2:
        heads = [f"{side:<6}{text}" for side, text in zip(sides, texts, strict=True)]
    width = max(map(len, heads))
    return tuple(f"{head:<{width}} is {type}" for head, type in zip(heads, types, strict=True))


def _remedies(types: list[Type], texts: tuple[str, ...]) -> tuple[str, ...]:
    a, b = types[0], types[1]
    if a.rank != b.rank:
        return ()
    unequal = [i for i, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)) if m != n]
    for axis in unequal:
        m, n = a.shape[axis], b.shape[axis]
        if isinstance(m - n, Poly) and (help := _exact_division(m, n)):
            return (help,)
    if unequal == [1] and a.rank == 4 and len(texts) == 2:
        skip = texts[1] if texts[1].isidentifier() else texts[0]
        if skip.isidentifier():
            return (f"project the skip with a 1x1 convolution: `{skip} -> conv(c, 1)`",)
    return ()


def _exact_division(m: Size, n: Size) -> str | None:
    """What makes `H` and `2*floor(H/2)` equal."""
    floors = [
        base
        for size in (m, n)
        if isinstance(size, Poly)
        for monomial, _ in size.terms
        for base, _ in monomial
        if isinstance(base, Floor) and str(base.numerator).isidentifier()
    ]
    if not floors:
        return None
    coarsest = max(floors, key=lambda floor: floor.divisor)
    name, divisor = str(coarsest.numerator), coarsest.divisor
    return (
        f"{m} = {n} does not hold for every size; `{divisor}*{name.lower()}` instead of `{name}` "
        "in the signature makes the division exact"
    )
