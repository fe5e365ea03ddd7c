"""Sizes that were halved and doubled again: a multiple in the signature makes that exact."""

from __future__ import annotations

import re
from collections.abc import Mapping

from netdsl.elaborate.remedies.operands import unequal
from netdsl.elaborate.remedies.site import Remedy, Site
from netdsl.errors import Edit, Span
from netdsl.ir import Input
from netdsl.sizes import Floor, Poly, Size, atom, substitute


def exact_division(site: Site) -> Remedy | None:
    """`H` against `2*floor(H/2)`."""
    first = site.types[0]
    why, multiples = "", dict[str, str]()
    for other in site.types[1:]:
        for axis in unequal(first, other):
            m, n = first.shape[axis], other.shape[axis]
            found = _coarsest(m, n) if isinstance(m - n, Poly) else None
            if found is not None and _helps(found, m - n):
                why = why or f"{m} = {n} does not hold for every size"
                multiples[str(found.numerator)] = f"{found.divisor}*{_other(found)}"
    if not multiples:
        return None
    new = " and ".join(f"`{multiple}`" for multiple in multiples.values())
    old = " and ".join(f"`{name}`" for name in multiples)
    makes = "makes" if len(multiples) == 1 else "make"
    help = f"{why}; {new} instead of {old} in the signature {makes} the division exact"
    return Remedy(help, _edits(site, multiples))


def _coarsest(m: Size, n: Size) -> Floor | None:
    """The quotient of a name by the largest number in two sizes."""
    floors = [
        base
        for size in (m, n)
        if isinstance(size, Poly)
        for monomial, _ in size.terms
        for base, _ in monomial
        if isinstance(base, Floor) and str(base.numerator).isidentifier()
    ]
    return max(floors, key=lambda floor: floor.divisor, default=None)


def _helps(floor: Floor, difference: Size) -> bool:
    """Whether a multiple makes the two sizes equal."""
    exact = atom(_other(floor)) * floor.divisor
    return substitute(difference, {str(floor.numerator): exact}) == 0


def _other(floor: Floor) -> str:
    """`h` for `H`."""
    name = str(floor.numerator)
    return name.lower() if name.lower() != name else f"{name}1"


def _edits(site: Site, multiples: Mapping[str, str]) -> tuple[Edit, ...]:
    """The multiples for the names wherever the net's signature has them; none where its body has
    them too."""
    graph = site.scope.run.builder.graph
    spans = [graph.node(n).span for n, op in graph.sources(Input) if op.role == "input"]
    declared = [span for span in spans if span is not None]
    if not declared:
        return ()
    source, start = declared[0].source, declared[0].start
    opened = source.text.find("{", declared[-1].end)
    closed = re.compile(r"^}", re.MULTILINE).search(source.text, max(opened, 0))
    body = source.text[opened : closed.start() if closed else len(source.text)]
    signature = source.text[start:opened]
    names = re.compile(rf"\b({'|'.join(multiples)})\b")
    new = re.compile(rf"\b({'|'.join(m.partition('*')[2] for m in multiples.values())})\b")
    if opened < 0 or names.search(body) or new.search(signature):
        return ()
    return tuple(
        Edit(Span(source, start + m.start(), start + m.end()), multiples[m[1]])
        for m in names.finditer(signature)
    )
