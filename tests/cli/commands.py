"""What a command gives, as the shell sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]
