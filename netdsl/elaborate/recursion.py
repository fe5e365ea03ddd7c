"""Room for recursion while nets are elaborated, in any thread.

Blocks in each other and syntax in each other are both bounded, their product is too: Python's
limit, made for endless recursion, is lower.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

FRAMES = 50_000  # 64 blocks in each other, 64 nodes of syntax deep each

_lock = Lock()
_users = 0
_before = 0


@contextmanager
def deep() -> Iterator[None]:
    """The recursion limit is at least `FRAMES` inside, and what it was when the last one leaves."""
    global _users, _before
    with _lock:
        if _users == 0:
            _before = sys.getrecursionlimit()
            sys.setrecursionlimit(max(_before, FRAMES))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                sys.setrecursionlimit(_before)
