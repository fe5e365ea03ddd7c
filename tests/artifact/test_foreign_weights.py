"""Weights that others wrote are read as data; what would run code is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from artefacts import (
    SMALL,
    small,
)
from safetensors.torch import save_file
from tolerances import assert_exact

import netdsl
from netdsl import ArtifactError
from netdsl.weights import WeightsError, read_weights


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


def test_taps_need_a_part_of_the_weights_and_refuse_those_of_another_net(tmp_path: Path) -> None:
    path, net = tmp_path / "w.pt", tmp_path / "small.net"
    net.write_text(SMALL)
    state = small(seed=4).state_dict()
    torch.save(state, path)
    model = netdsl.load(net, weights=path, outputs=["bn1"])
    assert "fc.weight" not in model.state_dict()
    for key, t in model.state_dict().items():
        assert_exact(t, state[key], key)
    torch.save(state | {"other.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=r"1 not of this net \(other\.weight\)"):
        netdsl.load(net, weights=path, outputs=["bn1"])
