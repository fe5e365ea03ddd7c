"""A file that is damaged, newer, or made by a stranger is an error, never other numbers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from artefacts import (
    SMALL,
    contents,
    edit,
    manifest,
    saved,
    small,
    write_header,
)
from safetensors.torch import save_file
from torch import Tensor

import netdsl
from netdsl import ArtifactError
from netdsl.artifact import HEADER_LIMIT


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_byte_is_an_error_and_never_other_numbers(tmp_path: Path, seed: int) -> None:
    path = saved(tmp_path)
    good = path.read_bytes()
    expected = contents(path)
    draw = random.Random(seed)
    header = 8 + int.from_bytes(good[:8], "little")
    places = [*draw.sample(range(header), 100), *draw.sample(range(header, len(good)), 40)]
    survived = []
    for place in places:
        bad = bytearray(good)
        bad[place] ^= draw.choice([1 << draw.randrange(8), draw.randrange(1, 256)])
        path.write_bytes(bad)
        try:
            found = contents(path)
        except ArtifactError:
            continue
        assert found == expected, f"byte {place} gives another net"
        survived.append(place)
    # what is left says the same in other words: a blank of the padding, the case of an escape
    assert len(survived) < 5


def test_a_truncated_or_longer_file_is_an_error(tmp_path: Path) -> None:
    path = saved(tmp_path)
    good = path.read_bytes()
    lengths = {*range(12), *range(0, len(good), 37), len(good) - 1}
    for length in lengths:
        path.write_bytes(good[:length])
        with pytest.raises(ArtifactError):
            netdsl.load(path)
    for more in (b"\0", good):
        path.write_bytes(good + more)
        with pytest.raises(ArtifactError):
            netdsl.load(path)


def test_bytes_of_chance_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.netc"
    draw = random.Random(0)
    for _ in range(50):
        path.write_bytes(draw.randbytes(draw.randrange(200)))
        with pytest.raises(ArtifactError):
            netdsl.load(path)


def field(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.__setitem__(name, value)


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.pop(name)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


TEXT = "<text>"
DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "newer": (
        field("format", 2),
        "made by a newer netdsl (format 2, this one reads up to 1)",
    ),
    "format true": (field("format", True), "damaged header: `format` is no number of a format"),
    "format 0": (field("format", 0), "damaged header: `format` is no number of a format"),
    "format text": (field("format", "1"), "damaged header: `format` is no number of a format"),
    "no format": (without("format"), "damaged header: `format` is no number of a format"),
    "no hash": (without("hash"), "damaged header: `hash` is no text"),
    "hash number": (field("hash", 3), "damaged header: `hash` is no text"),
    "wrong hash": (field("hash", "0" * 64), "damaged: the hash does not match the content"),
    "no net": (without("net"), "damaged header: `net` is missing or too much"),
    "net number": (field("net", 3), "damaged header: `net` is no name"),
    "one field more": (field("zzz", 3), "damaged header: `zzz` is missing or too much"),
    "files list": (field("files", [SMALL]), "damaged header: `files` is no table of texts"),
    "file number": (field("files", {TEXT: 3}), "damaged header: `files` is no table of texts"),
    "no files": (field("files", {}), "damaged header: `root` is none of the files"),
    "other root": (field("root", "other"), "damaged header: `root` is none of the files"),
    "root list": (field("root", [TEXT]), "damaged header: `root` is none of the files"),
    "hyper list": (field("hyper", [1]), "damaged header: `hyper` is no table of plain values"),
    "hyper deep": (
        field("hyper", {"classes": nested(50)}),
        "damaged header: `hyper` is no table of plain values",
    ),
    "options text": (
        field("options", "x"),
        "damaged header: `options` is no table of plain values",
    ),
    "choices none": (
        field("choices", None),
        "damaged header: `choices` is no table of plain values",
    ),
    "outputs text": (field("outputs", "fc"), "damaged header: `outputs` is no list of paths"),
    "output number": (field("outputs", [3]), "damaged header: `outputs` is no list of paths"),
    "no outputs": (
        field("outputs", []),
        "damaged, its text does not compile:\noutputs= is a list of paths of stages, not []",
    ),
    "classes": (field("hyper", {"classes": 6}), "damaged: its tensors are not those of its text"),
    "options": (field("options", {"x": 1}), "damaged: the hash does not match the content"),
    "stages": (field("outputs", ["fc"]), "damaged: the hash does not match the content"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_manifest_that_is_not_ours_is_an_error_that_says_what(tmp_path: Path, name: str) -> None:
    damage, message = DAMAGES[name]
    path = saved(tmp_path)
    edit(path, damage)
    with pytest.raises(ArtifactError) as raised:
        netdsl.load(path)
    assert str(raised.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    "value",
    [None, -1, 0, 1.5, True, "five", [], [1], {}, {"a": {}}, 10**30, "\x00", nested(8)],
    ids=repr,
)
def test_any_hyper_parameter_is_an_error_or_the_same_net(tmp_path: Path, value: object) -> None:
    path = saved(tmp_path)
    edit(path, field("hyper", {"classes": value}))
    with pytest.raises(ArtifactError):
        netdsl.load(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "netdsl 2\n",
        "netdsl 1\nnet A(",
        "netdsl 1\nfrom other import B\nnet A(x: [N, 3]) { return x -> B }\n",
        "netdsl 1\nfrom ..secret import B\nnet A(x: [N, 3]) { return x -> B }\n",
        "netdsl 1\nnet A(x: [N, 3, H, W]) { return x -> convolution(3) }\n",
        "\x00",
        "\ud800",
        "netdsl 1\nnet A(x: [N, 100000]) { return x -> linear(1000000) -> linear(1000000) }\n",
    ],
    ids=range(9),
)
def test_a_text_that_does_not_fit_is_an_error_before_memory_is_taken(
    tmp_path: Path, text: str
) -> None:
    path = saved(tmp_path)
    edit(path, field("files", {TEXT: text}))
    with pytest.raises(ArtifactError):
        netdsl.load(path)


def test_a_text_that_does_not_compile_is_shown_with_its_mistake(tmp_path: Path) -> None:
    path = saved(tmp_path)
    text = "netdsl 1\nnet A(x: [N, 3]) { return x -> linear(4, 4, 4, 4, 4) }\n"
    edit(path, field("files", {TEXT: text}))
    with pytest.raises(ArtifactError) as raised:
        netdsl.load(path)
    first, second, *_ = str(raised.value).split("\n")
    assert first == f"{path}: damaged, its text does not compile:"
    assert second.startswith("error[N104]: ")


def other_shape(tensors: dict[str, Tensor]) -> None:
    tensors["fc.bias"] = torch.zeros(6)


def other_rank(tensors: dict[str, Tensor]) -> None:
    tensors["fc.bias"] = torch.zeros(5, 1)


def other_dtype(tensors: dict[str, Tensor]) -> None:
    tensors["bn1.num_batches_tracked"] = torch.zeros(())


def unknown_dtype(tensors: dict[str, Tensor]) -> None:
    tensors["fc.bias"] = torch.zeros(5, dtype=torch.int16)


def one_missing(tensors: dict[str, Tensor]) -> None:
    del tensors["fc.bias"]


def one_more(tensors: dict[str, Tensor]) -> None:
    tensors["fc.extra"] = torch.zeros(5)


def other_numbers(tensors: dict[str, Tensor]) -> None:
    tensors["fc.bias"] = tensors["fc.bias"] + 1


NOT_THOSE = "damaged: its tensors are not those of its text"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_shape, NOT_THOSE),
        (other_rank, NOT_THOSE),
        (other_dtype, NOT_THOSE),
        (unknown_dtype, "damaged header: `fc.bias` has no dtype of ours"),
        (one_missing, NOT_THOSE),
        (one_more, NOT_THOSE),
        (other_numbers, "damaged: the hash does not match the content"),
    ],
)
def test_tensors_that_are_not_the_nets_are_an_error(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    path = saved(tmp_path)
    tensors = {key: t.contiguous() for key, t in small().state_dict().items()}
    change(tensors)
    save_file(tensors, path, metadata={"netdsl": json.dumps(manifest(path))})
    with pytest.raises(ArtifactError) as raised:
        netdsl.load(path)
    assert str(raised.value) == f"{path}: {message}"


NOT_OURS = "not an artefact of netdsl (a safetensors file of weights?)"


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"netdsl": "{}", "more": ""}])
def test_another_safetensors_file_is_said_to_be_one(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    path = tmp_path / "a.netc"
    save_file({"weight": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(ArtifactError) as raised:
        netdsl.load(path)
    assert str(raised.value) == f"{path}: {NOT_OURS}"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"[]", "damaged header: no object"),
        (b"{}", NOT_OURS),
        (b'{"a": 1, "a": 1}', "damaged header: a name stands twice"),
        (
            b'{"__metadata__": {"netdsl": "{}", "netdsl": "{}"}}',
            "damaged header: a name stands twice",
        ),
        (b'{"__metadata__": {"netdsl": 3}}', "damaged header: no object"),
        (b'{"__metadata__": {"netdsl": "[]"}}', "damaged header: no object"),
        (
            b'{"__metadata__": {"netdsl": "{\\"a\\":1,\\"a\\":1}"}}',
            "damaged header: a name stands twice",
        ),
        (b'{"__metadata__": {"netdsl": "{\\"a\\":NaN}"}}', "damaged header: NaN is no number"),
        (b'{"__metadata__": {"netdsl": "\\ud800"}}', None),
        (b"[" * 100_000, "damaged header: it nests too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", None),
        (b"\xff\xfe", None),
    ],
)
def test_a_header_is_read_strictly(tmp_path: Path, header: bytes, message: str | None) -> None:
    path = tmp_path / "a.netc"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ArtifactError) as raised:
        netdsl.load(path)
    if message is not None:
        assert str(raised.value) == f"{path}: {message}"


@pytest.mark.parametrize("length", [2**64 - 1, 2**40, HEADER_LIMIT + 1])
def test_a_huge_header_is_not_read(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.netc"
    with path.open("wb") as file:
        file.write(length.to_bytes(8, "little"))
        file.truncate(HEADER_LIMIT + 100)  # a hole: nothing on the disk
    with pytest.raises(ArtifactError) as raised:
        netdsl.load(path)
    assert str(raised.value) == f"{path}: truncated, or not an artefact"


def test_a_header_that_stands_twice_in_one_tensors_place_is_an_error(tmp_path: Path) -> None:
    path = saved(tmp_path)
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    header["fc.bias"]["data_offsets"] = header["conv1.bias"]["data_offsets"]
    write_header(path, header, good[8 + length :])
    with pytest.raises(ArtifactError):
        netdsl.load(path)


@pytest.mark.parametrize("spec", [3, None, [], {}, {"dtype": "F32"}, {"dtype": [], "shape": [5]}])
def test_a_tensor_that_is_none_is_an_error(tmp_path: Path, spec: object) -> None:
    path = saved(tmp_path)
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    header["fc.bias"] = spec
    write_header(path, header, good[8 + length :])
    with pytest.raises(ArtifactError, match=r"damaged header: `fc\.bias`"):
        netdsl.load(path)
