"""A code of a diagnostic as `netdsl explain` tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from netdsl.errors import Diagnostic, Problem
from netdsl.ir import Graph


@dataclass(frozen=True)
class Code:
    """What a code means, and two small files: one that has it and one that is right.

    files  further files that both import, by name
    links  names beside them that are links to somewhere else
    net    the net of the bad file that is asked for, where that is the mistake
    runs   of what is found when a net runs only: the problem, from the bad file's graph
    """

    code: str
    title: str
    text: str
    bad: str
    good: str
    files: Mapping[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    net: str | None = None
    runs: Callable[[Graph], Problem] | None = None

    @property
    def severity(self) -> str:
        """error or warning."""
        return Diagnostic(self.code, "").severity
