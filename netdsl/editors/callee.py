"""What a layer or block is called with, for people: parameters, defaults, what it does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from netdsl import syntax as s
from netdsl.editors.links import Files, definition
from netdsl.editors.names import Region
from netdsl.editors.vocabulary import FUNCTIONS, about, accepted, takes
from netdsl.errors import Span
from netdsl.kinds import REQUIRED
from netdsl.op import Op, layers


@dataclass(frozen=True)
class Parameter:
    """A hyper-parameter: its default as text (None: it must be given), what it takes, the words
    that it may be."""

    name: str
    default: str | None
    about: str
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name if self.default is None else f"{self.name}={self.default}"


@dataclass(frozen=True)
class Callee:
    """`name(tensors; hypers)`; `values`: a function of compile time, without hyper-parameters."""

    name: str
    tensors: tuple[str, ...]
    hypers: tuple[Parameter, ...]
    results: tuple[str, ...]
    about: str
    values: bool = False

    @property
    def text(self) -> str:
        """The signature."""
        hypers = ", ".join(map(str, self.hypers))
        both = "; ".join(part for part in (", ".join(self.tensors), hypers) if part)
        return f"{self.name}({both})"

    def hyper(self, name: str) -> Parameter | None:
        return next((p for p in self.hypers if p.name == name), None)


def callee(files: Files, key: str, region: Region, name: str) -> Callee | None:
    """What a name stands for where it is applied in a region of the file `key`."""
    if region.find(name) is not None:
        found = definition(files, key, region, name)
        return None if found is None else _of_definition(found.node, name)
    op = layers().get(name)
    if op is not None:
        return _of_op(op)
    if name in FUNCTIONS:
        arguments = re.findall(r"\w+", FUNCTIONS[name][0])[1:]
        return Callee(name, tuple(arguments), (), (), about(name), values=True)
    return None


def _of_op(op: type[Op]) -> Callee:
    hypers = []
    for name, field in op.schema().items():
        kind, default = field.metadata["kind"], field.default
        text = None if default is REQUIRED else kind.show(default)
        hypers.append(Parameter(name, text, takes(kind), accepted(op, name)))
    return Callee(op.name, op.tensors, tuple(hypers), op.results, about(op.name))


def _of_definition(node: s.Definition | s.Extern, name: str) -> Callee:
    hypers = tuple(
        Parameter(h.name.text, None if h.default is None else h.default.span.text, "")
        for h in node.hypers
    )
    tensors = tuple(t.name.text for t in node.tensors)
    results = tuple(out.name.text for out in node.outputs if out.name is not None)
    return Callee(name, tensors, hypers, results, comment(node.span))


def comment(span: Span) -> str:
    """What is said about an item: the comment behind its first line, or in the lines above it."""
    source, line = span.source, span.line
    behind = re.search(r"\{\s*#\s*(.*)$", source.line(line))
    if behind is not None:
        return behind[1].strip()
    above: list[str] = []
    while line > 1 and (match := re.fullmatch(r"\s*#\s?(.*)", source.line(line - 1))):
        above.insert(0, match[1].strip())
        line -= 1
    return " ".join(above)
