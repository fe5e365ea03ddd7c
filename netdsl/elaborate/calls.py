"""Using what a name stands for: a layer of the library, a block, a shared instance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from netdsl.elaborate import arguments as args
from netdsl.elaborate.arguments import Use, Written
from netdsl.elaborate.blocks import call_extern, instantiate
from netdsl.elaborate.layers import add, build, claim
from netdsl.elaborate.least import check_growth, least_of
from netdsl.elaborate.naming import inside
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.signature import of_definition, of_op
from netdsl.elaborate.unknown import UNKNOWN, Unknown
from netdsl.elaborate.values import LAYERS, Block, Foreign, Instance, Library, describe, is_tensor
from netdsl.elaborate.walk import apply
from netdsl.errors import Edit, Problem, Span
from netdsl.op import OPS
from netdsl.spelling import did_you_mean, layer_spelling
from netdsl.syntax import Bare, Call, Name, Stage


def use(
    node: Call | Bare,
    piped: Any,
    scope: Scope,
    path: str | None = None,
    written: Written | None = None,
) -> Any:
    """Apply what the node names to `piped` (`NO_PIPE`: its arguments bring the tensors).

    The new instance is called `path`, or by the scope's rule. `written`: the arguments, where they
    are evaluated already.
    """
    problem: Problem | None = None
    try:
        target = resolve(node.name, scope, piped is args.NO_PIPE)
    except Problem as refused:
        target, problem = UNKNOWN, refused
    if written is None:
        written = args.read(node, scope) if isinstance(node, Call) else args.NOTHING
    if problem is not None:
        scope.report(problem, node.name.span)
        target = _meant(node.name, problem)
    if target is UNKNOWN:
        return UNKNOWN
    return USE[type(target)](target, Use(node, written, piped), scope, path)


def _meant(name: Name, problem: Problem) -> Any:
    """The layer that another library calls so, that what is wrong with its use comes out too."""
    here = layer_spelling(name.text)
    known = here in OPS and problem.diagnostic.sure
    return Library(OPS[here]) if here is not None and known else UNKNOWN


def resolve(name: Name, scope: Scope, called: bool = False) -> Any:
    """The layer that a name stands for; raises `Problem` where it stands for something else.

    `called`: the name is followed by arguments, without a pipe before it.
    """
    found = scope.find(name.text)
    if found is None:
        op = OPS.get(name.text)
        if op is None or not op.layer:
            raise unknown_layer(name, scope)
        return Library(op)
    if found.value is UNKNOWN or isinstance(found.value, LAYERS):
        return found.value
    message = f"`{name.text}` is {describe(found.value)}, not a layer"
    if not is_tensor(found.value):
        raise Problem("N112", message)
    if called and name.span.source.text[name.span.end : name.span.end + 1] == "(":
        behind = Span(name.span.source, name.span.end, name.span.end)
        help = f"is an arrow missing, `{name.text} -> (…)`?"
        raise Problem("N112", message, helps=(help,), edits=(Edit(behind, " -> "),))
    help = "a pipe goes into layers; tensors are combined by `a + b` or `concat(a, b)`"
    raise Problem("N112", message, helps=(help,))


def unknown_layer(name: Name, scope: Scope) -> Problem:
    """N101, with what was probably meant."""
    here = layer_spelling(name.text)
    if here is not None and here in OPS:
        edit = Edit(name.span, here)
        message = f"`{name.text}` is called `{here}` here"
        return Problem("N101", message, edits=(edit,), sure=True)
    layers = [op.name for op in OPS.values() if op.layer]
    known = [*scope.visible((*LAYERS, Unknown)), *layers]
    return Problem("N101", f"there is no layer `{name.text}`", **did_you_mean(name.span, known))


def _use_library(target: Library, use: Use, scope: Scope, path: str | None) -> Any:
    signature = of_op(target.op.name)
    given = args.bind(signature, use, scope.default(target.op), scope)
    op = build(target.op, given.hypers, scope, use.node.span, given.tensors)
    path = path or scope.implied(target.name, use.node.span)
    if op is UNKNOWN:
        return UNKNOWN
    spans = tuple(binding.span for binding in use.written.before)[: len(given.tensors)]
    return add(op, given, spans, path, scope, use.node.span)


def _use_block(target: Block, use: Use, scope: Scope, path: str | None) -> Any:
    signature = of_definition(target.definition, target.name)
    defaults = {**target.preset, **scope.default(target.definition.span)}
    given = args.bind(signature, use, defaults, scope)
    path = path or scope.implied(target.name, use.node.span)
    claim(path, use.node.span, scope)
    return instantiate(target, given, path, scope, use.node.span)


def _use_instance(target: Instance, use: Use, scope: Scope, path: str | None) -> Any:
    if path is not None:
        raise Problem(
            "N121",
            f"`{target.name}` is one shared instance and keeps its name, `{target.path}`",
            helps=("the label belongs to its declaration: `layer … = … as name`",),
        )
    given = [Binding(use.piped, use.node.span)] if use.has_pipe else []
    given += use.written.before
    if not given or use.written.after or use.written.keywords:
        raise Problem(
            "N110",
            f"the shared layer `{target.name}` takes tensors and nothing else",
            helps=("its hyper-parameters stand where it is declared: `layer … = …`",),
        )
    run = scope.run
    check_growth(least_of(target, scope), scope, use.node.span)
    again = target in run.used
    run.used.add(target)
    run.sharing += again
    try:
        with run.nested():
            return _place_shared(target, given)
    finally:
        run.sharing -= again


def _place_shared(target: Instance, given: list[Binding]) -> Any:
    stage, scope, path = target.stage, target.scope, target.path
    first, *others = given
    if not others:
        return place(stage, first.value, scope, path, target.numbered)
    if not isinstance(stage, (Call, Bare)) or target.numbered:
        raise Problem("N110", f"the shared layer `{target.name}` is a group and takes one tensor")
    declared = args.read(stage, scope) if isinstance(stage, Call) else args.NOTHING
    written = replace(declared, before=(*others, *declared.before))
    return use(stage, first.value, scope, path, written)


def _use_foreign(target: Foreign, use: Use, scope: Scope, path: str | None) -> Any:
    given = args.bind(of_definition(target.declared, target.name), use, {}, scope)
    path = path or scope.implied(target.name, use.node.span)
    claim(path, use.node.span, scope)
    return call_extern(target, given, path, scope, use.node.span)


USE: dict[type, Callable[[Any, Use, Scope, str | None], Any]] = {
    Library: _use_library,
    Block: _use_block,
    Instance: _use_instance,
    Foreign: _use_foreign,
}


def place(stage: Stage, piped: Any, scope: Scope, path: str, numbered: bool) -> Any:
    """Apply a stage under a path: an instance takes it, a group or a list opens it as a scope."""
    if isinstance(stage, (Call, Bare)) and not numbered:
        return use(stage, piped, scope, path)
    claim(path, stage.span, scope)
    return apply((stage,), piped, scope.under(inside(path, numbered)))
