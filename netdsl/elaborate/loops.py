"""From the equations of a recurrence to its loops: one for each strongly connected part, or one
for all of them where the recurrence has a label, which names one loop.

Given   nodes that depend on steps read (`x[t]`, `h[t-1]`), and the states' values
Result  a `Recur` node a part, in the order of their dependence; the nodes are outlined into the
        bodies, and what depends on no step stays outside, computed once
"""

from __future__ import annotations

from netdsl.elaborate.outline import Outline
from netdsl.elaborate.padded import PaddedOutline
from netdsl.elaborate.parts import find_parts, find_region
from netdsl.elaborate.recurrence import Recurrence, Sequence, State
from netdsl.elaborate.scope import Scope
from netdsl.errors import Span
from netdsl.op import Value

LOOP = 100  # steps of the elaboration that a loop takes: its body is a graph of its own


def make_loops(
    recurrence: Recurrence, begin: int, span: Span, path: str | None, scope: Scope
) -> dict[State, Value]:
    """The sequence of every state; raises N306 for a cycle in both directions.

    `begin`: the number of the first node that the equations made; `path`: that of the only loop, by
    the label of the recurrence.
    """
    region = find_region(recurrence, begin, scope)
    made: dict[Value, Value] = {}  # the value of one step -> the sequence
    found: dict[State, Value] = {}
    outline = Outline if recurrence.lengths is None else PaddedOutline
    for part in find_parts(recurrence, region, one=path is not None):
        scope.run.step(scope, span, LOOP)
        sequences = outline(part, recurrence, region, made, found, span, scope).loop(path)
        for (value, state), sequence in zip(part.results, sequences, strict=True):
            made.setdefault(value, sequence)
            if state is not None:
                found[state] = sequence
                scope.run.sequences[sequence] = Sequence(recurrence, state, part.backward)
    scope.run.outlined |= {*region.nodes, *(value.node for value in recurrence.reads.values())}
    return found
