"""Where names are looked up: lexical scopes, and what the whole elaboration shares (`Run`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from netdsl.elaborate.naming import Namespace
from netdsl.elaborate.trace import Trace
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.errors import Diagnostics, Frame, Problem, Span
from netdsl.ir import Builder
from netdsl.op import Op, Value
from netdsl.sizes import Size
from netdsl.syntax import Expression, Name

NODES = 100_000
STEPS = 3  # for each node that is allowed
LETTERS = 8  # of a loop or block that count as one step
REPORTS = 200  # of one elaboration, those of one place in every turn of a loop counted
NESTING = 64  # of blocks in each other


class Stop(Exception):
    """Elaboration cannot go on; the reason is among the diagnostics."""


@dataclass
class Run:
    """One elaboration: the graph in the making, the findings, the instances by path."""

    builder: Builder
    found: Diagnostics
    limit: int = NODES
    instances: dict[str, Span] = field(default_factory=dict)
    ops: dict[tuple[type[Op], str], Op] = field(default_factory=dict)
    least: dict[Span, int] = field(default_factory=dict)  # nodes of a block, see least.py
    templates: dict[Span, Expression | None] = field(default_factory=dict)  # parsed parts of labels
    explored: set[Span] = field(default_factory=set)  # blocks elaborated on an unknown input
    exploring: bool = False  # bodies are read without knowing their inputs, see exploring.py
    depth: int = 0  # how many blocks and shared instances enclose what is elaborated now
    counting: int = 0  # how many of them enclose the one that is counted
    steps: int = 0
    reports: int = 0
    used: set[object] = field(default_factory=set)  # shared instances that stand in the graph
    sharing: int = 0  # how many further uses of one enclose what is elaborated now
    recurring: int = 0  # how many recurrences enclose what is elaborated now
    outlined: set[int] = field(default_factory=set)  # nodes that are in the bodies of loops
    sequences: dict[Value, Any] = field(default_factory=dict)  # results of recurrences
    facts: tuple[tuple[str, Size], ...] = ()  # what names of the net's signature are known to be
    implied: list[Implied] | None = None  # where the names of unlabelled stages are wanted
    trace: Trace | None = None  # an editor wants to know what is where

    @property
    def room(self) -> int:
        """How many steps are left."""
        return STEPS * self.limit - self.steps

    def step(self, scope: Scope, span: Span, count: int = 1) -> None:
        """Count steps; N323 where they or the nodes become too many."""
        self.steps += count
        if len(self.builder.graph) > self.limit:
            self.exceed(scope, span)
        if self.room < 0:
            most = STEPS * self.limit
            self._stop(scope, span, f"loops, blocks and lists take more than {most:,} steps here")

    def turn(self, scope: Scope, span: Span, body: Span) -> None:
        """Count a turn of a loop, or an instantiation: one step, and more for a long text."""
        self.step(scope, span, 1 + (body.end - body.start) // LETTERS)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Inside a block or a shared instance; N312 where too many are in each other."""
        if self.depth >= NESTING:
            raise Problem(
                "N312",
                f"blocks are nested more than {NESTING} deep here",
                helps=("a block that uses itself needs an end: `if depth == 0 then x else …`",),
            )
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def exceed(self, scope: Scope, span: Span) -> None:
        """Report N323 here, of the nodes, and stop."""
        self._stop(scope, span, f"the net grows beyond {self.limit:,} nodes here")

    def _stop(self, scope: Scope, span: Span, message: str) -> None:
        helps = ("`limit=` of netdsl.parse raises the limit",)
        scope.report(Problem("N323", message, helps=helps), span)
        raise Stop


@dataclass(frozen=True)
class Binding:
    """A name's value, where it was given, and where the value is written (`origin`), if known."""

    value: Any
    span: Span
    origin: Span | None = None


@dataclass
class Scope:
    """Names and defaults of a stretch of text (a file, a body, a turn of a loop), instantiated.

    `space` gives names to instances, `stack` says which instantiations led here.
    """

    run: Run
    parent: Scope | None = None
    space: Namespace = field(default_factory=Namespace)
    stack: tuple[Frame, ...] = ()
    names: dict[str, Binding] = field(default_factory=dict)
    defaults: dict[object, dict[str, Binding]] = field(default_factory=dict)

    def find(self, name: str) -> Binding | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None

    def define(self, name: Name, value: Any, origin: Span | None = None) -> None:
        """Give a name its value; N120 where it has one in this scope already."""
        before = self.names.get(name.text)
        if before is not None:
            problem = Problem(
                "N120",
                f"`{name.text}` is defined twice",
                others=((before.span, "first defined here"),),
                helps=("a name keeps its value: take another one",),
            )
            self.report(problem, name.span)
        self.names[name.text] = Binding(value, name.span, origin)

    def default(self, layer: object) -> Mapping[str, Binding]:
        """The `default` arguments in force for a layer; inner ones come first."""
        merged: dict[str, Binding] = {}
        scope: Scope | None = self
        while scope is not None:
            if layer in scope.defaults:
                merged = {**scope.defaults[layer], **merged}
            scope = scope.parent
        return merged

    def implied(self, kind: str, span: Span, operator: bool = False) -> str:
        """The path of the next application without a label, by the rule of names."""
        path = self.space.operator(kind) if operator else self.space.stage(kind)
        if self.run.implied is not None:
            self.run.implied.append(Implied(span, kind, path, self, operator))
        return path

    def report(self, problem: Problem, span: Span) -> Any:
        """Add the problem to the findings at this place; the value is unknown then."""
        self.run.found.add(problem.at(span, self.stack))
        self.run.reports += 1
        if self.run.reports > REPORTS:
            raise Stop
        return UNKNOWN

    def inner(self, names: dict[str, Binding]) -> Scope:
        """A scope with further names, for a turn of a loop."""
        return Scope(self.run, self, self.space, self.stack, names)

    def under(self, space: Namespace) -> Scope:
        """The same names, where instances get other paths."""
        return Scope(self.run, self, space, self.stack)

    def visible(self, kinds: tuple[type, ...] = (object,)) -> list[str]:
        """Every name that can be used here and stands for something of these kinds."""
        scope: Scope | None = self
        found: list[str] = []
        while scope is not None:
            found += [n for n, b in scope.names.items() if isinstance(b.value, kinds)]
            scope = scope.parent
        return found


@dataclass(frozen=True, eq=False)
class Implied:
    """The path that an application without a label has in one instantiation. An `operator` between
    tensors is no stage and cannot have a label."""

    span: Span
    kind: str
    path: str
    scope: Scope = field(repr=False)
    operator: bool

    @property
    def name(self) -> str:
        """The path below its scope."""
        return self.path.removeprefix(self.scope.space.prefix)
