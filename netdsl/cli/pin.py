"""`netdsl pin`: implied names written into the text, without importing torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netdsl.cli import edits, screen
from netdsl.cli.failure import FINDINGS


def pin(
    file: Annotated[str, typer.Argument(metavar="F", help="A .net file.")],
    check: edits.Check = False,
    diff: edits.Diff = False,
) -> None:
    """Write implied names out, so that edits leave checkpoints alone.

    `conv(64, 3)` becomes `conv(64, 3) as conv1` where it has that name by its order; the nets stay
    the same. Names are those with the default hyper-parameters. What cannot have a label is listed:
    a stage of `repeat`, for one, has several names.

    \b
    netdsl pin my.net --diff
    """
    from netdsl.pin import pin as pinned_text
    from netdsl.sources import collect

    before = edits.read(file)
    path = Path(file)
    pinned = pinned_text(collect(before.source, path.name, path.parent))
    changed = edits.offer(before, pinned.text, check, diff)
    for left in pinned.left:
        screen.say(f"left as it is: {left}")
    if not changed:
        screen.say(f"{file}: every name that can be written out is")
    if check and changed:
        raise typer.Exit(FINDINGS)
