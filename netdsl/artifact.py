"""The artefact, a `.netc` file: a safetensors file with the weights, all else in it as one JSON.

The one metadata key holds format, source text with its imports, hyper-parameters, options, choices
and a hash over all but itself. Loading treats the file as a stranger's: sizes are capped, the JSON
is parsed strictly, and names, shapes and dtypes are compared with the graph before a tensor is
allocated. Nothing in it is run.
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
from safetensors.torch import load as tensors_of
from safetensors.torch import save_file
from torch import Tensor

from netdsl.files import replacing
from netdsl.op import Type

FORMAT = 1
KEY = "netdsl"
HEADER_LIMIT = 32 << 20
DEPTH_LIMIT = 8  # of values within values in the manifest
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

    def types(self) -> dict[str, Type]:
        """What a graph would call the tensors."""
        kinds = {torch.int64: "int", torch.bool: "bool"}
        return {k: Type(shape, kinds.get(d, "float")) for k, (d, shape) in self.specs.items()}

    def weights(self) -> dict[str, Tensor]:
        """The tensors, their hash verified, in memory of their own: the file may change after."""
        try:
            tensors = tensors_of(self.path.read_bytes())
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
    try:
        content = _strict(str(metadata[KEY]).encode())
        version = content.pop("format", None)
        if type(version) is int and version > FORMAT:
            raise ArtifactError(
                f"{path}: made by a newer netdsl (format {version}, this one reads up to {FORMAT})"
            )
        _demand(version == FORMAT and type(version) is int, "`format` is no number of a format")
        digest = content.pop("hash", None)
        _demand(isinstance(digest, str), "`hash` is no text")
        specs = {key: _spec(key, found) for key, found in header.items()}
        return Opened(path, _manifest(content), digest, specs)
    except ValueError as error:
        raise ArtifactError(f"{path}: damaged header: {error}") from None


def _manifest(content: Mapping[str, Any]) -> Manifest:
    """The manifest, every field of its type. Raises `ValueError`."""
    found = set(content) ^ set(Manifest.__dataclass_fields__)
    _demand(not found, f"`{min(found, default='')}` is missing or too much")
    said = Manifest(**content)
    _demand(said.net is None or isinstance(said.net, str), "`net` is no name")
    _demand(_table_of(said.files, str), "`files` is no table of texts")
    _demand(isinstance(said.root, str) and said.root in said.files, "`root` is none of the files")
    _demand(said.outputs is None or _list_of(said.outputs, str), "`outputs` is no list of paths")
    for name in ("hyper", "options", "choices"):
        table = getattr(said, name)
        _demand(
            isinstance(table, dict) and _shallow(table), f"`{name}` is no table of plain values"
        )
    _canonical(content).encode()
    for text in (*said.files, *said.files.values(), *(said.outputs or ()), said.net or ""):
        text.encode()  # half a surrogate pair is a ValueError too
    return said


def _spec(key: str, found: Any) -> Spec:
    """Dtype and shape of a tensor. Raises `ValueError`."""
    _demand(isinstance(found, dict), f"`{key}` is no tensor")
    dtype, shape = found.get("dtype"), found.get("shape")
    _demand(isinstance(dtype, str) and dtype in DTYPES, f"`{key}` has no dtype of ours")
    _demand(_list_of(shape, int) and min(shape, default=0) >= 0, f"`{key}` has no shape")
    return DTYPES[dtype], tuple(shape)


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _table_of(value: Any, kind: type) -> bool:
    return isinstance(value, dict) and all(type(v) is kind for v in value.values())


def _list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(v) is kind for v in value)


def _shallow(value: Any, depth: int = DEPTH_LIMIT) -> bool:
    """Whether the value nests no deeper than `depth`."""
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_shallow(v, depth - 1) for v in inner)


def _header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(HEADER_LIMIT, size - 8):
            raise ArtifactError(f"{path}: truncated, or not an artefact")
        header = file.read(length)
    try:
        return _strict(header)
    except ValueError as error:
        raise ArtifactError(f"{path}: damaged header: {error}") from None


def _strict(text: bytes) -> dict[str, Any]:
    """A JSON object in which no name stands twice. Raises `ValueError`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        _demand(len(found) == len(pairs), "a name stands twice")
        return found

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number")

    try:
        found = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    _demand(isinstance(found, dict), "no object")
    return found  # type: ignore[no-any-return]


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _specs(tensors: Mapping[str, Tensor]) -> dict[str, Spec]:
    return {k: (t.dtype, tuple(t.shape)) for k, t in tensors.items()}


def _digest(manifest: Manifest, tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256(_canonical(manifest.as_json()).encode())
    for key, (dtype, shape) in sorted(_specs(tensors).items()):
        sha.update(f"\n{key} {dtype} {list(shape)} ".encode())
        sha.update(tensors[key].reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
