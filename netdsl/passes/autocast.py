"""Autocast: torch's mixed precision as casts in the graph, by each op's own policy.

Given   y = linear(x, w, b); z = softmax(y)
Result  y = linear(cast(x), cast(w), cast(b)) in the low dtype, and whatever follows from it

The graph is the forward one of a mode: "float" is float32 from here on, and the gradient of a cast
is the cast back, so that a parameter's arrives in the parameter's dtype. A value is cast once,
however many ops read it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from netdsl.ir import Builder, Constant, Graph, Input, Node, Parameter, Source
from netdsl.lazy import torch
from netdsl.loop import At, Carried, Feed, Whole
from netdsl.op import Type, Value, Values
from netdsl.ops.cast import Autocast, Cast
from netdsl.recur import Recur
from netdsl.rewrite import reachable, rebuild

if TYPE_CHECKING:
    from torch import Tensor

DEVICES = ("cpu", "cuda")  # whose policies the ops know
LOW = ("bfloat16", "float16")  # what values of a graph can be in, beside float32
UNSETTLED = 64  # steps, after which dtypes of states that still change are taken as they are

# the cast of a value to a dtype, one however often it is asked for
OneCast: TypeAlias = Callable[[Builder, Value, str], Value]


def state_at(keys: Sequence[str], tensors: Sequence[Tensor]) -> Autocast | None:
    """The state of torch.autocast, which is on, at a call with these tensors; None where all are in
    float64, which it leaves alone."""
    pairs = zip(keys, tensors, strict=True)
    floats = [(key, _name(t.dtype)) for key, t in pairs if t.is_floating_point()]
    others = tuple([(key, dtype) for key, dtype in floats if dtype != "float32"])
    if floats and all(dtype == "float64" for _, dtype in floats):
        return None
    device = tensors[0].device.type
    return Autocast(_name(torch.get_autocast_dtype(device)), device, others)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def plannable(state: Autocast) -> bool:
    """Whether casts in a graph are all that autocast does in the state; in another (float64 beside
    float32, a device whose policies are unknown) torch casts as it goes."""
    dtypes = (state.dtype, *(dtype for _, dtype in state.others))
    return state.device in DEVICES and all(dtype in LOW for dtype in dtypes)


def autocast(graph: Graph, state: Autocast, early: Collection[str] = ()) -> Graph:
    """The graph as torch runs it under autocast; of the inputs `early` the casts to the low dtype
    are further inputs."""
    casts: dict[tuple[Value, str], Value] = {}
    others = dict(state.others)

    def cast(b: Builder, x: Value, dtype: str) -> Value:
        if not x.type.floating or x.type.dtype == dtype:
            return x
        if (x, dtype) not in casts:
            source = b.graph.node(x.node).op
            if isinstance(source, Input) and source.key in early and dtype == state.dtype:
                lowered = replace(x.type, dtype=dtype)
                casts[x, dtype] = b(Input(lowered, f"{source.key}{_lowered(state)}"))
            else:
                casts[x, dtype] = b(Cast(dtype), x)
        return casts[x, dtype]

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        op = node.op
        if isinstance(op, (Input, Parameter)) and op.key in others:
            return b.all(replace(op, type=replace(op.type, dtype=others[op.key])))
        if isinstance(op, Source):
            return None
        if isinstance(op, Recur):
            return _recurrence(b, op, xs, state, cast)
        rule = op.autocast_on(state.device)
        wanted = {"low": state.dtype, "float32": "float"}.get(rule)
        if rule == "promote" and _mixed(xs):
            wanted = "float"
        if wanted:
            kept = op.kept(state.device, tuple(x.type for x in xs)) if rule == "low" else ()
            xs = tuple(x if i in kept else cast(b, x, wanted) for i, x in enumerate(xs))
        results = b.all(op, *xs)
        if rule == "promote" and _scalar_constant(b, xs, state.dtype):
            results = tuple(cast(b, y, state.dtype) for y in results)
        return results

    return rebuild(graph, change)


def _mixed(xs: Values) -> bool:
    """Whether operands of several floating dtypes meet; one of rank 0 takes that of the others."""
    return len({x.type.dtype for x in xs if x.type.floating and x.type.rank}) > 1


def _scalar_constant(b: Builder, xs: Values, low: str) -> bool:
    """Whether a number of the text, which has no dtype, meets tensors of rank 0 in the low one."""
    floats = [x for x in xs if x.type.floating]
    constant = [isinstance(b.graph.node(x.node).op, Constant) for x in floats]
    own = {x.type for x, number in zip(floats, constant, strict=True) if not number}
    return any(constant) and {(t.rank, t.dtype) for t in own} == {(0, low)}


def _recurrence(b: Builder, op: Recur, xs: Values, state: Autocast, cast: OneCast) -> Values:
    """A recurrence whose steps are cast as if each were written out: a state may begin in float32
    and go on in the low dtype, so the first steps have graphs of their own until none changes.
    Weights and sequences that the steps want in the low dtype are cast before the first."""
    feeds: dict[str, Feed] = dict(zip((i.key for i in op.body.inputs), op.feeds, strict=True))
    early = [key for key, feed in feeds.items() if isinstance(feed, (At, Whole))]
    lag = max((f.lag for f in op.feeds if isinstance(f, Carried)), default=0)
    fed: list[tuple[Type, ...]] = []
    made: list[tuple[Type, ...]] = []
    graphs: list[Graph] = []
    while len(set(fed[-1 - lag :])) > 1 or len(fed) <= lag:
        if len(fed) in (op.steps, UNSETTLED):
            break
        fed.append(op.fed_types([x.type for x in xs], made))
        others = tuple((k, t.dtype) for k, t in zip(feeds, fed[-1], strict=True) if t.dtype in LOW)
        step = autocast(op.body, state._replace(others=others), early)
        graphs.append(rebuild(step, keep=reachable(step)))
        made.append(tuple(o.value.type for o in step.outputs))
    while len(graphs) > 1 and graphs[-1] == graphs[-2]:
        graphs.pop()

    operands: dict[Value, int] = {}

    def place(x: Value) -> int:
        return operands.setdefault(x, len(operands))

    def read(key: str) -> Feed:
        feed = feeds.get(key) or feeds[key.removesuffix(_lowered(state))]
        if isinstance(feed, Carried):
            return feed
        x = xs[feed.operand]
        return replace(feed, operand=place(x if key in feeds else cast(b, x, state.dtype)))

    new = replace(
        op,
        body=graphs[-1],
        feeds=tuple(read(source.key) for source in graphs[-1].inputs),
        starts=tuple(tuple(place(xs[i]) for i in row) for row in op.starts),
        first=tuple(graphs[:-1]),
    )
    return b.all(new, *operands)


def _lowered(state: Autocast) -> str:
    """What ends the key of an input of a step that is another one in the low dtype."""
    return f" {state.dtype}"
