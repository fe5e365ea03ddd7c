"""Whether a recurrence stays finite however long it runs on: bounds of the values of a step.

|v| <= gain S + rest, S the largest element of the states that the step reads, whatever else it
reads and whatever the weights are (`rest` is infinite where some number bounds it that nothing here
knows). States with gain 0 do not grow, those with gain 1 by `rest` at most in each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from netdsl.elaborate.parts import Part, Region
from netdsl.elaborate.recurrence import State
from netdsl.ir import Constant, Graph
from netdsl.op import Op, Value
from netdsl.ops.activation import Relu, Sigmoid, Tanh
from netdsl.ops.arithmetic import Add, Mul, Neg, Sub
from netdsl.ops.dropout import Dropout
from netdsl.ops.functions import Abs, Maximum, Minimum, Where
from netdsl.ops.gate import Hardsigmoid
from netdsl.ops.layer_norm import LN
from netdsl.ops.linear import Linear, MatMul
from netdsl.ops.pieces import Concat, Slice, Split, Stack
from netdsl.ops.reduction import Mean, Sum
from netdsl.ops.shape import Expand, Flatten, Identity, Reshape, Transpose
from netdsl.ops.softmax import Softmax

SLOW = 4  # what a state may gain in a step: 10,000 steps of it are far from where float16 ends


@dataclass(frozen=True)
class Bound:
    """|v| <= gain S + rest."""

    gain: float
    rest: float


Rule: TypeAlias = Callable[..., Bound]


def stays_finite(part: Part, region: Region, graph: Graph) -> bool:
    """Whether no state of a part grows without end, nor anything on the way to it."""
    bounds: dict[int, Bound] = {}
    states = [state for _, state in part.results]

    def bound(value: Value) -> Bound:
        if value.node in bounds:
            return bounds[value.node]
        op, read = graph.node(value.node).op, region.reads.get(value)
        if isinstance(op, Constant):
            return Bound(0, abs(op.value))
        if value.type.dtype == "bool":
            return Bound(0, 1)
        carried = read is not None and isinstance(read.base, State) and read.base in states
        return Bound(1, 0) if carried else Bound(0, math.inf)

    for n in part.nodes:
        rule = RULES.get(type(graph.node(n).op))
        if rule is None:
            return False
        bounds[n] = rule(*map(bound, region.nodes[n]))
    found = [bound(state.now) for state in part.states]
    return all(b.gain == 0 or (b.gain <= 1 and b.rest <= SLOW) for b in found)


def _largest(*xs: Bound) -> Bound:
    """Of what moves numbers, or takes one of several."""
    return Bound(max(x.gain for x in xs), max(x.rest for x in xs))


def _sum(x: Bound, y: Bound) -> Bound:
    return Bound(x.gain + y.gain, x.rest + y.rest)


def _product(x: Bound, y: Bound) -> Bound:
    if x.gain and y.gain:
        return Bound(math.inf, math.inf)
    fixed, other = (y, x) if x.gain else (x, y)
    return Bound(*(fixed.rest * n if n else 0 for n in (other.gain, other.rest)))


def _contraction(*xs: Bound) -> Bound:
    """Of what multiplies by weights, and of any sum."""
    return Bound(math.inf if any(x.gain for x in xs) else 0, math.inf)


def _one(*_: Bound) -> Bound:
    return Bound(0, 1)


def _normalised(*_: Bound) -> Bound:
    return Bound(0, math.inf)


def _rules(given: Mapping[Rule, Iterable[type[Op]]]) -> dict[type[Op], Rule]:
    return {op: rule for rule, ops in given.items() for op in ops}


# ops whose results and derivatives are finite where their operands are; of others nothing is known
RULES = _rules(
    {
        _largest: (
            *(Concat, Slice, Split, Stack, Expand, Flatten, Identity, Reshape, Transpose),
            *(Relu, Neg, Abs, Maximum, Minimum, Where, Mean),
        ),
        _sum: (Add, Sub),
        _product: (Mul,),
        _contraction: (Linear, MatMul, Sum, Dropout),
        _one: (Tanh, Sigmoid, Hardsigmoid, Softmax),
        _normalised: (LN,),
    }
)
