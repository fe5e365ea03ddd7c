"""Grammar rules to nodes: lark calls a rule's function with its tokens and nodes as it reduces.

So the tree is built without recursion, and its depth is bounded before anything recurses over it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, TypeVar

from netdsl import syntax as s
from netdsl.errors import Problem, Span
from netdsl.parser.tokens import DIGITS, Token

DEPTH = 64
FLAT = {s.File, s.Definition, *s.STATEMENTS} - {s.Recur}  # these do not nest in each other

Children = list[Any]
N = TypeVar("N", bound=s.Node)


def node(kind: type[N], children: Children, *fields: Any) -> N:
    """A node that spans its children; N321 where it is too deep."""
    depth = max(child.depth for child in children) if kind in FLAT else _depth(children)
    return kind(_span(children), depth, *fields)


def _span(children: Children) -> Span:
    whole: Span = children[0].span.to(children[-1].span)
    return whole


def _depth(children: Children) -> int:
    depth: int = 1 + max(child.depth for child in children)
    if depth > DEPTH:
        too_deep = Problem(
            "N321",
            f"this is nested more than {DEPTH} levels deep",
            helps=("give a part of it a name: `y = …`, `let n = …`",),
        )
        too_deep.diagnostic = too_deep.at(_span(children))
        raise too_deep
    return depth


def _pick(children: Children, *kinds: type[s.Node]) -> tuple[Any, ...]:
    return tuple(child for child in children if isinstance(child, kinds))


def _first(children: Children, *kinds: type[s.Node]) -> Any:
    return next((child for child in children if isinstance(child, kinds)), None)


def _nodes(children: Children) -> tuple[Any, ...]:
    return tuple(child for child in children if not isinstance(child, Token))


def _name(token: Token) -> s.Name:
    return s.Name(token.span, 1, token.text)


def _names(children: Children) -> tuple[s.Name, ...]:
    return tuple(_name(c) for c in children if isinstance(c, Token) and c.type == "NAME")


def _at(children: Children, terminal: str) -> int | None:
    """Where the first such token is among the children, if one is."""
    for i, child in enumerate(children):
        if isinstance(child, Token) and child.type == terminal:
            return i
    return None


def _after(children: Children, terminal: str) -> Any:
    """The child behind the first such token, if one is there."""
    i = _at(children, terminal)
    return None if i is None else children[i + 1]


def _file(c: Children) -> s.File | None:
    if not c:
        return None
    edition = c[0].value if isinstance(c[0], s.Literal) else None
    return node(s.File, c, edition, _nodes(c[edition is not None :]))


def _definition(c: Children) -> s.Definition:
    body = _pick(c, *s.STATEMENTS)
    signature = (_pick(c, s.Tensor), _pick(c, s.Hyper), _pick(c, s.Out))
    return node(s.Definition, c, c[0].type.lower(), _name(c[1]), *signature, body)


def _label(c: Children) -> s.Label:
    template = c[0].type == "STRING"
    return node(s.Label, c, _string(c[0]) if template else c[0].text, template, len(c) == 2)


def _call(c: Children) -> s.Call:
    i = _at(c, "SEMICOLON")
    after = None if i is None else _nodes(c[i:])
    return node(s.Call, c, _name(c[0]), _nodes(c[:i]), after)


def _float(c: Children) -> s.Literal:
    value = float(c[0].text)
    if math.isinf(value):
        raise Problem("N322", "this number is too large")
    return node(s.Literal, c, value)


def _int(token: Token) -> int:
    return int(token.text) if len(token.text) <= DIGITS else 0  # that error is told already


def _string(token: Token) -> str:
    return token.text[1:-1]


# a rule of grammar.lark -> its node from all children, in the grammar's order
RULES: dict[str, Callable[[Children], Any]] = {
    "start": _file,
    "version": lambda c: node(s.Literal, c, _int(c[1])),
    "import_": lambda c: node(s.Import, c, c[1], _names(c)),
    "module": lambda c: node(s.Name, c, "".join(t.text for t in c)),
    "let": lambda c: node(s.Let, c, _name(c[1]), c[3]),
    "default": lambda c: node(s.Default, c, c[1]),
    "extern": lambda c: node(
        s.Extern, c, _name(c[1]), _pick(c, s.Tensor), _pick(c, s.Hyper), _pick(c, s.Out)
    ),
    "alias": lambda c: node(s.Alias, c, _name(c[1]), c[3]),
    "net": _definition,
    "block": _definition,
    "tensor": lambda c: node(s.Tensor, c, _name(c[0]), _first(c, s.TensorType)),
    "type": lambda c: node(s.TensorType, c, next(iter(_names(c)), None), _nodes(c)),
    "hyper": lambda c: node(s.Hyper, c, _name(c[0]), _after(c, "EQUAL")),
    "result": lambda c: node(s.Out, c, None, c[0], False),
    "out": lambda c: node(s.Out, c, _names(c)[0], c[-1], len(c) == 4),
    # statements
    "assign": lambda c: node(s.Assign, c, _name(c[0]), c[2]),
    "unpack": lambda c: node(s.Unpack, c, _names(c), c[-1]),
    "equation": lambda c: node(s.Equation, c, _name(c[0]), c[2], _after(c, "COLON"), c[-1]),
    "param": lambda c: node(s.Param, c, _name(c[1]), c[3], _after(c, "EQUAL"), _first(c, s.Label)),
    "layer": lambda c: node(s.Layer, c, _name(c[1]), c[3]),
    "require": lambda c: node(s.Require, c, c[1], _string(c[3]) if len(c) == 4 else None),
    "recur": lambda c: node(
        s.Recur, c, _name(c[1]), c[3], c[5], _pick(c[6:], *s.STATEMENTS), _first(c, s.Label)
    ),
    "return_": lambda c: node(s.Return, c, c[1]),
    # expressions
    "ternary": lambda c: node(s.Ternary, c, c[1], c[3], c[5]),
    "chain": lambda c: node(s.Chain, c, c[0], _nodes(c[1:])),
    "labelled_call": lambda c: node(s.Labelled, c, c[0], c[2]),
    "binary": lambda c: node(s.Binary, c, c[1].text, c[0], c[2]),
    "unary": lambda c: node(s.Unary, c, c[0].text, c[1]),
    "index": lambda c: node(s.Index, c, c[0], c[2]),
    "field": lambda c: node(s.Field, c, c[0], _name(c[2])),
    "name": lambda c: _name(c[0]),
    "int": lambda c: node(s.Literal, c, _int(c[0])),
    "float": _float,
    "string": lambda c: node(s.Literal, c, _string(c[0])),
    "true": lambda c: node(s.Literal, c, True),
    "false": lambda c: node(s.Literal, c, False),
    "paren": lambda c: replace(c[1], span=c[0].span.to(c[2].span), depth=_depth(c)),
    "tuple": lambda c: node(s.Sequence, c, _nodes(c), False),
    "list": lambda c: node(s.Sequence, c, _nodes(c), True),
    "comprehension": lambda c: node(s.Comprehension, c, c[1], c[3], c[5]),
    "dict": lambda c: node(s.Table, c, _nodes(c)),
    "pair": lambda c: node(s.Pair, c, c[0], c[2]),
    "call": _call,
    "keyword": lambda c: node(s.Keyword, c, _name(c[0]), c[2]),
    # stages
    "labelled_stage": lambda c: node(s.Labelled, c, c[0], c[2]),
    "bare": lambda c: node(s.Bare, c, _name(c[0])),
    "group": lambda c: node(s.Group, c, _nodes(c)),
    "for_stage": lambda c: node(s.For, c, c[1], c[3], _nodes(c[4:])),
    "repeat_stage": lambda c: node(s.Repeat, c, c[1], _nodes(c[2:])),
    "choose": lambda c: node(s.Choose, c, c[1], c[3], c[5]),
    "branch": lambda c: node(s.Group, c, _nodes(c)),
    "target": lambda c: node(s.Target, c, _names(c), len(c) > 1),
    "label": _label,
}

TREE = SimpleNamespace(**RULES)  # what lark takes for a transformer
