"""The names of instances (language.md §3), from which the keys of the state_dict are made.

conv1, bn1, conv2 … by kind and ordinal; a label instead; 0, 1, 2 … in a numbered scope.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from netdsl.errors import Problem
from netdsl.parser.tokens import NAME_LENGTH

_PART = re.compile(r"[A-Za-z0-9_]+")


@dataclass
class Namespace:
    """A scope of names: what stands in front of each, and how many of each kind there are."""

    prefix: str = ""
    numbered: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    def stage(self, kind: str) -> str:
        """The path of the next stage without a label."""
        if self.numbered:
            return f"{self.prefix}{self._number()}"
        return self.operator(kind)

    def operator(self, kind: str) -> str:
        """The path of an infix operation, which is no stage: it takes no number."""
        self.counts[kind] += 1
        return f"{self.prefix}{kind}{self.counts[kind]}"

    def labelled(self, label: str) -> str:
        """The path of what has a label, which replaces the number; it is counted all the same."""
        parts = label.split(".")
        if any(len(part) > NAME_LENGTH for part in parts):
            raise Problem("N322", f"a name in this label has more than {NAME_LENGTH} characters")
        if not all(_PART.fullmatch(part) for part in parts):
            raise Problem(
                "N123",
                f'"{label}" is no name for an instance',
                helps=("it is made of letters, digits, `_`, and dots between such parts",),
            )
        if self.numbered:
            self._number()
        return self.prefix + label

    def _number(self) -> int:
        self.counts[""] += 1
        return self.counts[""] - 1


def inside(path: str, numbered: bool = False) -> Namespace:
    """The scope that an instance, or a labelled group, opens."""
    return Namespace(f"{path}.", numbered)
