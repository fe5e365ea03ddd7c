"""Recompute: what backward can make again at little cost is not saved for it.

Given   y = relu(batch_norm(x)), of whose gradients one reads x and the statistics, others y
Result  those others read another y, made of x and the statistics just before its first use

A value is made again where its op says how (`Op.again`) and where all that it follows from is at
hand in backward: saved in any case, made again too, or a vector (one number a channel), which is
saved for it. Chains end so at what is dear, the results of convolutions and matrix products, and
along shortcuts at every second fork: all that comes after the first would be held from where
backward enters the chain, which costs more than it frees.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

from netdsl.ir import Builder, Constant, Graph, Node, Output, Source
from netdsl.op import Op, Value, Values
from netdsl.ops.arithmetic import Mul
from netdsl.rewrite import reachable, rebuild

Recipes: TypeAlias = Mapping[Value, tuple[Op, Values]]


def recompute(joint: Graph) -> Graph:
    early = reachable(joint, tuple(o for o in joint.outputs if o.role != "gradient"))
    late = reachable(joint) - early
    read = {v for n in late for v in joint.operands(n) if v.node in early}
    kept = {_base(joint, v) for v in read}
    recipes = _recipes(joint, early, kept)
    chosen = _chain(recipes, [v for v in read if v in recipes])
    if not chosen:
        return joint
    borrowed = _borrowed(joint, recipes, chosen) - kept
    new: dict[Value, Value] = {}
    own: dict[Value, Value] = {}  # copies of what is borrowed: its owner may write there meanwhile
    again: dict[Value, Value] = {}

    def make(b: Builder, value: Value) -> Value:
        for v in _chain(recipes, [value], again):
            op, operands = recipes[v]
            node = joint.node(v.node)
            with b.at(node.path, node.span):
                made = b.all(op, *(again.get(x) or own.get(x) or new[x] for x in operands))
            again.update(zip(joint.results(v.node), made, strict=False))
        return again[value]

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values:
        if n in late:
            pairs = zip(joint.operands(n), xs, strict=True)
            xs = tuple(make(b, v) if v in recipes else x for v, x in pairs)
        results = b.append(node, *xs)
        for old, value in zip(joint.results(n), results, strict=True):
            new[old] = value
            if old in borrowed:
                own[old] = b(Mul(), value, b.constant(1.0))
        return results

    def copied(b: Builder) -> tuple[Output, ...]:
        return tuple(Output(str(i), v, "saved") for i, v in enumerate(own.values()))

    return rebuild(joint, change, added=copied)


def _recipes(joint: Graph, early: Collection[int], kept: Collection[Value]) -> Recipes:
    """Of the values that backward can make again, how; `kept` are saved for it otherwise."""
    recipes: dict[Value, tuple[Op, Values]] = {}
    forked: set[Value] = set()  # made again along a path with a fork in it

    def at_hand(v: Value) -> bool:
        op = joint.node(v.node).op
        vector = v.type.rank < 2 and (v.type.floating or not isinstance(op, Source))
        return v in recipes or vector or _base(joint, v) in kept

    for n, node in joint.items:
        if n not in early or isinstance(node.op, Source):
            continue
        found = node.op.again(joint.operands(n), joint.results(n))
        if found is None or not all(map(at_hand, found[1])):
            continue
        if node.op.view and found[1][0] not in recipes:
            continue  # the cut makes the views of what is saved
        after_fork = not forked.isdisjoint(found[1])
        for v in joint.results(n)[: None if found[0] is node.op else 1]:
            users = {user for user, _ in joint.users.get(v, ()) if user in early}
            fork = len(users) > 1 and v in kept
            if v.type.rank < 2 or (fork and after_fork):
                continue
            recipes[v] = found
            if fork or after_fork:
                forked.add(v)
    return recipes


def _chain(recipes: Recipes, values: list[Value], made: Collection[Value] = ()) -> list[Value]:
    """The values and all that they are made from which has a recipe, first things first."""
    found: set[Value] = set()
    queue = list(values)
    while queue:
        v = queue.pop()
        if v in recipes and v not in made and v not in found:
            found.add(v)
            queue += recipes[v][1]
    return sorted(found, key=lambda v: (v.node, v.result))


def _borrowed(joint: Graph, recipes: Recipes, chosen: list[Value]) -> set[Value]:
    """The inputs and parameters that recipes read."""
    sources = (x for v in chosen for x in recipes[v][1])
    return {
        x
        for x in sources
        if isinstance(joint.node(x.node).op, Source)
        and not isinstance(joint.node(x.node).op, Constant)
    }


def _base(joint: Graph, v: Value) -> Value:
    """The value that a view is of."""
    while joint.node(v.node).op.view:
        v = joint.operands(v.node)[0]
    return v
