"""Fixes for layers that do not fit, found by looking at the operands: a help, and its edits.

The tables have, for each code, what may be proposed, the likeliest first; the first that sees its
case speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from netdsl.elaborate.remedies.calls import (
    channels_known,
    features_first,
    half,
    keep_middle,
    other_rank,
    say_axis,
    smaller_groups,
)
from netdsl.elaborate.remedies.divisions import exact_division
from netdsl.elaborate.remedies.images import (
    channels_first,
    channels_number,
    pool_features,
    smaller_window,
)
from netdsl.elaborate.remedies.operands import (
    join_elsewhere,
    multiply_transposed,
    one_step,
    over_channels,
    project,
    same_width,
    transpose,
)
from netdsl.elaborate.remedies.site import Remedy, Site
from netdsl.errors import Problem

__all__ = ["Remedy", "Site", "explain", "refused"]

Rule = Callable[[Site], Remedy | None]

# of arguments that a layer refuses, whatever it is applied to
REFUSED: dict[str, tuple[Rule, ...]] = {
    "N106": (features_first,),
    "N208": (keep_middle,),
    "N209": (half,),
    "N211": (smaller_groups,),
}
# of operands that it does not fit
REMEDIES: dict[str, tuple[Rule, ...]] = {
    "N201": (one_step, other_rank, say_axis),
    "N206": (
        one_step,
        multiply_transposed,
        exact_division,
        over_channels,
        transpose,
        same_width,
        project,
    ),
    "N207": (channels_first, channels_known, smaller_window),
    "N210": (channels_first, pool_features, channels_number),
    "N211": (smaller_groups,),
    "N212": (one_step, exact_division, join_elsewhere),
}


def refused(problem: Problem, site: Site) -> Problem:
    """The problem of an argument, with a fix."""
    return _with(problem, site, REFUSED)


def explain(problem: Problem, site: Site) -> Problem:
    """The problem with what the operands are, where there are several, and with a fix."""
    return _with(problem, site, REMEDIES)


def _with(problem: Problem, site: Site, table: Mapping[str, tuple[Rule, ...]]) -> Problem:
    known = problem.diagnostic
    proposals = (remedy(site) for remedy in table.get(known.code, ()))
    found = next((remedy for remedy in proposals if remedy is not None), None)
    explained = Problem(known.code, known.message)
    explained.diagnostic = replace(known, notes=(*_operand_notes(site), *known.notes))
    if found is not None:
        explained.diagnostic = replace(
            explained.diagnostic,
            helps=(found.help,),
            edits=found.edits,
            sure=found.sure,
        )
    return explained


def _operand_notes(site: Site) -> tuple[str, ...]:
    """What every operand is, where there are several."""
    if isinstance(site.op, type):
        return ()
    types, texts = site.types, tuple(f"`{span.text}`" for span in site.spans)
    if len(types) < 2:
        return ()
    if len(types) != len(texts):  # the pipe brings the first
        texts = ("the input", *texts)
    if len(types) != len(texts):
        return ()
    heads = list(texts)
    if len(types) == 2:
        sides = zip(("left ", "right "), texts, strict=True)
        heads = [f"{side:<6}{text}" for side, text in sides]
    width = max(map(len, heads))
    return tuple(f"{head:<{width}} is {type}" for head, type in zip(heads, types, strict=True))
