"""`netdsl explain`: what a code means, and a bad and a good example with the message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from netdsl.cli import screen
from netdsl.cli.failure import Refused
from netdsl.cli.options import Json

if TYPE_CHECKING:
    from netdsl.explain import Code

LINES = 12  # of an example that are shown


def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="A code of a message, such as N206.")
    ] = None,
    json: Json = False,
) -> None:
    """Explain a code of `netdsl check`, with its mistake and repair.

    Without a code: all of them, a line each.

    \b
    netdsl explain N206
    netdsl explain
    """
    from netdsl.explain import CODES

    if code is None:
        if json:
            screen.show_json([_brief(row) for row in CODES.values()])
        else:
            for row in CODES.values():
                print(f"{row.code}  {row.severity:<7}  {row.title}")
        return
    found = CODES.get(code.upper())
    if found is None:
        raise Refused(_unknown(code, CODES))
    if json:
        screen.show_json(_whole(found))
    else:
        print(_page(found))


def _brief(row: Code) -> dict[str, Any]:
    return {"code": row.code, "severity": row.severity, "title": row.title}


def _whole(row: Code) -> dict[str, Any]:
    from netdsl.explain import messages

    return {
        **_brief(row),
        "text": row.text,
        "bad": row.bad,
        "good": row.good,
        "files": dict(row.files),
        "findings": [diagnostic.as_json() for diagnostic in messages(row)],
    }


def _page(row: Code) -> str:
    """The explanation as people read it."""
    from textwrap import fill, indent

    from netdsl.explain import messages

    parts = [f"{row.severity} {row.code}: {row.title}", fill(row.text, 88)]
    parts += [f"{name}:\n{indent(text.rstrip(), '    ')}" for name, text in row.files.items()]
    parts += [f"Wrong:\n{indent(_shortened(row.bad), '    ')}"]
    parts += [indent(diagnostic.render(), "    ") for diagnostic in messages(row)]
    parts += [f"Right:\n{indent(_shortened(row.good), '    ')}"]
    return "\n\n".join(parts)


def _shortened(text: str) -> str:
    lines = [line if len(line) <= 100 else f"{line[:99]}…" for line in text.splitlines()]
    return "\n".join(lines if len(lines) <= LINES else [*lines[:2], "…"])


def _unknown(code: str, known: dict[str, Code]) -> str:
    from netdsl.spelling import closest

    close = closest(code.upper(), known)
    hint = f": did you mean {close}?" if close else ""
    return f"there is no code {code}{hint} (`netdsl explain` lists them all)"
