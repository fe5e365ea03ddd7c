"""Expected findings in a file: `# error[N206]: text` at the end of the line that has it.

Each stands for one finding in its line whose message contains the text; what is found and not
expected counts too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netdsl.errors import Diagnostic, Source

_COMMENT = re.compile(r'^(?:[^"#\n]|"[^"\n]*")*#(.*)$', re.MULTILINE)
_EXPECTED = re.compile(r"(error|warning)\[([NW]\d{3})\]:?\s*(.*?)\s*(?=#\s*(?:error|warning)\[|$)")


@dataclass(frozen=True)
class Expected:
    """One finding that a file announces."""

    severity: str
    code: str
    line: int
    text: str

    def matches(self, found: Diagnostic) -> bool:
        """Whether this finding is the one."""
        line = found.span.line if found.span else 1
        same = (found.code, found.severity, line) == (self.code, self.severity, self.line)
        return same and self.text in found.message

    def __str__(self) -> str:
        return f"{self.severity}[{self.code}]: {self.text}"


def expected(source: Source) -> list[Expected]:
    """The findings that the comments of a file announce."""
    found = []
    for comment in _COMMENT.finditer(source.text):
        line = source.position(comment.start(1))[0]
        for severity, code, text in _EXPECTED.findall(comment[1]):
            found.append(Expected(severity, code, line, text))
    return found


def differences(source: Source, found: Sequence[Diagnostic]) -> Iterator[str]:
    """A line for each finding that is announced and not there, or there and not announced."""
    wanted = expected(source)
    for diagnostic in found:
        match = next((e for e in wanted if e.matches(diagnostic)), None)
        if match is not None:
            wanted.remove(match)
        else:
            place = diagnostic.span or source.name
            message = f"{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"
            yield f"{place}: not expected: {message}"
    for missing in wanted:
        yield f"{source.name}:{missing.line}: expected and not found: {missing}"
