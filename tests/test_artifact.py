"""The artefact: the same bytes for the same content, the same numbers back, and nothing but an
error for a file that is damaged, newer, or somebody's trap."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tolerances import assert_exact
from torch import Tensor

import netdsl
from netdsl import ArtifactError
from netdsl.artifact import HEADER_LIMIT
from netdsl.module import NetModule
from netdsl.weights import WeightsError, read_weights

SMALL = """netdsl 1
net Small(x: [N, 3, H, W]; classes = 5) -> [N, classes] {
  return x -> conv(4, 3) -> bn -> relu -> global_avg_pool -> linear(classes) as fc
}
"""

OPEN_AND_CALL = """
import hashlib, sys, torch, netdsl
model = netdsl.load(sys.argv[1])
x = torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    y = model(x)
model.save(sys.argv[2])
print(model.training, hashlib.sha256(y.numpy().tobytes()).hexdigest())
"""

SAVE_FOR_EVER = """
import sys, netdsl
nets = [netdsl.loads(sys.argv[2], seed=seed) for seed in (0, 1)]
print("ready", flush=True)
while True:
    for net in nets:
        net.save(sys.argv[1])
"""


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.netc", "b.netc"):
        netdsl.loads(SMALL, hyper={"classes": 7}, seed=0).save(tmp_path / name)
    assert (tmp_path / "a.netc").read_bytes() == (tmp_path / "b.netc").read_bytes()


@pytest.mark.parametrize("hash_seed", ["1"])
def test_another_process_gives_the_same_outputs_and_the_same_bytes(
    tmp_path: Path, hash_seed: str
) -> None:
    model = small()
    model.save(tmp_path / "a.netc")
    files = [str(tmp_path / name) for name in ("a.netc", "b.netc")]
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AND_CALL, *files],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = hashlib.sha256(call(model.eval()).numpy().tobytes()).hexdigest()
    assert done.stdout == f"False {expected}\n"
    assert (tmp_path / "a.netc").read_bytes() == (tmp_path / "b.netc").read_bytes()


def test_a_net_comes_back_in_eval_with_all_that_it_was_made_of(tmp_path: Path) -> None:
    model = netdsl.loads(SMALL, hyper={"classes": 7}, outputs=["relu1", "fc"], seed=0)
    model(images())
    model.save(tmp_path / "a.netc")
    state = torch.get_rng_state()
    again = netdsl.load(tmp_path / "a.netc")
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in again.modules())
    assert all(p.requires_grad for p in again.parameters())
    assert list(again.state_dict()) == list(model.state_dict())
    for key, t in model.state_dict().items():
        assert_exact(again.state_dict()[key], t, key)
    for got, expected in zip(again(images()), model.eval()(images()), strict=True):
        assert_exact(got, expected)
    again.train()(images())[1].sum().backward()


def test_a_net_of_several_files_comes_back_without_them(tmp_path: Path) -> None:
    (tmp_path / "parts.net").write_text(
        "netdsl 1\nblock Twice(x: [N, D]) { return x -> linear(4) -> relu -> linear(4) }\n"
    )
    root = tmp_path / "root.net"
    root.write_text(
        "netdsl 1\nfrom parts import Twice\nnet Root(x: [N, 4]) { return x -> Twice }\n"
    )
    model = netdsl.load(root, seed=0)
    model.save(tmp_path / "a.netc")
    root.unlink()
    (tmp_path / "parts.net").unlink()
    x = torch.randn(3, 4)
    assert_exact(netdsl.load(tmp_path / "a.netc")(x), model(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_come_back_in_their_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    model = small().to(dtype).eval()
    model.save(tmp_path / "a.netc")
    again = netdsl.load(tmp_path / "a.netc")
    assert {t.dtype for t in again.parameters()} == {dtype}
    assert_exact(again(images(dtype)), model(images(dtype)))


def test_weights_of_two_dtypes_come_back_as_they_were(tmp_path: Path) -> None:
    model = small()
    model.fc.double()
    model.save(tmp_path / "a.netc")
    again = netdsl.load(tmp_path / "a.netc").state_dict()
    assert {key: t.dtype for key, t in again.items()} == {
        key: t.dtype for key, t in model.state_dict().items()
    }


def test_the_layout_of_the_weights_does_not_reach_the_file(tmp_path: Path) -> None:
    model = small()
    model.to(memory_format=torch.channels_last).save(tmp_path / "a.netc")
    model.to(memory_format=torch.contiguous_format).save(tmp_path / "b.netc")
    assert (tmp_path / "a.netc").read_bytes() == (tmp_path / "b.netc").read_bytes()


def test_weights_that_share_memory_are_saved_each(tmp_path: Path) -> None:
    text = "netdsl 1\nnet A(x: [N, 4]) { return x -> linear(4) -> linear(4) }\n"
    model = netdsl.loads(text, seed=0)
    model.linear2.weight.data = model.linear1.weight.data
    model.save(tmp_path / "a.netc")
    x = torch.randn(2, 4)
    assert_exact(netdsl.load(tmp_path / "a.netc")(x), model(x))


def test_loaded_weights_do_not_hang_on_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    model = netdsl.load(path)
    before = call(model)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert_exact(call(model), before)


def test_the_reference_can_be_loaded_from_an_artefact(tmp_path: Path) -> None:
    model = netdsl.load(saved(tmp_path), backend="reference")
    assert model.backend == "reference"
    assert call(model).shape == (2, 5)


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
    text = "netdsl 1\nnet A(x: [N, 3]) { return x -> linear(4, 4, 4, 4) }\n"
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


def test_a_kill_in_the_middle_of_saving_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "a.netc"
    nets = [netdsl.loads(SMALL, seed=seed) for seed in (0, 1)]
    expected = [contents_of(net) for net in nets]
    for delay in (0.02, 0.11):
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(path), SMALL]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as saving:
            assert saving.stdout is not None
            assert saving.stdout.readline() == b"ready\n"
            while not path.exists():
                time.sleep(0.001)
            time.sleep(delay)
            saving.send_signal(signal.SIGKILL)
        assert contents(path) in expected


def test_a_save_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left on device"):
        small(seed=1).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.netc"]


def test_a_folder_that_cannot_be_written_to_is_said_with_the_files_name(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "a.netc"
    with pytest.raises(FileNotFoundError) as raised:
        small().save(missing)
    assert str(raised.value) == f"[Errno 2] No such file or directory: '{missing}'"


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a folder that root cannot write to")
def test_a_folder_that_is_read_only_is_said_with_the_files_name() -> None:
    with pytest.raises(OSError) as raised:
        small().save("/sys/a.netc")
    assert raised.value.filename == "/sys/a.netc"


def test_a_new_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    assert saved(tmp_path).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_net_made_by_hand_has_no_text_to_save(tmp_path: Path) -> None:
    model = NetModule(small().graph)
    with pytest.raises(ValueError) as raised:
        model.save(tmp_path / "a.netc")
    assert str(raised.value) == "this net was made from a graph by hand: it has no text to save"


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_weights_that_would_run_code_are_refused_and_do_not_run(
    tmp_path: Path, writer: str
) -> None:
    path, sprung = tmp_path / "w.pt", tmp_path / "sprung"
    content = {"fc.weight": torch.zeros(5, 4), "trap": Trap(sprung)}
    if writer == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    for read in (read_weights, lambda p: netdsl.load("lenet", weights=p)):
        with pytest.raises(WeightsError, match="neither safetensors nor a torch file of tensors"):
            read(path)
    assert not sprung.exists()
    with path.open("rb") as file:  # the trap is one
        torch.load(file, weights_only=False) if writer == "torch" else pickle.load(file)
    assert sprung.exists()


def test_a_pickle_in_the_place_of_an_artefact_does_not_run(tmp_path: Path) -> None:
    path, sprung = tmp_path / "a.netc", tmp_path / "sprung"
    torch.save(Trap(sprung), path)
    with pytest.raises(ArtifactError):
        netdsl.load(path)
    assert not sprung.exists()


@pytest.mark.parametrize("kind", ["safetensors", "torch", "checkpoint"])
def test_weights_are_read_from_the_files_that_others_write(tmp_path: Path, kind: str) -> None:
    numbers = {key: t.contiguous() for key, t in small(seed=4).state_dict().items()}
    path, net = tmp_path / "w", tmp_path / "small.net"
    net.write_text(SMALL)
    if kind == "safetensors":
        save_file(numbers, path)
    else:
        torch.save({"state_dict": numbers} if kind == "checkpoint" else numbers, path)
    model = netdsl.load(net, weights=path)
    for key, t in model.state_dict().items():
        assert_exact(t, numbers[key], key)


@pytest.mark.parametrize("content", [torch.zeros(3), {"a": 3}, [torch.zeros(3)]], ids=range(3))
def test_a_torch_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "w.pt"
    torch.save(content, path)
    with pytest.raises(WeightsError) as raised:
        read_weights(path)
    assert str(raised.value) == f"{path}: holds no state_dict (names and tensors)"


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


def test_an_artefact_gives_its_stages_too(tmp_path: Path) -> None:
    model = small().eval()
    model.save(tmp_path / "a.netc")
    x = torch.randn(2, 3, 9, 7)
    tapped = netdsl.load(tmp_path / "a.netc", outputs=["relu1", "fc"])
    hidden, logits = tapped(x)
    assert_exact(logits, model(x))
    assert hidden.shape == (2, 4, 9, 7)
    (narrow,) = netdsl.load(tmp_path / "a.netc", outputs=["relu1"])(x)
    assert_exact(narrow, hidden)


def test_what_an_artefact_has_already_is_not_given_again(tmp_path: Path) -> None:
    small().save(tmp_path / "a.netc")
    with pytest.raises(ValueError, match="has its hyper-parameters and weights"):
        netdsl.load(tmp_path / "a.netc", hyper={"classes": 3})
