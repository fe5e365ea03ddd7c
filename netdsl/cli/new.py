"""`netdsl new`: a first .net file, or a copy of a shipped model, without importing torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from netdsl.cli import screen
from netdsl.cli.failure import Refused

STARTER = """\
netdsl 1
# A first net: what is in [ ] are sizes, N the batch; behind the `;` stand hyper-parameters.
net {name}(x: [N, 1, 28, 28]; classes = 10) -> [N, classes] {{
  return x -> conv(16, 3) -> relu -> max_pool(2)   # `pad=half` by default: 28x28 -> 14x14
           -> conv(32, 3) -> relu -> max_pool(2)
           -> flatten -> linear(classes)
}}
"""
DATA = "mnist5k"  # what the starter's input fits


def new(
    file: Annotated[Path, typer.Argument(metavar="my.net", help="The file to write.")],
    source: Annotated[
        str, typer.Option("--from", metavar="MODEL", help="The shipped model to copy.")
    ] = "",
    net: Annotated[
        str, typer.Option("--net", metavar="NAME", help="The net's name, in a first file.")
    ] = "",
) -> None:
    """Write a .net file to start from.

    It has a small net, named after the file, or what a shipped model has. A file that is there
    already is left alone.

    \b
    netdsl new my.net
    netdsl new my.net --from lenet
    """
    if file.suffix != ".net":
        raise typer.BadParameter(f"the file of a net ends in .net, not `{file.name}`")
    if source and net:
        raise typer.BadParameter("--net names a first net; the copy of a model keeps its names")
    text = _copy(source) if source else STARTER.format(name=_name(net or file.stem, bool(net)))
    try:
        with file.open("x", encoding="utf-8", newline="") as made:
            made.write(text)
    except FileExistsError:
        raise Refused(f"{file} is there already; take another name, or remove it") from None
    screen.say(f"{file} written. Next:")
    for command in _next(file, source):
        print(command)


def _copy(model: str) -> str:
    """The text of a shipped model, its origin said behind its first line."""
    from netdsl import sources

    name = f"{model.removesuffix('.net')}.net"
    if name not in sources.models():
        sources.read(model)  # says which there are
        raise Refused(f"{model} is no shipped model; `netdsl models` lists them")
    text = sources.shipped(name).text
    first, _, rest = text.partition("\n")
    origin = f"# A copy of `{model.removesuffix('.net')}`, which comes with netdsl."
    return f"{first}\n{origin}\n{rest}"


def _name(text: str, given: bool) -> str:
    """A net's name from the file's: `my-net` is MyNet."""
    from netdsl.parser.tables import keywords

    if given:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z_0-9]*", text) or text in keywords():
            raise typer.BadParameter(f"`{text}` is no name for a net")
        return text
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name[:1].isalpha() else f"Net{name}"


def _next(file: Path, source: str) -> list[str]:
    commands = [f"netdsl check {file}", f"netdsl show {file}"]
    if not source:
        commands.append(f"netdsl train {file} --data {DATA} -o {file.with_suffix('.netc')}")
    return commands
