"""Hoist: what no earlier step changes leaves a recurrence, over all steps at once.

Given   recur { z = linear(x[t]) + linear(h[t-1]); h[t] = tanh(z) }
Result  a = linear(x)                                 # one product for all steps and examples
        recur { z = a[t] + linear(h[t-1]); h[t] = tanh(z) }

What is the same at every step is computed once; what depends on sequences alone is computed with
the steps as further examples, where its op takes examples apart. A recurrence without states goes
away whole, and so does what nobody reads.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from netdsl.ir import Builder, Constant, Graph, Input, Node
from netdsl.loop import At, Carried, Drawn, Whole
from netdsl.op import Batched, Op, Type, Value, Values
from netdsl.ops.pieces import Slice
from netdsl.ops.shape import Expand, Reshape
from netdsl.recur import Recur
from netdsl.recur_builder import RecurBuilder
from netdsl.rewrite import dependent, reachable, rebuild
from netdsl.sizes import Size


def hoist(graph: Graph) -> Graph:
    outputs = {o.value for o in graph.outputs}

    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if not isinstance(node.op, Recur) or node.op.first:
            return None
        op = replace(node.op, body=hoist(node.op.body))
        read = {v.result for v in graph.results(n) if v in graph.users or v in outputs}
        made = _Hoist(b, op, xs, read).results()
        if made is None:
            return None if op == node.op else b.all(op, *xs)
        return made

    return rebuild(graph, change)


class _Hoist:
    """One recurrence: what of its body stands outside, and the rest of it."""

    def __init__(self, b: Builder, op: Recur, xs: Values, read: Collection[int]) -> None:
        self.b, self.op, self.xs = b, op, xs
        sources = [n for n, _ in op.body.sources(Input)]
        self.feeds = dict(zip(sources, op.feeds, strict=True))
        self.once: dict[Value, Value] = {}  # of the body -> the same at every step, outside
        self.at_once: dict[Value, Value] = {}  # of the body -> all steps as examples [N·S, …]
        self.sequences: dict[Value, At] = {}
        self.moved = False
        self.live = live_results(op, read)
        self.carried = {f.result for f in op.feeds if isinstance(f, Carried)} & self.live

    def results(self) -> Values | None:
        """The results, None where all stays as it is."""
        for n in self._steady():
            self._move(n)
        if not self.moved and len(self.live) == len(self.op.body.outputs):
            return None
        return self._rest()

    def _steady(self) -> list[int]:
        """The nodes that follow neither from an earlier step nor from a step's own seed."""
        body = self.op.body
        changing = [n for n, f in self.feeds.items() if isinstance(f, (Carried, Drawn))]
        changed = dependent(body, changing)
        needed = reachable(body, tuple(body.outputs[r] for r in sorted(self.live)))
        return [n for n, _ in body.items if n in needed and n not in changed]

    def _move(self, n: int) -> None:
        """Node n outside, if all that it reads is there and its op allows it."""
        body, b = self.op.body, self.b
        node = body.node(n)
        if isinstance(node.op, Input):
            feed = self.feeds[n]
            (v,) = body.results(n)
            if isinstance(feed, Whole):
                self.once[v] = self.xs[feed.operand]
            elif isinstance(feed, At) and v.type.rank:
                self.sequences[v] = feed
            return
        if isinstance(node.op, Constant):
            self.once[body.results(n)[0]] = b.constant(node.op.value)
            return
        operands = body.operands(n)
        each = [i for i, v in enumerate(operands) if v in self.at_once or v in self.sequences]
        if any(v not in self.once for i, v in enumerate(operands) if i not in each):
            return
        with b.at(node.path, node.span):
            if not each:
                made = b.append(node, *[self.once[v] for v in operands])
                self.once |= zip(body.results(n), made, strict=True)
            else:
                types = tuple(v.type for v in operands)
                batched = over_steps(node.op, types, each, self.op.steps)
                if batched is None or batched.summed:
                    return
                made = b.all(batched.op, *[self.once.get(v) or self._examples(v) for v in operands])
                self.at_once |= zip(body.results(n), made, strict=True)
        self.moved = True

    def _examples(self, v: Value) -> Value:
        """A value of every step, with the steps as examples."""
        if v not in self.at_once:
            feed = self.sequences[v]
            x = self.xs[feed.operand]
            self.at_once[v] = steps_as_examples(self.b, x, feed.shift, self.op.steps)
        return self.at_once[v]

    def _rest(self) -> Values:
        op, body = self.op, self.op.body
        loop = RecurBuilder(self.b)
        made: dict[Value, Value] = {}
        kept: dict[int, int] = {}  # result of the old loop -> of the new one
        outputs = [o.value for o in body.outputs]
        for r in sorted(self.live):
            if r in self.carried or not self._outside(outputs[r]):
                kept[r] = len(kept)

        def value(v: Value) -> Value:
            if v not in made:
                constant = body.node(v.node).op
                if isinstance(constant, Constant):
                    made[v] = loop.body.constant(constant.value)
                elif v in self.once:
                    made[v] = loop.whole(self.once[v])
                elif v in self.at_once and v not in self.sequences:
                    made[v] = loop.at(self._steps(v), 0)
                else:
                    made[v] = self._input(loop, v, kept)
            return made[v]

        needed = reachable(body, tuple(body.outputs[r] for r in kept))
        for n, node in body.items:
            results = body.results(n)
            if n not in needed or isinstance(node.op, (Input, Constant)):
                continue
            if all(self._outside(v) for v in results):
                continue
            operands = [value(v) for v in body.operands(n)]
            made |= zip(results, loop.body.append(node, *operands), strict=True)
        ends = [kept[r] for r in op.ends if r in kept]
        starts = [tuple(self.xs[i] for i in op.starts[r]) for r in kept]
        of_step = [value(outputs[r]) for r in kept]
        found = loop.build(of_step, starts, op.steps, op.backward, ends) if kept else ()
        return tuple(
            found[kept[r]]
            if r in kept
            else self._result(v, r in op.ends)
            if r in self.live
            else Value(-1, r, v.type)
            for r, v in enumerate(outputs)
        )

    def _outside(self, v: Value) -> bool:
        return v in self.once or v in self.at_once or v in self.sequences

    def _steps(self, v: Value) -> Value:
        """A value of every step as a sequence."""
        if v in self.sequences:
            feed = self.sequences[v]
            return part_of(self.b, self.xs[feed.operand], feed.shift, self.op.steps)
        return examples_as_steps(self.b, self.at_once[v], v.type.shape[0], self.op.steps)

    def _input(self, loop: RecurBuilder, v: Value, kept: dict[int, int]) -> Value:
        """An input of the old body as one of the new one's."""
        feed = self.feeds[v.node]
        if isinstance(feed, Carried):
            return loop.input(v.type, replace(feed, result=kept[feed.result]))
        x = self.xs[feed.operand]
        if isinstance(feed, At):
            return loop.at(x, feed.shift)
        return loop.input(v.type, replace(feed, operand=loop.operand(x)))

    def _result(self, v: Value, end: bool) -> Value:
        """A result that no step makes."""
        b, op = self.b, self.op
        if v in self.once:
            x = self.once[v]
            shape = x.type.shape
            if end:
                return x
            one = b(Reshape((shape[0], 1, *shape[1:])), x)
            return b(Expand((shape[0], op.steps, *shape[1:])), one)
        whole = self._steps(v)
        return step_of(b, whole, 0 if op.backward else op.steps - 1) if end else whole


