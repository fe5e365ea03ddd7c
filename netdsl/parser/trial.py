"""Trying a repair: whether the parser reads on if tokens are put in or left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lark.parsers.lalr_analysis import Shift

STEPS = 40_000  # tokens that all trials of one file may read together


class Trials:
    """The tables of the parser, where the last good stretch of text started, and with which stack
    of states; a trial reads from there."""

    def __init__(self, conf: Any) -> None:
        self.conf = conf
        self.start = 0
        self.stacks: dict[int, list[Any]] = {0: [conf.start_state]}  # in front of tokens
        self.left = STEPS

    def restart(self, i: int, stack: Sequence[Any]) -> None:
        """From token `i` on the text is good again, and the parser's stack is this one."""
        self.start, self.stacks = i, {i: list(stack)}

    def works(
        self, kinds: Sequence[str], at: int, change: Sequence[str], cut: int, goal: int
    ) -> bool:
        """Whether the parser takes the terminals of a file up to `goal`, `cut` of them from `at` on
        replaced by `change`."""
        before = self._stack_at(kinds, at)
        if before is None:
            return False
        stack = list(before)
        return self._read(stack, (*change, *kinds[at + cut : goal]))

    def _stack_at(self, kinds: Sequence[str], at: int) -> list[Any] | None:
        """The stack in front of token `at`; None where the text is not read that far."""
        if at < self.start:
            return None
        known = max(n for n in self.stacks if n <= at)
        stack = list(self.stacks[known])
        if not self._read(stack, kinds[known:at]):
            return None
        self.stacks[at] = stack
        return stack

    def _read(self, stack: list[Any], kinds: Sequence[str]) -> bool:
        """Whether the parser takes all the terminals; its stack advances."""
        for kind in kinds:
            self.left -= 1
            if self.left < 0 or not _takes(stack, self.conf, kind):
                return False
        return True


def _takes(stack: list[Any], conf: Any, kind: str) -> bool:
    """Advance the stack of states by one terminal, as lark does; False where it is not taken."""
    states = conf.states
    while True:
        step = states[stack[-1]].get(kind)
        if step is None:
            return False
        action, argument = step
        if action is Shift:
            stack.append(argument)
            return True
        if argument.expansion:
            del stack[-len(argument.expansion) :]
        stack.append(states[stack[-1]][argument.origin.name][1])
        if stack[-1] == conf.end_state:
            return True
