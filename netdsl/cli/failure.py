"""What went wrong as an exit code and a message; a bug of ours is written down in a report."""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

FINDINGS, USAGE, MISSING, ARTEFACT, BUG, INTERRUPTED = 1, 2, 3, 4, 70, 130


class Refused(Exception):
    """A request that cannot be done as it was made; the message says how it can."""


def _plain(error: BaseException) -> str:
    return f"error: {error}"


def _file(error: BaseException) -> str:
    assert isinstance(error, OSError)
    return f"error: {error.strerror or error}" + (f": {error.filename}" if error.filename else "")


# By name, so that nothing is imported to be compared with. The first class of an error's own
# ancestry that stands here counts.
FAILURES: dict[str, tuple[int, Callable[[BaseException], str]]] = {
    "netdsl.errors.NetError": (FINDINGS, str),
    "netdsl.cli.failure.Refused": (USAGE, _plain),
    "netdsl.datasets.errors.DataError": (USAGE, _plain),
    "netdsl.datasets.errors.MissingPackage": (MISSING, _plain),
    "netdsl.weights.WeightsError": (USAGE, _plain),
    "netdsl.renaming.RenamingError": (USAGE, _plain),
    "netdsl.training.measures.TrainingError": (USAGE, _plain),
    "netdsl.training.checkpoint.CheckpointError": (ARTEFACT, _plain),
    "netdsl.artifact.ArtifactError": (ARTEFACT, _plain),
    "builtins.FileNotFoundError": (USAGE, _file),
    "builtins.PermissionError": (USAGE, _file),
    "builtins.IsADirectoryError": (USAGE, _file),
    "builtins.NotADirectoryError": (USAGE, _file),
}


def tell(error: Exception, arguments: Sequence[str]) -> int:
    """Say on stderr what is wrong; the exit code."""
    for cls in type(error).__mro__:
        known = FAILURES.get(f"{cls.__module__}.{cls.__qualname__}")
        if known:
            code, words = known
            print(words(error), file=sys.stderr)
            return code
    kind = type(error).__name__
    print(f"internal error: {kind}: {error}"[:2000], file=sys.stderr)
    print("This is a bug of netdsl, not of your file. " + _saved(error, arguments), file=sys.stderr)
    return BUG


def interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return INTERRUPTED


def cache_folder() -> Path:
    """Where netdsl keeps what it can make again: NETDSL_CACHE_DIR, or the user's cache folder."""
    given = os.environ.get("NETDSL_CACHE_DIR")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("netdsl", appauthor=False))


def _saved(error: Exception, arguments: Sequence[str]) -> str:
    """Where the report is; the report itself where nothing can be written."""
    text = _report(error, arguments)
    path = cache_folder() / "reports" / f"{time.strftime('%Y-%m-%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError:
        return f"The report could not be saved; it is:\n\n{text}"
    return f"The report is saved: {path}"


def _report(error: Exception, arguments: Sequence[str]) -> str:
    from importlib.metadata import PackageNotFoundError, version

    def of(package: str) -> str:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            return f"{package} is not installed"

    packages = ("netdsl", "torch", "lark", "networkx", "typer", "rich", "safetensors", "numpy")
    lines = [
        f"netdsl {' '.join(arguments)}",
        f"python {platform.python_version()} on {platform.platform()}",
        *map(of, packages),
        "",
        "".join(traceback.format_exception(error)),
    ]
    return "\n".join(lines)
