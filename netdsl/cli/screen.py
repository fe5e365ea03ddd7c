"""What is printed: results on stdout, the rest on stderr; numbers and tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Wide enough that nothing is cut or folded where no terminal says how wide it is.
UNBOUNDED = 100_000


def out() -> Console:
    """stdout; off a terminal as wide as its content."""
    return _console(stderr=False)


def err() -> Console:
    """stderr, for progress and remarks."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    from rich.console import Console

    on_screen = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not on_screen,
        width=None if on_screen else UNBOUNDED,
    )


def say(text: str) -> None:
    """A remark or progress line on stderr."""
    print(text, file=sys.stderr, flush=True)


def progress(text: str) -> None:
    """A progress line, where somebody watches."""
    if sys.stderr.isatty():
        say(text)


def show_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[str] = (),
    folded: Iterable[str] = (),
) -> Table:
    """A plain table; `right`: columns of numbers; `folded`: columns that may take several lines."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    numbers, folds = set(right), set(folded)
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in numbers else "left"
        made.add_column(name, justify=justify, no_wrap=name not in folds, overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def count(number: int | None) -> str:
    """1234567 as 1,234,567; what is not known as `-`."""
    return "-" if number is None else f"{number:,}"


def several(number: int, noun: str) -> str:
    """`1 file`, `3 files`, `no files`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def short(number: int | None, space: str = "") -> str:
    """1234567 as 1.23M."""
    if number is None:
        return "-"
    if number < 1000:
        return str(number)
    value, units = number / 1000, "kMGTP"
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}{space}{units[0]}"


def size(number: int | None) -> str:
    """A number of bytes: 1.23 MB."""
    space = " " if number is None or number < 1000 else ""
    return f"{short(number, ' ')}{space}B"


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 0.95 else f"{1000 * value:.0f} ms"
