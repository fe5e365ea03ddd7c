"""A small net, its file, and ways to damage it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import netdsl
from netdsl.module import NetModule

SMALL = """netdsl 1
net Small(x: [N, 3, H, W]; classes = 5) -> [N, classes] {
  return x -> conv(4, 3) -> bn -> relu -> global_avg_pool -> linear(classes) as fc
}
"""


def small(seed: int = 0) -> NetModule:
    return netdsl.loads(SMALL, seed=seed)


def saved(folder: Path) -> Path:
    path = folder / "a.netc"
    small().save(path)
    return path


def images(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(0)).to(dtype)


def call(model: NetModule) -> Tensor:
    with torch.no_grad():
        return model(images())


def contents(path: Path) -> object:
    return contents_of(netdsl.load(path))


def contents_of(model: NetModule) -> object:
    """All that an artefact says, in a form that can be compared."""
    numbers = {key: (t.dtype, t.tolist()) for key, t in model.state_dict().items()}
    return numbers, model.manifest


def manifest(path: Path) -> dict[str, Any]:
    good = path.read_bytes()
    header = json.loads(good[8 : 8 + int.from_bytes(good[:8], "little")])
    return json.loads(header["__metadata__"]["netdsl"])


def edit(path: Path, damage: Callable[[dict[str, Any]], Any]) -> None:
    """Write the file again with another manifest."""
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    content = json.loads(header["__metadata__"]["netdsl"])
    damage(content)
    header["__metadata__"]["netdsl"] = json.dumps(content)
    write_header(path, header, good[8 + length :])


def write_header(path: Path, header: dict[str, Any], rest: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + rest)
