"""The items of a file, as the scope in which its blocks and nets stand; imports across files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import dirname

from netdsl.elaborate.calls import resolve
from netdsl.elaborate.scope import Binding, Run, Scope, Stop
from netdsl.elaborate.signature import of_definition
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import Block, Foreign
from netdsl.elaborate.walk import evaluate, execute
from netdsl.errors import Problem
from netdsl.spelling import did_you_mean
from netdsl.syntax import Alias, Default, Definition, Extern, File, Import, Keyword, Let

EDITION = 1
NETS = 100  # of a file: each is checked
SHIPPED = "netdsl:"  # in front of the keys of shipped models


@dataclass
class Library:
    """The files of one elaboration by key, and the scopes of those that are open."""

    run: Run
    files: Mapping[str, File]
    importable: tuple[str, ...] = ()
    scopes: dict[str, Scope] = field(default_factory=dict)
    opening: list[str] = field(default_factory=list)

    def open(self, key: str) -> Scope:
        """The scope of a file; its items are executed at the first time."""
        if key in self.scopes:
            return self.scopes[key]
        scope = Scope(self.run)
        self.scopes[key] = scope
        self.opening.append(key)
        file = self.files[key]
        if file.edition not in (None, EDITION):
            problem = Problem("N007", f"this netdsl knows edition {EDITION}, not {file.edition}")
            scope.report(problem, file.span)
        nets = [i for i in file.items if isinstance(i, Alias) or getattr(i, "kind", "") == "net"]
        if len(nets) > NETS:
            scope.report(Problem("N320", f"a file has at most {NETS} nets"), nets[NETS].span)
            raise Stop
        for item in file.items:  # blocks first: they may be used before their text
            if isinstance(item, Definition):
                scope.define(item.name, Block(item.name.text, item, scope))
            elif isinstance(item, Extern):
                scope.define(item.name, Foreign(item.name.text, item, scope))
            elif isinstance(item, Import):
                self._import(item, key, scope)
        for item in file.items:
            if isinstance(item, (Let, Default)):
                execute(item, scope)
            elif isinstance(item, Alias):
                _alias(item, scope)
        self.opening.pop()
        return scope

    def _import(self, item: Import, key: str, scope: Scope) -> None:
        found = next((k for k in keys(item.module.text, key) if k in self.files), None)
        exported: dict[str, Binding] = {}
        if found is None:
            scope.report(missing_file(item, self.importable), item.module.span)
        elif found in self.opening:
            around = " → ".join([*self.opening[self.opening.index(found) :], found])
            scope.report(Problem("N151", f"files import each other: {around}"), item.module.span)
        else:
            exported = self.open(found).names
        for name in item.names:
            binding = exported.get(name.text)
            if binding is None and exported:
                message = f"`{item.module.text}` has no `{name.text}`"
                problem = Problem("N152", message, **did_you_mean(name.span, exported))
                scope.report(problem, name.span)
            scope.define(name, UNKNOWN if binding is None else binding.value)


def keys(module: str, importing: str) -> tuple[str, ...]:
    """Where an imported file may be, in order: beside the importing one, among the shipped."""
    path = module.replace(".", "/") + ".net"
    if importing.startswith(SHIPPED):
        return (SHIPPED + path,)
    folder = dirname(importing)
    return (f"{folder}/{path}" if folder else path, SHIPPED + path)


def missing_file(item: Import, known: tuple[str, ...]) -> Problem:
    """N150."""
    message = f"there is no file `{item.module.text}.net` in this folder, nor a model of that name"
    return Problem("N150", message, **did_you_mean(item.module.span, known))


def _alias(item: Alias, scope: Scope) -> None:
    """`net A = B(depth=101)`: the block of B with hyper-parameters of its own."""
    try:
        target = resolve(item.call.name, scope)
        if target is not UNKNOWN and not isinstance(target, Block):
            raise Problem("N112", f"`{target}` is no net")
    except Problem as refused:
        target = scope.report(refused, item.call.name.span)
    if target is UNKNOWN:
        scope.define(item.name, UNKNOWN)
        return
    preset = dict(target.preset)
    signature = of_definition(target.definition, target.name)
    for argument in (*item.call.before, *(item.call.after or ())):
        if not isinstance(argument, Keyword):
            problem = Problem("N104", "an alias gives hyper-parameters by name: `name=value`")
            scope.report(problem, argument.span)
        elif argument.name.text not in signature.hypers:
            from netdsl.elaborate.hypers import unknown  # needed for errors only

            scope.report(
                unknown(signature, argument.name.text, argument.span, item.call.span), argument.span
            )
        else:
            value = evaluate(argument.value, scope)
            preset[argument.name.text] = Binding(value, argument.span, argument.value.span)
    scope.define(item.name, Block(item.name.text, target.definition, target.scope, preset))
