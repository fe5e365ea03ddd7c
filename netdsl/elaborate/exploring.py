"""Bodies read without knowing anything: names and arguments are checked where nothing uses a block.

Inputs and hyper-parameters are unknown, so every branch is read and every loop turns once. What
depends on a size or a value is left to the instantiations.
"""

from __future__ import annotations

from netdsl.elaborate.binding import match
from netdsl.elaborate.blocks import run
from netdsl.elaborate.scope import Scope
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.walk import evaluate
from netdsl.errors import Problem
from netdsl.syntax import Definition, File


def explore(file: File, scope: Scope) -> None:
    """Report what is wrong with the bodies of a file, whatever they are used with."""
    definitions = [item for item in file.items if isinstance(item, Definition)]
    shared = scope.run
    shared.exploring = True
    shared.explored |= {definition.span for definition in definitions}
    for definition in definitions:
        _explore(definition, Scope(shared, scope))


def _explore(definition: Definition, scope: Scope) -> None:
    for hyper in definition.hypers:
        if hyper.default is not None:
            evaluate(hyper.default, scope)
        scope.names.pop(hyper.name.text, None)
        scope.define(hyper.name, UNKNOWN)
    for tensor in definition.tensors:
        try:
            if tensor.type is not None:
                match(tensor.type, UNKNOWN, tensor.name.text, scope)
        except Problem as problem:
            scope.report(problem, tensor.span)
        scope.define(tensor.name, UNKNOWN)
    run(definition, scope)
