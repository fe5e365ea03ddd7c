"""What a remedy looks at, what it proposes, and the edits of a call's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.values import is_whole
from netdsl.errors import Edit, Span
from netdsl.op import Op, Type, Value
from netdsl.sizes import Poly, Size


@dataclass(frozen=True)
class Remedy:
    """A help, the edits that do what it says, and whether they are what was meant beyond doubt."""

    help: str
    edits: tuple[Edit, ...] = ()
    sure: bool = False


@dataclass(frozen=True)
class Site:
    """An application that does not fit.

    spans   of the operands that are written (the pipe's is not)
    hypers  the arguments that are given, by name
    call    the whole application
    """

    op: Op | type[Op]
    operands: tuple[Value, ...]
    spans: tuple[Span, ...]
    call: Span
    scope: Scope
    hypers: Mapping[str, Binding] = field(default_factory=dict)

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(operand.type for operand in self.operands)

    def written(self, i: int) -> Span | None:
        """Where operand `i` is written; None: the pipe brings it."""
        n = i - (len(self.operands) - len(self.spans))
        return self.spans[n] if 0 <= n < len(self.spans) else None

    def own(self, name: str) -> Binding | None:
        """The argument of that name, where this call gives it."""
        binding = self.hypers.get(name)
        inside = binding is not None and (
            binding.span.source == self.call.source
            and self.call.start <= binding.span.start < self.call.end
        )
        return binding if inside else None

    def spell(self, size: Size) -> str | None:
        """The size as an expression of the names that can be used here; None: there is none."""
        return spell(size, self.scope)

    def with_argument(self, text: str) -> Edit:
        return with_argument(self.call, text)


def with_argument(call: Span, text: str) -> Edit:
    """The edit that gives a call one more argument."""
    if not call.text.endswith(")"):
        return Edit(Span(call.source, call.end, call.end), f"({text})")
    inside = call.text[:-1].rstrip()
    comma = "" if inside.endswith(("(", ",", ";")) else ", "
    return Edit(Span(call.source, call.end - 1, call.end - 1), comma + text)


def with_value(name: str, binding: Binding, text: str) -> Edit:
    """The edit that gives an argument another value, written with its name or without."""
    span = binding.span
    head, equal, _ = span.text.partition("=")
    if not equal or head.strip() != name:
        return Edit(span, text)
    start = span.start + len(head) + 1
    start += len(span.source.text[start:]) - len(span.source.text[start:].lstrip())
    return Edit(Span(span.source, start, span.end), text)


def without_argument(span: Span) -> Edit:
    """The edit that takes an argument out, with the comma that goes with it."""
    text, start, end = span.source.text, span.start, span.end
    behind = end + len(text[end:]) - len(text[end:].lstrip())
    before = len(text[:start].rstrip())
    if text[behind : behind + 1] == ",":
        end = behind + 1 + (text[behind + 1 : behind + 2] == " ")
    elif text[before - 1 : before] == ",":
        start = before - 1
    return Edit(Span(span.source, start, end), "")


def spell(size: Size, scope: Scope) -> str | None:
    """The size as an expression of the names of the body, `4*w`; a number as it is."""
    bodies: list[Scope] = []
    here: Scope | None = scope
    while here is not None and here.parent is not None:  # the file's own names are no sizes
        bodies.append(here)
        here = here.parent
    names = {name: b.value for s in reversed(bodies) for name, b in s.names.items()}
    for name, value in names.items():
        telling = isinstance(value, Poly) or (is_whole(value) and value > 1)
        if telling and value == size:
            return name
    if isinstance(size, int):
        widths = {n: v for n, v in names.items() if is_whole(v) and v > 4}
        for name, value in widths.items():
            if size % value == 0:
                return f"{size // value}*{name}"
        return str(size)
    text = str(size)
    known = [text] if text.isidentifier() else []
    return text if known and scope.find(text) is not None else None
