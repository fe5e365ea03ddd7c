"""Expressions: names, numbers, lists and tables, choices, operators on numbers and on tensors."""

from __future__ import annotations

from typing import Any

from netdsl.elaborate.arguments import NO_PIPE, read
from netdsl.elaborate.bounds import ELEMENTS, weigh
from netdsl.elaborate.builtins import BUILTINS
from netdsl.elaborate.calls import use
from netdsl.elaborate.ends import place
from netdsl.elaborate.indices import outside, read_end, read_sequence
from netdsl.elaborate.layers import infix, operand
from netdsl.elaborate.numbers import COMPARISONS, calculate, compare, negate, truth
from netdsl.elaborate.recurrence import (
    STEPS,
    State,
    Step,
    move,
    read_state,
)
from netdsl.elaborate.scope import Scope
from netdsl.elaborate.unknown import UNKNOWN
from netdsl.elaborate.values import (
    LAYERS,
    Bundle,
    Library,
    are_tensors,
    describe,
    is_tensor,
    is_whole,
    show,
)
from netdsl.elaborate.vocabulary import words
from netdsl.elaborate.walk import evaluate, expression
from netdsl.errors import Edit, Problem
from netdsl.op import OPS
from netdsl.sizes import Poly
from netdsl.spelling import WORDS, did_you_mean, layer_spelling
from netdsl.syntax import (
    Binary,
    Call,
    Expression,
    Field,
    Index,
    Literal,
    Name,
    Sequence,
    Table,
    Ternary,
    Unary,
    names_in,
)

# infix operators of tensors -> their ops
OPERATORS = {"+": "add", "-": "sub", "*": "mul", "/": "div", "^": "pow", "@": "matmul"}


@expression(Literal)
def _literal(node: Literal, scope: Scope) -> Any:
    return node.value


@expression(Name)
def _name(node: Name, scope: Scope) -> Any:
    found = scope.find(node.text)
    if found is not None:
        if isinstance(found.value, State):
            raise _whole_state(found.value, node)
        return found.value
    if node.text == "none":
        return None
    op = OPS.get(node.text)
    if op is not None and op.layer:
        return Library(op)
    if node.text in words():
        return node.text
    problem = _unknown(node, scope)
    scope.report(problem, node.span)
    return _meant(node, problem)


def _whole_state(state: State, node: Name) -> Problem:
    """N302: inside `recur` a state is read step by step."""
    now, before = f"{state}[{state.of.name}]", f"{state}[{state.of.name}-1]"
    return Problem(
        "N302",
        f"`{state}` has a value at each step, and this reads it whole",
        helps=(f"`{now}` is this step's, `{before}` the one before",),
    )


def _meant(node: Name, problem: Problem) -> Any:
    """What another library calls so, that what is wrong with its use comes out too."""
    if node.text in WORDS:
        return {"true": True, "false": False, "none": None}[WORDS[node.text]]
    here = layer_spelling(node.text)
    return Library(OPS[here]) if here is not None and problem.diagnostic.sure else UNKNOWN


def _unknown(node: Name, scope: Scope) -> Problem:
    """N101, with what was probably meant."""
    here = WORDS.get(node.text) or layer_spelling(node.text)
    if here is not None and (here in OPS or here in WORDS.values()):
        edit = Edit(node.span, here)
        message = f"`{node.text}` is called `{here}` here"
        return Problem("N101", message, edits=(edit,), sure=True)
    layers = [op.name for op in OPS.values() if op.layer]
    known = [*scope.visible(), *layers, *words()]
    message = f"nothing here is called `{node.text}`"
    return Problem("N101", message, **did_you_mean(node.span, known))


@expression(Sequence)
def _sequence(node: Sequence, scope: Scope) -> Any:
    items = [evaluate(item, scope) for item in node.items]
    if any(item is UNKNOWN for item in items):
        return UNKNOWN
    value = tuple(items)
    weigh(value, scope, node.span)
    return value


@expression(Table)
def _table(node: Table, scope: Scope) -> Any:
    table: dict[Any, Any] = {}
    for pair in node.pairs:
        key, value = evaluate(pair.key, scope), evaluate(pair.value, scope)
        if key is UNKNOWN or value is UNKNOWN:
            return UNKNOWN
        if not isinstance(key, (int, str)):
            problem = Problem(
                "N143", f"an entry is found by a number or string, not {describe(key)}"
            )
            return scope.report(problem, pair.key.span)
        if key in table:
            return scope.report(
                Problem("N120", f"the table has two entries {show(key)}"), pair.key.span
            )
        table[key] = value
    weigh(table, scope, node.span)
    return table


@expression(Index)
def _index(node: Index, scope: Scope) -> Any:
    base = _base(node.base, scope)
    if any(scope.find(n.text) is None for n in names_in(node.index)):
        if base is UNKNOWN:
            return UNKNOWN
        if is_tensor(base):
            raise outside(node)
    index = place(node.index, scope)
    if base is UNKNOWN or index is UNKNOWN:
        return UNKNOWN
    if isinstance(base, State):
        return read_state(base, index, node)
    if isinstance(base, dict):
        if isinstance(index, (int, str)) and index in base:
            return base[index]
        from netdsl.elaborate.entries import no_entry  # needed for errors only

        raise no_entry(base, index, node, scope)
    if isinstance(base, (tuple, range)):
        if is_whole(index) and -len(base) <= index < len(base):
            return base[index]
        from netdsl.elaborate.entries import no_element  # needed for errors only

        raise no_element(base, index, node)
    if not is_tensor(base):
        raise Problem("N142", f"{describe(base)} has no elements")
    tensor = operand(base, scope)
    if tensor is UNKNOWN:
        return UNKNOWN
    if isinstance(index, Step):
        return read_sequence(tensor, index, node)
    return read_end(tensor, index, node, scope)


