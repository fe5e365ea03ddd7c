"""`netdsl check`: every finding in .net files, in one run, without importing torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netdsl.cli import edits, options, screen
from netdsl.cli.failure import FINDINGS, Refused
from netdsl.errors import Diagnostic

FORMATS = ("text", "json")


def check(
    files: Annotated[
        list[str], typer.Argument(metavar="F…", help=".net files or shipped models' names.")
    ],
    format: Annotated[
        str, typer.Option("--format", metavar="text|json", help="How findings are printed.")
    ] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Apply the fixes that are sure, then say what is left.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what --fix would change, and change nothing.")
    ] = False,
    expect: Annotated[
        bool, typer.Option("--expect", help="Compare with the comments `# error[N206]: text`.")
    ] = False,
) -> None:
    """Find every error in .net files, with its place and a fix.

    Exits with 1 where there is one; warnings alone are no failure.

    \b
    netdsl check my.net
    netdsl check my.net --fix
    netdsl check resnet vgg --format json
    """
    from netdsl import front

    if format not in FORMATS:
        raise typer.BadParameter(f"the format is {' or '.join(FORMATS)}, not `{format}`")
    if expect and (fix or diff):
        raise typer.BadParameter("--expect compares files as they are, without --fix and --diff")
    for file in files:
        options.text_only(file)
    if expect:
        _compare(files)
        return
    if fix or diff:
        found = [diagnostic for file in files for diagnostic in _fix(file, diff)]
    else:
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


def _fix(file: str, diff: bool) -> tuple[Diagnostic, ...]:
    """Fix a file, or show the difference; what is left."""
    from netdsl.errors import LIMIT, NetError
    from netdsl.files import replacing
    from netdsl.fixing import fix
    from netdsl.sources import read

    path = Path(file)
    if not path.is_file():
        raise Refused(f"{file} is no file here, and --fix changes files")
    try:
        sources, _ = read(path)
    except NetError as error:
        return error.diagnostics
    source = sources.files[sources.root]
    fixed = fix(source, path.parent)
    if diff:
        edits.show_difference(file, source.text, fixed.text, "fixed")
    elif fixed.fixes:
        with replacing(path) as temporary:
            temporary.write_text(fixed.text, encoding="utf-8", newline="")
    for diagnostic in fixed.fixes:
        said = f"[{diagnostic.code}]: {diagnostic.message}"
        screen.say(f"{diagnostic.span or file}: {'would fix' if diff else 'fixed'} {said}")
    return fixed.left[:LIMIT]


def _compare(files: list[str]) -> None:
    """Compare the findings of each file with those that its comments announce."""
    from netdsl import front
    from netdsl.errors import NetError
    from netdsl.expecting import differences
    from netdsl.sources import read

    wrong = 0
    for file in files:
        try:
            sources, net = read(file)
        except NetError as error:
            print(str(error), end="\n\n")
            wrong += 1
            continue
        source = sources.files[sources.root]
        for line in differences(source, front.all_findings(sources, net)):
            print(line)
            wrong += 1
    screen.say(f"{screen.several(len(files), 'file')}: {screen.several(wrong, 'difference')}")
    if wrong:
        raise typer.Exit(FINDINGS)


def _verdict(files: int, errors: int, warnings: int) -> str:
    """`2 files: 1 error, no warnings`."""
    count = screen.several(files, "file")
    if not errors and not warnings:
        return f"{count}: nothing found"
    return f"{count}: {screen.several(errors, 'error')}, {screen.several(warnings, 'warning')}"
