"""Where time is in every value of a net, and why a net cannot be taken step by step.

A value is whole (it follows from no sequence), as of now (`h[T]`, which a stream gives at every
step), or has time along an axis. An op leaves time where it is if it treats the steps apart
(`Op.along`), or is a recurrence that runs forward, or puts start values before a sequence, so that
another loop reads the step before. Anything else needs the whole sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netdsl.errors import Problem
from netdsl.ir import Graph, Input
from netdsl.loop import At, Carried
from netdsl.op import Op, Type, Value, Values
from netdsl.ops.pieces import Concat, Slice
from netdsl.ops.rnn import RecurrentLayer
from netdsl.recur import Recur
from netdsl.sizes import Size, atom, names

WHOLE, NOW = -1, -2  # where no axis is time
BEFORE = "read the step before, `h[t-1]`"
LEAVE_OUT = "call the net on whole sequences, or leave this stage out"


def refusal(why: str, fix: str) -> Problem:
    """Why a net is no stream."""
    return Problem("N310", f"this net does not run step by step: {why}", helps=(fix,))


def places_of(graph: Graph, time: str) -> dict[Value, int]:
    """The axis of time in every value, `WHOLE` or `NOW`. Raises `Problem` N310, with the place and
    path of the first stage that needs more than the steps before."""
    found: dict[Value, int] = {}
    for n, node in graph.items:
        places = [found[v] for v in graph.operands(n)]
        try:
            judged = _judged(graph, n, places, atom(time))
        except Problem as problem:
            stage = (f"in the stage `{node.path}`",) if node.path else ()
            problem.diagnostic = replace(problem.at(node.span), notes=stage)
            raise
        found.update(zip(graph.results(n), judged, strict=True))
    for out in graph.outputs:
        place, shape = found[out.value], out.value.type.shape
        if place >= 0 and shape[place] != atom(time):
            why = f"the output `{out.name}` has {shape[place]} steps, the sequences {time}"
            raise refusal(why, f"give as many, [N, {time}, …]")
    return found


def _judged(graph: Graph, n: int, places: Sequence[int], time: Size) -> Sequence[int]:
    """Where time is in the results of a node."""
    node, xs = graph.node(n), graph.operands(n)
    if isinstance(node.op, Input):
        return (_of_input(node.op, time),)
    if all(place < 0 for place in places):
        if any(_mentions(t, time) for t in node.types):
            why = f"`{node.op.name}` gives {node.types[0]}, of the length of the whole sequence"
            raise refusal(why, LEAVE_OUT)
        return (NOW if NOW in places else WHOLE,) * len(node.types)
    if isinstance(node.op, Recur):
        return _of_recurrence(node.op, xs, places, time)
    if isinstance(node.op, RecurrentLayer):
        return _of_layer(node.op, places)
    if takes_last(node.op, xs[0].type, places[0]):
        return (NOW,)
    if delays(node.op, xs, places):
        return (places[-1],)
    if NOW in places:
        raise refusal("a last step, known at the end only, meets every step", LEAVE_OUT)
    axes = tuple(None if place < 0 else place for place in places)
    axis = node.op.along(axes, tuple(v.type for v in xs))
    if axis is None:
        raise refusal(f"`{node.op.name}` takes several steps of {xs[0].type} together", LEAVE_OUT)
    return (axis,) * len(node.types)


def _of_input(op: Input, time: Size) -> int:
    if not _mentions(op.type, time):
        return WHOLE
    rest = op.type.with_shape(op.type.shape[0], *op.type.shape[2:])
    if op.type.shape[1:2] != (time,) or _mentions(rest, time):
        raise refusal(f"{time} is not axis 1 of `{op.key}: {op.type}`", f"declare [N, {time}, …]")
    return 1


def _mentions(x: Type, time: Size) -> bool:
    return any(names(time) <= names(size) for size in x.shape)


def _of_recurrence(op: Recur, xs: Values, places: Sequence[int], time: Size) -> Sequence[int]:
    if op.backward:
        raise refusal("the recurrence runs from the last step to the first", BEFORE)
    if op.steps != time:
        why = f"the recurrence has {op.steps} steps, the sequence {time}"
        raise refusal(why, f"let it run over all, `recur t in 1..{time}`")
    for feed in op.feeds:
        if isinstance(feed, Carried):
            continue
        x, place = xs[feed.operand].type, places[feed.operand]
        if isinstance(feed, At):
            if place != 1:
                raise refusal(f"the steps of {x} are none of the stream", LEAVE_OUT)
        elif place != WHOLE:
            raise refusal(f"every step of the recurrence reads all of {x}", BEFORE)
    if any(places[start] != WHOLE for starts in op.starts for start in starts):
        raise refusal("a start value follows from the sequence", "start from an input or a number")
    return (1,) * len(op.results)


def _of_layer(op: RecurrentLayer, places: Sequence[int]) -> Sequence[int]:
    if op.both:
        raise refusal(f"`{op.name}` runs in both directions", "`both=false` runs forward alone")
    if places[0] != 1:
        raise refusal(f"`{op.name}` runs along another axis than time", LEAVE_OUT)
    if any(place != WHOLE for place in places[1:]):
        raise refusal("a start value follows from the sequence", "start from an input or a number")
    return (1, *(NOW for _ in op.results[1:]))


def takes_last(op: Op, x: Type, axis: int) -> bool:
    """Whether an op takes the last step, `h[T]`."""
    if not isinstance(op, Slice) or op.axis % x.rank != axis:
        return False
    return op.to == x.shape[axis] and op.to - op.from_ == 1


def delays(op: Op, xs: Values, places: Sequence[int]) -> bool:
    """Whether an op puts whole pieces before the steps of a sequence."""
    if not isinstance(op, Concat) or op.axis is None or op.axis % xs[0].type.rank != places[-1]:
        return False
    return all(place == WHOLE for place in places[:-1])