def _base(node: Expression, scope: Scope) -> Any:
    """What is indexed; of a recurrence's name its `State`."""
    found = scope.find(node.text) if isinstance(node, Name) else None
    if found is not None and isinstance(found.value, State):
        return found.value
    return evaluate(node, scope)


@expression(Field)
def _field(node: Field, scope: Scope) -> Any:
    base = evaluate(node.base, scope)
    if base is UNKNOWN:
        return UNKNOWN
    name = node.name.text
    if not isinstance(base, Bundle):
        raise Problem("N115", f"{describe(base)} has no outputs by name, so no `{name}`")
    if name not in base.results:
        raise Problem(
            "N115",
            f"there is no output `{name}`",
            notes=(f"there are {', '.join(base.results)}",),
            **did_you_mean(node.name.span, base.results),
        )
    return base.results[name]


@expression(Ternary)
def _ternary(node: Ternary, scope: Scope) -> Any:
    condition = evaluate(node.condition, scope)
    if condition is UNKNOWN:
        if scope.run.exploring:
            evaluate(node.yes, scope)
            evaluate(node.no, scope)
        return UNKNOWN
    return evaluate(node.yes if truth(condition, "the condition of `if`") else node.no, scope)


@expression(Unary)
def _unary(node: Unary, scope: Scope) -> Any:
    value = evaluate(node.operand, scope)
    if value is UNKNOWN:
        return UNKNOWN
    if node.operator == "not":
        return not truth(value, "the operand of `not`")
    if is_tensor(value):
        return infix("neg", value, (), (node.operand.span,), scope, node.span)
    return negate(value)


@expression(Binary)
def _binary(node: Binary, scope: Scope) -> Any:
    left = evaluate(node.left, scope)
    if node.operator in ("and", "or"):
        return _logic(node, left, scope)
    right = evaluate(node.right, scope)
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if isinstance(left, STEPS) or isinstance(right, STEPS):
        return move(node.operator, left, right)
    if not is_tensor(left) and not is_tensor(right):
        for value in (left, right):
            weigh(value, scope, node.span)
        if isinstance(left, Poly) and isinstance(right, Poly):
            scope.run.step(scope, node.span, left.weight * right.weight // ELEMENTS)
        return _of_numbers(node, left, right)
    for side, value, other in ((node.left, left, node.right), (node.right, right, node.left)):
        if isinstance(value, LAYERS):
            return scope.report(_not_applied(value, node, other), side.span)
    if node.operator in COMPARISONS:
        compare_tensors = "the lengths of sizes and numbers are compared, never tensors"
        raise Problem(
            "N211", f"`{node.operator}` is decided at compile time", notes=(compare_tensors,)
        )
    if node.operator not in OPERATORS:
        raise Problem("N143", f"`{node.operator}` is of two numbers, not of tensors")
    spans = (node.left.span, node.right.span)
    return infix(OPERATORS[node.operator], left, (right,), spans, scope, node.span)


def _not_applied(layer: Any, node: Binary, other: Expression) -> Problem:
    """`relu + f`: the layer, applied to what stands beside it."""
    text = f"{other.span.text} -> {layer}"
    return Problem(
        "N111",
        f"`{layer}` is a layer, not a tensor",
        helps=(f"apply it: `{text}`",),
        edits=(Edit(node.span, f"({text})"),),
    )


def _of_numbers(node: Binary, left: Any, right: Any) -> Any:
    if node.operator in COMPARISONS:
        return compare(node.operator, left, right)
    if node.operator == "@":
        raise Problem("N143", "`@` is of two tensors")
    return calculate(node.operator, left, right)


def _logic(node: Binary, left: Any, scope: Scope) -> Any:
    """`and`, `or`; the right side counts only where the left one does not decide."""
    if left is UNKNOWN:
        if scope.run.exploring:
            evaluate(node.right, scope)
        return UNKNOWN
    what = f"an operand of `{node.operator}`"
    if truth(left, what) == (node.operator == "or"):
        return left
    right = evaluate(node.right, scope)
    return right if right is UNKNOWN else truth(right, what)


@expression(Call)
def _call(node: Call, scope: Scope) -> Any:
    builtin = BUILTINS.get(node.name.text)
    if builtin is None or scope.find(node.name.text) is not None:
        return use(node, NO_PIPE, scope)
    written = read(node, scope)
    values = [binding.value for binding in (*written.before, *written.after)]
    if any(is_tensor(v) or are_tensors(v) for v in values) and node.name.text in OPS:
        return use(node, NO_PIPE, scope, written=written)
    if any(value is UNKNOWN for value in values):
        return UNKNOWN
    if written.keywords or written.semicolon:
        raise Problem("N104", f"`{node.name.text}` takes values only, without names or `;`")
    for value in values:
        weigh(value, scope, node.span)
    return builtin(*values)
