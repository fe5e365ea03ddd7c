"""`netdsl fmt`: .net files in the one style, without importing torch."""

from __future__ import annotations

from typing import Annotated

import typer

from netdsl.cli import edits, screen
from netdsl.cli.failure import FINDINGS


def fmt(
    files: Annotated[
        list[str], typer.Argument(metavar="FILES…", help=".net files; - is stdin, to stdout.")
    ],
    check: edits.Check = False,
    diff: edits.Diff = False,
) -> None:
    """Lay .net files out in the one style, comments kept.

    A file with a syntax error is left alone: its errors are printed, and the exit code is 1.

    \b
    netdsl fmt my.net
    netdsl fmt --check my.net other.net
    netdsl fmt - < my.net
    """
    from netdsl.errors import NetError
    from netdsl.fmt import format_source

    failed = changed = False
    for file in files:
        try:
            before = edits.read(file)
            after = format_source(before.source)
        except NetError as error:
            screen.say(f"{error}\n")
            failed = True
        else:
            changed |= edits.offer(before, after, check, diff)
    if failed or (check and changed):
        raise typer.Exit(FINDINGS)
