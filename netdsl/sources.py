"""The texts that a net is made of: a file or shipped model, with all that it imports.

A file imports from its own folder and from the shipped models, never from above the first file's
folder. `Sources` is all that is needed to make the graph again elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from stat import S_ISREG

from netdsl.elaborate.files import SHIPPED, keys
from netdsl.errors import Diagnostic, Diagnostics, NetError, Problem, Source
from netdsl.parser import decode, from_text, parse
from netdsl.parser.text import FILE_LIMIT
from netdsl.spelling import closest
from netdsl.syntax import File, Import

FILES = 256  # that make a net
TOGETHER = 4 * FILE_LIMIT  # characters in all of them
_TARGET = re.compile(r"(?P<file>.+?)(:(?P<net>[A-Za-z_]\w*))?", re.DOTALL)


@dataclass(frozen=True)
class Sources:
    """Texts by key: a path below the folder of the first file, or `netdsl:` and a shipped model."""

    root: str
    files: Mapping[str, Source]
    importable: tuple[str, ...] = ()  # names of files, where an import asks for none of them


def read(target: str | Path) -> tuple[Sources, str | None]:
    """The sources of `resnet`, `my.net` or `my.net:Net`, and the net that is picked (None: none).

    Raises `NetError` for a file that is not there, cannot be read, or imports from outside.
    """
    file, net = _split(target)
    path = Path(file)
    try:
        if not path.exists():
            name = f"{file.removesuffix('.net')}.net"
            if name not in models():
                raise _no_such(file)
            return collect(shipped(name), SHIPPED + name, None), net
        return collect(load(path, str(path)), path.name, path.parent), net
    except OSError as error:  # a name that is too long, a folder that is closed to us
        unread = Problem("N150", f"{file} cannot be read: {error.strerror}")
        raise NetError((unread.at(None),)) from None
    except Problem as problem:
        raise NetError((problem.at(None),)) from None


def given(text: str, name: str) -> Sources:
    """The sources of a net whose text is at hand; it imports from the shipped models only."""
    if not isinstance(text, str):
        raise TypeError(f"the text of a net is a str, not {type(text).__name__}")
    try:
        return collect(from_text(text, name), name, None)
    except Problem as problem:
        raise NetError((problem.at(None),)) from None


@cache
def models() -> tuple[str, ...]:
    """The file names of the shipped models."""
    folder = files("netdsl.models")
    return tuple(sorted(f.name for f in folder.iterdir() if f.name.endswith(".net")))


def shipped(name: str) -> Source:
    """A shipped model's text."""
    return decode(files("netdsl.models").joinpath(name).read_bytes(), name)


def load(path: Path, name: str) -> Source:
    """A file's text, under the name that messages call it; raises `Problem`."""
    try:
        if not S_ISREG(path.stat().st_mode):
            raise Problem("N150", f"{name} is no regular file")
        with path.open("rb") as file:
            return decode(file.read(FILE_LIMIT + 1), name)
    except FileNotFoundError:
        raise _no_such(name) from None
    except OSError as error:
        raise Problem("N150", f"{name} cannot be read: {error.strerror}") from None


def collect(
    root: Source, key: str, folder: Path | None, load: Callable[[Path, str], Source] = load
) -> Sources:
    """The file and everything that it imports; `folder` is where it stands (None: nowhere).

    `load` reads a file; an editor has texts that are not saved.
    """
    found = {key: root}
    importable: tuple[str, ...] = ()
    pending = [key]
    while pending:
        importing = pending.pop()
        tree, _ = parsed(found[importing])
        for item in tree.items:
            if not isinstance(item, Import):
                continue
            try:
                for candidate in keys(item.module.text, importing):
                    source = found.get(candidate) or find(candidate, folder, load)
                    if source is not None:
                        if candidate not in found:
                            found[candidate] = source
                            pending.append(candidate)
                            _check_room(found)
                        break
                else:
                    importable = _importable(folder)
            except Problem as problem:
                raise NetError((problem.at(item.module.span),)) from None
    return Sources(key, found, importable)


def _importable(folder: Path | None) -> tuple[str, ...]:
    """The names of the files beside the first one, and of the shipped models."""
    beside = () if folder is None else sorted(path.stem for path in folder.glob("*.net"))
    return (*beside, *(name.removesuffix(".net") for name in models()))


def _check_room(found: Mapping[str, Source]) -> None:
    """N320 where the files are too large together."""
    if sum(len(source.text) for source in found.values()) > TOGETHER or len(found) > FILES:
        raise Problem(
            "N320",
            f"a net has at most {FILES} files, and {TOGETHER:,} characters in them",
            label="one file too many",
        )


@lru_cache(maxsize=64)
def parsed(source: Source) -> tuple[File, tuple[Diagnostic, ...]]:
    """The syntax of a file, and what is wrong with it."""
    found = Diagnostics()
    tree = parse(source, found)
    return tree, found.sorted()


def _split(target: str | Path) -> tuple[str, str | None]:
    if isinstance(target, Path):
        return str(target), None
    match = _TARGET.fullmatch(target)
    if match is None:
        return target, None
    return match["file"], match["net"]


def find(key: str, folder: Path | None, load: Callable[[Path, str], Source]) -> Source | None:
    """The file of a key, if there is one; raises `Problem` N153 for one outside of the folder."""
    if key.startswith(SHIPPED):
        name = key.removeprefix(SHIPPED)
        return shipped(name) if name in models() else None
    if folder is None or not (folder / key).exists():
        return None
    inside = os.path.realpath(folder)
    if os.path.commonpath([inside, os.path.realpath(folder / key)]) != inside:
        raise Problem("N153", f"`{key}` leads out of the folder of the importing file")
    return load(folder / key, str(folder / key))


def _no_such(name: str) -> Problem:
    known = [model.removesuffix(".net") for model in models()]
    close = closest(name.removesuffix(".net"), known)
    return Problem(
        "N150",
        f"there is no file and no shipped model `{name}`",
        notes=(f"the shipped models are {', '.join(known)}",),
        helps=(f"did you mean `{close}`?",) if close else (),
    )
