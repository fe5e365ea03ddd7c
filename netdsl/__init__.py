"""netdsl: a neural net as a text that reads like the paper, compiled to an nn.Module.

model = netdsl.load("resnet", hyper={"depth": 101})
graph = netdsl.parse("lenet.net")                   # no torch
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from netdsl.errors import InputError, NetError

if TYPE_CHECKING:
    from netdsl.artifact import ArtifactError
    from netdsl.compiler import load, loads
    from netdsl.fmt import format
    from netdsl.front import check, parse
    from netdsl.module import NetModule
    from netdsl.text import to_text
    from netdsl.weights import WeightsError

# imported at first use, since `parse` and `check` must not wait for torch
_WHERE = {
    "ArtifactError": "netdsl.artifact",
    "NetModule": "netdsl.module",
    "WeightsError": "netdsl.weights",
    "check": "netdsl.front",
    "format": "netdsl.fmt",
    "load": "netdsl.compiler",
    "loads": "netdsl.compiler",
    "parse": "netdsl.front",
    "to_text": "netdsl.text",
}

__all__ = [
    "ArtifactError",
    "InputError",
    "NetError",
    "NetModule",
    "WeightsError",
    "check",
    "format",
    "load",
    "loads",
    "parse",
    "to_text",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _WHERE:
        raise AttributeError(f"module 'netdsl' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version("netdsl")
    except PackageNotFoundError:  # a checkout that is not installed
        return "0+checkout"
