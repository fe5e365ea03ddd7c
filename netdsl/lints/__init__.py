"""Lints: what works and is probably not meant, as small rules over a file and its graphs.

`# allow W401` in the line says that it is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from netdsl.errors import Diagnostic
from netdsl.ir import Graph
from netdsl.lints.graphs import bias_before_norm, softmax_at_the_end
from netdsl.lints.sums import sum_into_a_pipe
from netdsl.lints.unused import unused
from netdsl.syntax import File

Rule = Callable[[File, Sequence[Graph]], Iterator[Diagnostic]]

# W404, the last step of a backward state, is seen where recurrences are elaborated.
RULES: tuple[Rule, ...] = (
    unused,  # N122, W403
    bias_before_norm,  # W401
    softmax_at_the_end,  # W402
    sum_into_a_pipe,  # W405
)


def lint(file: File, graphs: Sequence[Graph]) -> Iterator[Diagnostic]:
    """The warnings about a file without errors, whose nets have these graphs."""
    for rule in RULES:
        yield from rule(file, graphs)


def is_allowed(warning: Diagnostic) -> bool:
    """Whether the line says that it is meant: `# allow W401`."""
    if warning.span is None:
        return False
    line = warning.span.source.line(warning.span.line)
    return re.search(rf"#.*\ballow\b.*\b{warning.code}\b", line) is not None
