"""Every message about a .net file: a place, one sentence, a fix; collected, so one run tells all.

The front end raises `Problem` where a rule of the language is broken and no place is known (an op's
shape rule), turns it into a `Diagnostic` where the place is known, and adds it to `Diagnostics`.
`NetError` carries all of them out.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

LIMIT = 20
MESSAGE_LIMIT = 2000  # bytes
STACK_LIMIT = 8
WARNINGS = frozenset({"N122"})  # beside the lints, W…


@dataclass(frozen=True)
class Source:
    """A file as read: `name` is what messages call it."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for i, char in enumerate(self.text):
            if char == "\n":
                starts.append(i + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column, both from 1; that of the end where there is none."""
        if line > len(self._starts):
            return len(self.text)
        return min(self._starts[line - 1] + column - 1, len(self.text))

    def line(self, number: int) -> str:
        start = self._starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : len(self.text) if end < 0 else end].rstrip("\r")


@dataclass(frozen=True)
class Span:
    """A stretch `[start, end)` of a source, in characters."""

    source: Source = field(repr=False)
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def to(self, other: Span) -> Span:
        """From the start of this span to the end of the other."""
        return Span(self.source, self.start, other.end)


@dataclass(frozen=True)
class Edit:
    """Replace the text of `span` by `text`: a fix that a machine can apply."""

    span: Span
    text: str


@dataclass(frozen=True)
class Frame:
    """One instantiation on the way to the error: the block, and where it was called."""

    name: str
    span: Span


@dataclass(frozen=True)
class Diagnostic:
    """One finding. Codes N… are errors, W… are lints; `netdsl explain CODE` says more.

    `edits` do what the first help says (or the message itself, where it names what is meant);
    `sure`: that is what was meant, beyond doubt, so `check --fix` may apply them.
    """

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    others: tuple[tuple[Span, str], ...] = ()
    stack: tuple[Frame, ...] = ()
    sure: bool = False

    @property
    def is_error(self) -> bool:
        return self.code.startswith("N") and self.code not in WARNINGS

    @property
    def severity(self) -> str:
        return "error" if self.is_error else "warning"

    def render(self) -> str:
        """The message as the user reads it, at most 2 kB, control characters escaped."""
        lines = [f"{self.severity}[{self.code}]: {self.message}"]
        numbers = [span.line for span in (self.span, *(s for s, _ in self.others)) if span]
        gutter = " " * len(str(max(numbers, default=1)))
        if self.span:
            lines += _excerpt(gutter, self.span, self.label, "-->")
        for span, label in self.others:
            lines += _excerpt(gutter, span, label, ":::")
        lines += [f"{gutter} = note: {note}" for note in self.notes]
        lines += [f"{gutter} = help: {help}" for help in self.helps]
        stack = [f"{gutter} in {f.name}, instantiated at {f.span}" for f in self.stack]
        if len(stack) > STACK_LIMIT:
            stack[STACK_LIMIT - 2 : -1] = [f"{gutter} … {len(stack) - STACK_LIMIT + 1} more"]
        lines += stack
        return _printable("\n".join(lines))

    def as_json(self) -> dict[str, object]:
        """The finding as plain data, with its place and its edits."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "label": self.label,
            "place": _place(self.span),
            "notes": list(self.notes),
            "helps": list(self.helps),
            "edits": [{"place": _place(e.span), "text": e.text} for e in self.edits],
            "sure": self.sure,
            "others": [{"place": _place(s), "label": label} for s, label in self.others],
            "stack": [{"name": f.name, "place": _place(f.span)} for f in self.stack],
        }


class NetError(Exception):
    """What is wrong with a .net file (or an input to a net), every finding of one run."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__(diagnostics)

    def __str__(self) -> str:
        return "\n\n".join(d.render() for d in self.diagnostics)


class InputError(NetError, RuntimeError):
    """What is wrong with a tensor that a net is called with. torch.nn raises RuntimeError there, so
    this is one too."""


class Problem(Exception):
    """A broken rule, raised where no place is known: `at` makes it a `Diagnostic`."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        label: str = "",
        notes: tuple[str, ...] = (),
        helps: tuple[str, ...] = (),
        edits: tuple[Edit, ...] = (),
        others: tuple[tuple[Span, str], ...] = (),
        sure: bool = False,
    ) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(
            code, message, None, label, notes, helps, edits, others, sure=sure
        )

    def at(self, span: Span | None, stack: tuple[Frame, ...] = ()) -> Diagnostic:
        """The finding, at a place (None: where the problem itself says, if it does)."""
        return replace(self.diagnostic, span=span or self.diagnostic.span, stack=stack)


class Diagnostics:
    """The findings so far, in the order found; one a statement is enough."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, str], Diagnostic] = {}

    def add(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.span
        place = (span.source.name, span.start) if span else ("", -1)
        self._found.setdefault((*place, diagnostic.code), diagnostic)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.sorted())

    def __bool__(self) -> bool:
        return bool(self._found)

    def sorted(self) -> tuple[Diagnostic, ...]:
        """By file and place; errors and warnings together."""
        return tuple(d for _, d in sorted(self._found.items(), key=lambda item: item[0]))

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.sorted() if d.is_error)

    def raise_errors(self) -> None:
        """Raise the first 20 errors, if there are any."""
        if self.errors:
            raise NetError(self.errors[:LIMIT])


def _excerpt(gutter: str, span: Span, label: str, arrow: str) -> list[str]:
    number, column = span.line, span.column
    line = span.source.line(number).replace("\t", " ")
    width = max(1, min(span.end - span.start, len(line) - column + 1))
    shift = max(0, column - 100)
    shown = line[shift : shift + 160]
    caret = " " * (column - 1 - shift) + "^" * min(width, 160)
    return [
        f"{gutter}{arrow} {span}",
        f"{gutter} |",
        f"{number:>{len(gutter)}} | {shown}".rstrip(),
        f"{gutter} | {caret} {label}".rstrip(),
    ]


def _printable(text: str) -> str:
    shown = "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in text)
    written = shown.encode("utf-8", "replace")
    if len(written) <= MESSAGE_LIMIT:
        return shown
    return written[: MESSAGE_LIMIT - len("…".encode())].decode("utf-8", "ignore") + "…"


def _place(span: Span | None) -> dict[str, object] | None:
    if span is None:
        return None
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": end_line,
        "end_column": end_column,
    }
