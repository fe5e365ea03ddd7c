"""The value of what is wrong: whatever meets it is unknown too, without a word."""

from __future__ import annotations

from typing import Final


class Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()
