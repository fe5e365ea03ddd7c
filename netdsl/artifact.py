"""The artefact, a `.netc` file: a safetensors file with the weights, and everything else as one JSON.

The one metadata key holds format, source text with its imports, hyper-parameters, options, choices and
a hash over all but itself. Loading treats the file as a stranger's: sizes are capped, the JSON is
parsed strictly, and names, shapes and dtypes are compared with the graph before a tensor is allocated.
Nothing in it is run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from netdsl.files import replacing

FORMAT = 1
KEY = "netdsl"
HEADER_LIMIT = 64 << 20
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "BOOL": torch.bool,
}
Spec: TypeAlias = tuple[torch.dtype, tuple[int, ...]]


class ArtifactError(Exception):
    """The file is no artefact, is damaged, or was made by a newer version."""


@dataclass(frozen=True)
class Manifest:
    """What an artefact says besides its weights.

    net       the name of the net in the root file (None: its only one)
    files     source texts by name; `root` is the one that holds the net
    hyper     hyper-parameters given from outside
    outputs   paths of the taps, where the net was compiled for taps
    options   how it was compiled (passes left out, target)
    choices   what was chosen by measuring, obeyed on load
    """

    net: str | None
    root: str
    files: Mapping[str, str]
    hyper: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        outputs = None if self.outputs is None else list(self.outputs)
        return {**self.__dict__, "files": dict(self.files), "outputs": outputs, "format": FORMAT}


def write(path: Path, manifest: Manifest, weights: Mapping[str, Tensor]) -> None:
    """Write an artefact; the same content gives the same bytes."""
    tensors = {k: t.detach().cpu().contiguous().clone() for k, t in sorted(weights.items())}
    content = {**manifest.as_json(), "hash": _digest(manifest, tensors)}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={KEY: _canonical(content)})


@dataclass(frozen=True)
class Opened:
    """A checked header: the manifest, and dtype and shape of every tensor, none allocated yet."""

    path: Path
    manifest: Manifest
    hash: str
    specs: Mapping[str, Spec]

    def weights(self) -> dict[str, Tensor]:
        """The tensors, their hash verified."""
        try:
            tensors = load_file(self.path)
        except SafetensorError as error:
            raise ArtifactError(f"{self.path}: damaged: {error}") from None
        if _specs(tensors) != self.specs or _digest(self.manifest, tensors) != self.hash:
            raise ArtifactError(f"{self.path}: damaged: the hash does not match the content")
        return tensors


def read(path: Path) -> Opened:
    """Open an artefact and check all that can be checked without a tensor."""
    header = _header(path)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != {KEY}:
        raise ArtifactError(f"{path}: not an artefact of netdsl (a safetensors file of weights?)")
    content = _strict(metadata[KEY].encode(), path)
    version = content.pop("format", None)
    if not isinstance(version, int) or version > FORMAT:
        raise ArtifactError(
            f"{path}: made by a newer netdsl (format {version}, this one reads up to {FORMAT})"
        )
    digest = content.pop("hash", "")
    try:
        specs = {k: (DTYPES[v["dtype"]], tuple(v["shape"])) for k, v in header.items()}
        return Opened(path, Manifest(**content), digest, specs)
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: damaged: {error}") from None


def _header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(HEADER_LIMIT, size - 8):
            raise ArtifactError(f"{path}: truncated, or not an artefact")
        return _strict(file.read(length), path)


def _strict(text: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name stands twice")
        return found

    try:
        found = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: damaged header: {error}") from None
    if not isinstance(found, dict):
        raise ArtifactError(f"{path}: damaged header")
    return found


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _specs(tensors: Mapping[str, Tensor]) -> dict[str, Spec]:
    return {k: (t.dtype, tuple(t.shape)) for k, t in tensors.items()}


def _digest(manifest: Manifest, tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256(_canonical(manifest.as_json()).encode())
    for key, (dtype, shape) in sorted(_specs(tensors).items()):
        sha.update(f"\n{key} {dtype} {list(shape)} ".encode())
        sha.update(memoryview(tensors[key].reshape(-1).view(torch.uint8).numpy()))
    return sha.hexdigest()
