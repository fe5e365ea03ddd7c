"""Sink: what no later step reads leaves a recurrence behind it, over all steps at once.

Given   recur { dz = …; dx[t] = dz @ W; sum = sum[t+1] + dzᵀ h[t] }
Result  recur { dz[t] = … }; dx = dz @ W; sum = dzᵀ h     # one product for all steps and examples

So the gradient of a weight that all steps share is one product over the whole sequence. A value
is worth it where the loop has not to keep more for it than the value itself.
"""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir import Builder, Constant, Graph, Input, Node
from netdsl.loop import At, Carried, Whole
from netdsl.op import Batched, Value, Values
from netdsl.ops.arithmetic import Add
from netdsl.ops.shape import Zeros
from netdsl.passes.hoist import examples_as_steps, over_steps, steps_as_examples
from netdsl.recur import Recur
from netdsl.rewrite import dependent, reachable, rebuild


def sink(graph: Graph) -> Graph:
    def change(b: Builder, n: int, node: Node, xs: Values) -> Values | None:
        if not isinstance(node.op, Recur) or node.op.first:
            return None
        op = replace(node.op, body=sink(node.op.body))
        made = _Sink(b, op, xs).results()
        if made is None:
            return None if op == node.op else b.all(op, *xs)
        return made

    return rebuild(graph, change)


