"""`netdsl check`: every finding in .net files, in one run, without importing torch."""

from __future__ import annotations

from typing import Annotated

import typer

from netdsl.cli import options, screen
from netdsl.cli.failure import FINDINGS

FORMATS = ("text", "json")


def check(
    files: Annotated[
        list[str], typer.Argument(metavar="F…", help=".net files or shipped models' names.")
    ],
    format: Annotated[
        str, typer.Option("--format", metavar="text|json", help="How findings are printed.")
    ] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Find every error in .net files, with its place and a fix.

    Exits with 1 where there is one; warnings alone are no failure.

    \b
    netdsl check my.net
    netdsl check resnet vgg --format json
    """
    from netdsl import front

    if format not in FORMATS:
        raise typer.BadParameter(f"the format is {' or '.join(FORMATS)}, not `{format}`")
    for file in files:
        options.text_only(file)
    found = [diagnostic for file in files for diagnostic in front.check(file)]
    errors = sum(diagnostic.is_error for diagnostic in found)
    if json or format == "json":
        screen.show_json([diagnostic.as_json() for diagnostic in found])
    else:
        for diagnostic in found:
            print(diagnostic.render(), end="\n\n")
        screen.say(_verdict(len(files), errors, len(found) - errors))
    if errors:
        raise typer.Exit(FINDINGS)


def _verdict(files: int, errors: int, warnings: int) -> str:
    """`2 files: 1 error, no warnings`."""

    def several(number: int, noun: str) -> str:
        return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"

    if not errors and not warnings:
        return f"{several(files, 'file')}: nothing found"
    return f"{several(files, 'file')}: {several(errors, 'error')}, {several(warnings, 'warning')}"
