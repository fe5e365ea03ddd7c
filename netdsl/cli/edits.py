"""Commands that edit .net files: read one, then write its new text, show it, or only compare."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from netdsl.cli import options, screen
from netdsl.errors import NetError, Problem, Source
from netdsl.files import replacing
from netdsl.parser import decode

STDIN = "-"

Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; exit with 1 where a file would change.")
]
Diff = Annotated[bool, typer.Option("--diff", help="Write nothing; print what would change.")]


@dataclass(frozen=True)
class Written:
    """A file as it stands: its bytes, and its text, without a BOM."""

    content: bytes
    source: Source


def read(file: str) -> Written:
    """The text of a file, or of stdin. Raises `NetError` where it is no text of a .net file."""
    options.text_only(file)
    content = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    try:
        return Written(content, decode(content, "<stdin>" if file == STDIN else file))
    except Problem as problem:
        raise NetError((problem.at(None),)) from None


def offer(before: Written, text: str, check: bool, diff: bool) -> bool:
    """Write the new text, or with `check` or `diff` only compare; whether it is another one.

    The text of stdin goes to stdout.
    """
    content, name = text.encode("utf-8"), before.source.name
    changed = content != before.content
    if diff and changed:
        show_difference(name, before.source.text, text, "changed")
    elif name == "<stdin>" and not check and not diff:
        sys.stdout.write(text)
    elif changed and not check:
        with replacing(Path(name).resolve()) as temporary:
            temporary.write_bytes(content)
    if changed and (check or diff):
        screen.say(f"{name} would change")
    elif changed and name != "<stdin>":
        screen.say(f"{name} changed")
    return changed


def show_difference(name: str, before: str, after: str, how: str) -> None:
    """Print a unified diff of two texts of a file."""
    from difflib import unified_diff

    for line in unified_diff(_lines(before), _lines(after), name, f"{name} ({how})"):
        print(line, end="" if line.endswith("\n") else "\n\\ No newline at end of file\n")


def _lines(text: str) -> list[str]:
    """The lines of a text, each with its end; other characters that break lines do not count."""
    *lines, last = text.split("\n")
    return [*(f"{line}\n" for line in lines), *([last] if last else [])]