class _Sink:
    """One recurrence: which of its results are made behind it, and the rest of it."""

    def __init__(self, b: Builder, op: Recur, xs: Values) -> None:
        self.b, self.op, self.xs = b, op, xs
        body = op.body
        sources = [n for n, _ in body.sources(Input)]
        self.feeds = dict(zip(sources, op.feeds, strict=True))
        self.outputs = [o.value for o in body.outputs]
        self.varying = dependent(body, [n for n, f in self.feeds.items() if _varies(f)])
        self.terms = self._terms()
        self.carried = {
            f.result for f in op.feeds if isinstance(f, Carried) and f.result not in self.terms
        }
        fixed = self.carried | {r for r in op.ends if r not in self.terms}
        self.staying = reachable(body, tuple(body.outputs[r] for r in sorted(fixed)))
        self.folded: dict[Value, Value] = {}  # of the body -> all steps as examples [N·S, …]

    def _terms(self) -> dict[int, Value]:
        """Of the results that are nothing but sums over the steps what each step adds."""
        body, found = self.op.body, {}
        for n, feed in self.feeds.items():
            if not isinstance(feed, Carried) or feed.lag != 1 or feed.result not in self.op.ends:
                continue
            total = self.outputs[feed.result]
            (before,) = body.results(n)
            alone = body.users.get(before, ()) and total not in body.users
            if not alone or len(body.users[before]) > 1 or self.outputs.count(total) > 1:
                continue
            if isinstance(body.node(total.node).op, Add):
                terms = [v for v in body.operands(total.node) if v != before]
                if len(terms) == 1 and terms[0].type == total.type:
                    found[feed.result] = terms[0]
        return found

    def results(self) -> Values | None:
        """The results, None where all stays as it is."""
        sums = {r: v for r, v in self.terms.items() if self._batched(v, summed=True)}
        behind = {
            r
            for r, v in enumerate(self.outputs)
            if r not in self.carried and r not in self.op.ends and self._sinks(v)
        }
        if not sums and not behind:
            return None
        wanted = [self.outputs[r] for r in behind]
        wanted += [v for t in sums.values() for v in self.op.body.operands(t.node)]
        kept = {r: v for r, v in enumerate(self.outputs) if r not in sums and r not in behind}
        extra = [v for v in self._needed(wanted) if v not in self._stacked(kept)]
        found = self._loop(kept, extra)
        made = zip(extra, found[len(kept) :], strict=True)
        self.folded |= {v: self._as_examples(y) for v, y in made}
        place = {r: i for i, r in enumerate(kept)}
        for r, v in kept.items():
            if r not in self.op.ends and v not in self.folded:
                self.folded[v] = self._as_examples(found[place[r]])
        return tuple(
            found[place[r]]
            if r in place
            else self._total(r, sums[r])
            if r in sums
            else examples_as_steps(self.b, self._fold(v), v.type.shape[0], self.op.steps)
            for r, v in enumerate(self.outputs)
        )

    def _stacked(self, kept: dict[int, Value]) -> set[Value]:
        return {v for r, v in kept.items() if r not in self.op.ends}

    def _batched(self, v: Value, *, summed: bool) -> Batched | None:
        """The op that makes v over all steps, if that gives v of each step, or their sum."""
        body = self.op.body
        node, operands = body.node(v.node), body.operands(v.node)
        each = [i for i, x in enumerate(operands) if x.node in self.varying]
        if not each or isinstance(node.op, Input):
            return None
        types = tuple(x.type for x in operands)
        found = over_steps(node.op, types, each, self.op.steps)
        return found if found is not None and (v.result in found.summed) == summed else None

    def _sinks(self, v: Value) -> bool:
        """Whether v is better made behind the loop: from one value of the loop alone."""
        if v.node in self.staying or self._batched(v, summed=False) is None:
            return False
        return len(self._made(v)) < 2

    def _made(self, v: Value) -> set[Value]:
        """What v is made of that is computed step by step."""
        body = self.op.body
        operands = {x for x in body.operands(v.node) if x.node in self.varying}
        return {x for x in operands if not isinstance(self.feeds.get(x.node), At)}

    def _needed(self, wanted: list[Value]) -> list[Value]:
        """The values of the loop that these are made of."""
        found: dict[Value, None] = {}
        while wanted:
            v = wanted.pop()
            if v.node not in self.varying or isinstance(self.feeds.get(v.node), At):
                continue
            if self._sinks(v):
                wanted += self.op.body.operands(v.node)
            else:
                found[v] = None
        return list(found)

    def _loop(self, kept: dict[int, Value], extra: list[Value]) -> Values:
        body, place = self.op.body, {r: i for i, r in enumerate(kept)}
        outputs = tuple(
            replace(body.outputs[0], name=f"y{i}", value=v)
            for i, v in enumerate((*kept.values(), *extra))
        )
        inner = rebuild(body, keep=reachable(body, outputs), outputs=outputs)
        feeds = [self.feeds[n] for n, _ in body.sources(Input) if n in reachable(body, outputs)]
        moved = (replace(f, result=place[f.result]) if isinstance(f, Carried) else f for f in feeds)
        op = replace(
            self.op,
            body=inner,
            feeds=tuple(moved),
            starts=(*(self.op.starts[r] for r in kept), *(() for _ in extra)),
            ends=tuple(place[r] for r in self.op.ends if r in place),
        )
        return self.b.all(op, *self.xs)

    def _as_examples(self, y: Value) -> Value:
        return steps_as_examples(self.b, y, 0, self.op.steps)

    def _fold(self, v: Value) -> Value:
        """A value of every step, with the steps as examples."""
        if v not in self.folded:
            feed = self.feeds.get(v.node)
            if isinstance(feed, At):
                x = self.xs[feed.operand]
                self.folded[v] = steps_as_examples(self.b, x, feed.shift, self.op.steps)
            else:
                self.folded[v] = self._over_steps(v, summed=False)
        return self.folded[v]

    def _over_steps(self, v: Value, *, summed: bool) -> Value:
        node = self.op.body.node(v.node)
        batched = self._batched(v, summed=summed)
        assert batched is not None
        operands = [self._outer(x) for x in self.op.body.operands(v.node)]
        with self.b.at(node.path, node.span):
            return self.b.all(batched.op, *operands)[v.result]

    def _outer(self, v: Value) -> Value:
        """An operand outside: of all steps where it changes from step to step."""
        if v.node in self.varying:
            return self._fold(v)
        feed, node = self.feeds.get(v.node), self.op.body.node(v.node)
        if isinstance(feed, Whole):
            return self.xs[feed.operand]
        if isinstance(node.op, Constant):
            return self.b.constant(node.op.value)
        operands = [self._outer(x) for x in self.op.body.operands(v.node)]
        return self.b.append(node, *operands)[v.result]

    def _total(self, r: int, term: Value) -> Value:
        total = self._over_steps(term, summed=True)
        start = self.xs[self.op.starts[r][0]]
        zeros = isinstance(self.b.graph.node(start.node).op, Zeros)
        return total if zeros else self.b(Add(), start, total)


def _varies(feed: object) -> bool:
    return not isinstance(feed, Whole)
