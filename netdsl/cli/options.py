"""Arguments and options that several commands share, and what their texts mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netdsl.cli import screen
from netdsl.cli.failure import Refused

if TYPE_CHECKING:
    from netdsl.ir import Graph
    from netdsl.module import NetModule

Target = Annotated[
    str, typer.Argument(metavar="F", help="A .net file, a shipped model's name, or F:Net.")
]
Runnable = Annotated[
    str, typer.Argument(metavar="F", help="A .net file, a shipped model's name, or a .netc file.")
]
Hyper = Annotated[
    list[str] | None,
    typer.Option("-D", metavar="NAME=VALUE", help="Set a hyper-parameter; may repeat."),
]
Sizes = Annotated[
    str, typer.Option("--size", metavar="N=8,H=224", help="Numbers for the signature's sizes.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Data = Annotated[
    str,
    typer.Option(
        metavar="SPEC",
        help="mnist5k, digits, a file.npz or package:function, then what is done to it, as in "
        "mnist5k:pad=2.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A safetensors file, or a torch file of tensors only."),
]
Renaming = Annotated[
    Path | None,
    typer.Option(
        "--map", metavar="map.json", help="Keys of the net to keys of the weights' file (`keys`)."
    ),
]
Partial = Annotated[
    bool, typer.Option("--partial", help="Take the weights that fit; say what else there is.")
]
Seed = Annotated[int, typer.Option(min=0, help="Where all random numbers come from.")]

_INT = re.compile(r"[+-]?[0-9]{1,18}")
_FLOAT = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]{1,3})?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
WORDS = {"true": True, "false": False}


def literal(text: str) -> Any:
    """The value of a .net literal: 3, 0.5, true, "text", or a bare word, which is its text."""
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
        return text[1:-1]
    if _WORD.fullmatch(text):
        return WORDS.get(text, text)
    raise typer.BadParameter(f'`{text}` is no value: a number, true, false, a word or a "text" is')


def text_only(target: str) -> None:
    """Refuse an artefact where a text is wanted."""
    if target.endswith(".netc"):
        raise Refused(f"{target} is an artefact: `netdsl inspect {target}` shows what it holds")


def hypers_of(target: str, given: Iterable[str] | None) -> dict[str, Any]:
    """As `hypers`, refused where the target is an artefact, which has its own."""
    found = hypers(given)
    if found and target.endswith(".netc"):
        raise typer.BadParameter(f"{target} has its hyper-parameters; -D is for .net files")
    return found


def load(
    target: str,
    hyper: Iterable[str] | None,
    weights: Path | None = None,
    renaming: Path | None = None,
    partial: bool = False,
    *,
    seed: int = 0,
    taps: Sequence[str] | None = None,
) -> NetModule:
    """The net of a command, with the weights it was given; a partial load is said on stderr."""
    from netdsl import compiler

    if weights is None and (renaming or partial):
        raise typer.BadParameter("--map and --partial are for --weights FILE")
    if weights is not None and target.endswith(".netc"):
        raise typer.BadParameter(f"{target} has its weights; --weights is for .net files")
    return compiler.load(
        target,
        hyper=hypers_of(target, hyper),
        outputs=taps,
        weights=weights,
        renaming=renaming,
        partial=partial,
        told=lambda filled: screen.say(f"{weights}: {filled}") if partial else None,
        seed=seed,
    )


def hypers(given: Iterable[str] | None) -> dict[str, Any]:
    """`["depth=101"]` as `{"depth": 101}`."""
    return {name: literal(value) for name, value in pairs(given or (), "-D depth=101")}


def sizes(given: str) -> dict[str, int]:
    """`"N=8,H=224"` as `{"N": 8, "H": 224}`."""
    found = {}
    for name, value in pairs(filter(None, given.split(",")), "--size N=8,H=224"):
        if not _INT.fullmatch(value) or not 1 <= int(value) < 2**31:
            raise typer.BadParameter(f"size {name} is a whole number from 1, not `{value}`")
        found[name] = int(value)
    return found


def sizes_of(graph: Graph, given: str) -> dict[str, int]:
    """As `sizes`, each of a name in the graph's signature."""
    from netdsl.sizes import names

    found = sizes(given)
    known = {name for op in graph.inputs for size in op.type.shape for name in names(size)}
    for name in found:
        if name not in known:
            has = f"it has {', '.join(sorted(known))}" if known else "all are numbers"
            raise Refused(f"{graph.name} has no size {name}; {has}")
    return found


def factors(given: Iterable[str] | None) -> dict[str, float]:
    """`["aux1=0.3"]` as `{"aux1": 0.3}`."""
    found = {}
    for name, value in pairs(given or (), "--weight aux1=0.3"):
        number = literal(value)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise typer.BadParameter(f"the weight of {name} is a number, not `{value}`")
        found[name] = float(number)
    return found


def pairs(given: Iterable[str], example: str) -> Iterable[tuple[str, str]]:
    seen = set()
    for item in given:
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not name or not value:
            raise typer.BadParameter(f"`{item}` is not NAME=VALUE, as in `{example}`")
        if name in seen:
            raise typer.BadParameter(f"{name} is given twice")
        seen.add(name)
        yield name, value
