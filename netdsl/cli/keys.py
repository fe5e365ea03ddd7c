"""`netdsl keys`: the state_dict of a net, alone or beside that of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netdsl.cli import options, screen
from netdsl.cli.failure import FINDINGS

if TYPE_CHECKING:
    from netdsl.renaming import Difference, Near, Shape, Shapes

SHOWN = 40
DTYPES = {"float": "float32", "int": "int64"}  # of a net as it is loaded


def keys(
    target: options.Runnable,
    diff: Annotated[
        Path | None,
        typer.Option(metavar="CHECKPOINT", help="Compare with a safetensors or a torch file."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="map.json", help="Write the proposed renaming, for --map."),
    ] = None,
    hyper: options.Hyper = None,
    all: Annotated[bool, typer.Option("--all", help="Every key, however many.")] = False,
    json: options.Json = False,
) -> None:
    """List a net's state_dict keys, or compare them with a file's.

    --diff says which keys are missing, not of this net or of another shape, and proposes which key
    of the file may be meant by which of the net: exits with 1 where they differ.

    \b
    netdsl keys resnet -D depth=18
    netdsl keys my.net --diff theirs.pt --write map.json
    netdsl compile my.net --weights theirs.pt --map map.json -o my.netc
    """
    if write is not None and diff is None:
        raise typer.BadParameter("--write is for the renaming that --diff CHECKPOINT proposes")
    name, wanted = _of_net(target, hyper)
    if diff is None:
        _list(name, wanted, json)
        return

    from netdsl import renaming
    from netdsl.weights import read_weights, shapes

    found = read_weights(diff)
    ours, theirs = {key: shape for key, (shape, _) in wanted.items()}, shapes(found)
    difference = renaming.compare(ours, theirs)
    if json:
        screen.show_json(_as_json(name, diff, difference, ours, theirs))
    else:
        dtypes = {str(t.dtype).removeprefix("torch.") for t in found.values()}
        _tell(name, f"{diff} ({', '.join(sorted(dtypes))})", difference, ours, theirs, all)
    if write is not None:
        renaming.write_renaming(write, difference.near)
        screen.say(f"{write}: {screen.several(len(difference.near), 'renamed key')}")
    if not difference.fits:
        raise typer.Exit(FINDINGS)


def _of_net(target: str, hyper: list[str] | None) -> tuple[str, dict[str, tuple[Shape, str]]]:
    """The net's name, and shape and dtype of every key, in the order of the state_dict."""
    hypers = options.hypers_of(target, hyper)
    if target.endswith(".netc"):
        from netdsl import artifact

        opened = artifact.read(Path(target))
        specs = opened.specs.items()
        return target, {k: (s, str(d).removeprefix("torch.")) for k, (d, s) in specs}
    from netdsl import front

    graph = front.parse(target, hypers)
    found = {}
    for op in graph.parameters:
        shape = tuple(size for size in op.type.shape if isinstance(size, int))
        assert len(shape) == op.type.rank, f"{op.key} has a size that no number gives"
        found[op.key] = (shape, DTYPES.get(op.type.dtype, op.type.dtype))
    return graph.name, found


def _list(name: str, wanted: Mapping[str, tuple[Shape, str]], json: bool) -> None:
    if json:
        listed = {
            key: {"shape": [*shape], "dtype": dtype} for key, (shape, dtype) in wanted.items()
        }
        screen.show_json({"net": name, "keys": listed})
        return
    rows = [(key, str([*shape]), dtype) for key, (shape, dtype) in wanted.items()]
    screen.out().print(screen.table(("key", "shape", "dtype"), rows))


def _tell(
    name: str, file: str, found: Difference, ours: Shapes, theirs: Shapes, every: bool
) -> None:
    console = screen.out()
    console.print(f"{name}: {len(ours)} keys, {file}: {len(theirs)}")
    counts = {
        "the same": found.same,
        "of another shape": found.reshaped,
        "missing in the file": found.missing,
        "not of this net": found.unexpected,
    }
    console.print(", ".join(f"{len(keys)} {what}" for what, keys in counts.items() if keys))
    rows = list(_differing(found, ours, theirs))
    shown = rows if every else rows[:SHOWN]
    if rows:
        console.print()
        console.print(screen.table(("", "key", "net", "file", "may be"), shown, folded=("may be",)))
    if len(rows) > len(shown):
        console.print(f"… and {len(rows) - len(shown)} more (--all shows them)")
    if found.near:
        console.print(f"\nproposed: {screen.several(len(found.near), 'renamed key')}")
        for why, number in _reasons(found.near).items():
            console.print(f"  {number} {why}")


def _differing(found: Difference, ours: Shapes, theirs: Shapes) -> Iterator[tuple[str, ...]]:
    """A row for every key that differs, with what it may be called in the file."""
    near = {pair.key: pair for pair in found.near}
    sources = {pair.source for pair in found.near}
    for key in ours:
        if key in found.reshaped or key in found.missing:
            what = "reshaped" if key in found.reshaped else "missing"
            there = str([*theirs[key]]) if key in theirs else ""
            yield what, key, str([*ours[key]]), there, _may_be(near.get(key))
    for key in found.unexpected:
        if key not in sources:
            yield "unexpected", key, "", str([*theirs[key]]), ""


def _may_be(pair: Near | None) -> str:
    if pair is None:
        return ""
    return f"{pair.source}, axes {[*pair.permute]}" if pair.permute else pair.source


def _reasons(near: tuple[Near, ...]) -> dict[str, int]:
    from collections import Counter

    return dict(Counter(f"{p.why}{', its axes permuted' if p.permute else ''}" for p in near))


def _as_json(
    name: str, file: Path, found: Difference, ours: Shapes, theirs: Shapes
) -> dict[str, Any]:
    return {
        "net": name,
        "file": str(file),
        "same": list(found.same),
        "reshaped": {key: {"net": ours[key], "file": theirs[key]} for key in found.reshaped},
        "missing": {key: ours[key] for key in found.missing},
        "unexpected": {key: theirs[key] for key in found.unexpected},
        "near": [
            {"key": p.key, "from": p.source, "permute": p.permute, "why": p.why} for p in found.near
        ],
    }