def live_results(op: Recur, read: Collection[int]) -> set[int]:
    """The results that are read outside, or by a step that makes such a one."""
    sources = [n for n, _ in op.body.sources(Input)]
    feeds = dict(zip(sources, op.feeds, strict=True))
    live: set[int] = set()
    found = set(read)
    while found != live:
        live = found
        needed = reachable(op.body, tuple(op.body.outputs[r] for r in live))
        carried = {f.result for n, f in feeds.items() if n in needed and isinstance(f, Carried)}
        found = live | carried
    return live


def over_steps(
    op: Op, types: tuple[Type, ...], each: Collection[int], steps: Size
) -> Batched | None:
    """An op with the steps as examples, of which the operands `each` have one a step."""
    counts = {types[i].shape[:1] for i in each}
    if len(counts) > 1 or () in counts:
        return None
    ((n,),) = counts
    return op.batched(types, each, n * steps)


def part_of(b: Builder, x: Value, shift: Size, steps: Size) -> Value:
    """[N, T, …] -> [N, S, …], the steps from `shift` on."""
    whole = shift == 0 and x.type.shape[1] == steps
    return x if whole else b(Slice(1, shift, shift + steps), x)


def steps_as_examples(b: Builder, x: Value, shift: Size, steps: Size) -> Value:
    """[N, T, …] -> [N·S, …], the steps from `shift` on."""
    n, _, *rest = x.type.shape
    return b(Reshape((n * steps, *rest)), part_of(b, x, shift, steps))


def examples_as_steps(b: Builder, x: Value, n: Size, steps: Size) -> Value:
    """[N·S, …] -> [N, S, …]."""
    return b(Reshape((n, steps, *x.type.shape[1:])), x)


def step_of(b: Builder, x: Value, place: Size) -> Value:
    """[N, S, …] -> [N, …], the step at a place."""
    shape = x.type.shape
    return b(Reshape((shape[0], *shape[2:])), b(Slice(1, place, place + 1), x))
