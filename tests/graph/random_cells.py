"""Random recurrent nets for hypothesis: one tree, written as .net text and run as a loop of torch.

A net has one or two recurrences, each forward or backward; the second reads the states of the
first. A step defines names, then bounded states of lags up to 3, begun by constants or an input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

P = Mapping[str, Tensor]
WIDTH = 3


def _linear(p: P, key: str, *xs: Tensor) -> Tensor:
    return F.linear(torch.cat(xs, 1), p[f"{key}.weight"], p[f"{key}.bias"])


def _ln(p: P, key: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, (WIDTH,), p[f"{key}.weight"], p[f"{key}.bias"])


# op: how many terms, how it is written, what it is
OPS: Mapping[str, tuple[int, str, Callable[..., Tensor]]] = {
    "add": (2, "({0} + {1})", lambda p, key, a, b: a + b),
    "sub": (2, "({0} - {1})", lambda p, key, a, b: a - b),
    "mul": (2, "({0} * {1})", lambda p, key, a, b: a * b),
    "half": (1, "(0.5 * {0} - 0.1)", lambda p, key, a: 0.5 * a - 0.1),
    "tanh": (1, "tanh({0})", lambda p, key, a: a.tanh()),
    "sigmoid": (1, "sigmoid({0})", lambda p, key, a: a.sigmoid()),
    "linear": (1, "({0} -> linear(3) as {key})", _linear),
    "concat": (2, "(concat({0}, {1}) -> linear(3) as {key})", _linear),
    "ln": (1, "({0} -> ln as {key})", _ln),
    "gate": (
        3,
        "({1} + sigmoid({0}) * (tanh({2}) - {1}))",
        lambda p, key, a, b, c: b + a.sigmoid() * (c.tanh() - b),
    ),
}


@dataclass(frozen=True)
class Term:
    """An op on terms, `key` its layer's; or, without an op, what `key` is, or was `lag` before."""

    op: str
    key: str
    terms: tuple[Term, ...] = ()
    lag: int = 0

    def walk(self) -> Iterator[Term]:
        yield self
        for term in self.terms:
            yield from term.walk()


@dataclass(frozen=True)
class Recurrence:
    """Names and states of a step, in their order, and where each state starts, by lag from 1 on."""

    forward: bool
    names: Mapping[str, Term]
    states: Mapping[str, Term]
    starts: Mapping[str, tuple[float | None, ...]]  # None: the input `s`


@dataclass(frozen=True)
class RandomNet:
    recurrences: tuple[Recurrence, ...]
    together: bool  # in one block of equations

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(name for r in self.recurrences for name in r.states)

    def text(self) -> str:
        outputs = ", ".join(f"{name}_: [N, T, 3]" for name in self.states)
        bodies = ["\n".join(_lines(r)) for r in self.recurrences]
        if self.together:
            bodies = ["\n".join(bodies)]
        blocks = "\n".join(f"recur t in 1..T {{\n{body}\n}}" for body in bodies)
        ends = "\n".join(f"{name}_ = {name}" for name in self.states)
        return (
            f"net A(x: [N, T, 3], s: [N, 3]) -> ({outputs}, last: [N, 3]) {{\n"
            f"{blocks}\n{ends}\nlast = {self.states[0]}[T]\n}}"
        )

    def loop(self, inputs: Sequence[Tensor], p: P) -> tuple[Tensor, ...]:
        x, s = inputs
        steps = x.shape[1]
        values = {("x", t): x[:, t - 1] for t in range(1, steps + 1)}
        for r in self.recurrences:
            way, end = (1, 0) if r.forward else (-1, steps + 1)
            for name, starts in r.starts.items():
                for lag, start in enumerate(starts):
                    value = s if start is None else torch.full_like(s, start)
                    values[name, end - way * lag] = value
            for i in range(1, steps + 1):
                t = end + way * i
                for name, term in {**r.names, **r.states}.items():
                    values[name, t] = _value(term, t, way, values, p)
        whole = [
            torch.stack([values[name, t] for t in range(1, steps + 1)], 1) for name in self.states
        ]
        return (*whole, whole[0][:, -1])


def _value(term: Term, t: int, way: int, values: Mapping[tuple[str, int], Tensor], p: P) -> Tensor:
    if not term.op:
        return values[term.key, t - way * term.lag]
    return OPS[term.op][2](p, term.key, *(_value(x, t, way, values, p) for x in term.terms))


def _lines(r: Recurrence) -> Iterator[str]:
    for name, starts in r.starts.items():
        for lag, start in enumerate(starts):
            at = -lag if r.forward else f"T+{lag + 1}"
            yield f"{name}[{at}] = s" if start is None else f"{name}[{at}]: [N, 3] = {start}"
    for name, term in r.names.items():
        yield f"{name} = {_written(term, r)}"
    for name, term in r.states.items():
        yield f"{name}[t] = {_written(term, r)}"


def _written(term: Term, r: Recurrence) -> str:
    if term.op:
        return OPS[term.op][1].format(*(_written(x, r) for x in term.terms), key=term.key)
    if term.key in r.names:
        return term.key
    return f"{term.key}[t{'-' if r.forward else '+'}{term.lag}]" if term.lag else f"{term.key}[t]"


@st.composite
def random_nets(draw: Callable[..., object]) -> RandomNet:
    number = count()

    def term(leaves: Sequence[Term], depth: int, ops: Sequence[str]) -> Term:
        if depth == 0 or draw(st.integers(0, 4)) == 0:
            return draw(st.sampled_from(leaves))
        op = draw(st.sampled_from(ops))
        return Term(
            op, f"l{next(number)}", tuple(term(leaves, depth - 1, ops) for _ in range(OPS[op][0]))
        )

    def bounded(leaves: Sequence[Term], own: Term) -> Term:
        op, key = draw(st.sampled_from(["tanh", "sigmoid", "gate"])), f"l{next(number)}"
        new = term(leaves, 3, INNER)
        return Term(op, key, (term(leaves, 2, INNER), own, new) if op == "gate" else (new,))

    found: list[Recurrence] = []
    for i in range(draw(st.integers(1, 2))):
        seen = [Term("", "x"), *(Term("", name) for r in found for name in r.states)]
        mine = [f"{letter}{i}" for letter in "abc"[: draw(st.integers(1, 3))]]
        before = [Term("", name, lag=lag) for name in mine for lag in (1, 1, 2, 3)]
        names: dict[str, Term] = {}
        for j in range(draw(st.integers(0, 2))):
            known = [*seen, *before, *(Term("", name) for name in names)]
            names[f"z{i}{j}"] = Term("half", "", (term(known, 2, INNER),))
        states: dict[str, Term] = {}
        for name in mine:
            known = [*seen, *before, *(Term("", n) for n in (*names, *states))]
            states[name] = bounded(known, Term("", name, lag=1))
        starts = {
            name: tuple(draw(STARTS) for _ in range(longest))
            for name in mine
            if (longest := _longest(name, [*names.values(), *states.values()]))
        }
        found.append(Recurrence(draw(st.booleans()), names, states, starts))
    return RandomNet(tuple(found), draw(st.booleans()))


def _longest(name: str, terms: Sequence[Term]) -> int:
    """The longest lag at which a state is read."""
    return max((x.lag for term in terms for x in term.walk() if x.key == name), default=0)


INNER = tuple(op for op in OPS if op != "gate")
STARTS = st.sampled_from([None, 0.0, 1.0, -0.5])
