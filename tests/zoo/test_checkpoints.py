"""torchvision's checkpoints, as training scripts leave them, loaded whole, renamed and in part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from parity import scatter
from safetensors.torch import save_file
from tolerances import assert_exact
from torch import Tensor, nn

import netdsl
from netdsl.renaming import compare, write_renaming
from netdsl.weights import Filled, WeightsError, fill, shapes

HYPER = {"depth": 18}


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    torch.manual_seed(0)
    net = torchvision.models.resnet18()
    scatter(net)
    return net.eval()


def assert_the_same(model: nn.Module, theirs: nn.Module) -> None:
    for key, expected in theirs.state_dict().items():
        assert_exact(model.state_dict()[key], expected, key)


def elsewhere(key: str, t: Tensor) -> tuple[str, Tensor]:
    """A key and its tensor as a library with other names, and linear weights [in, out], has it."""
    name = key.replace("bn", "norm").replace("norm1.weight", "norm1.gamma").replace("fc", "head")
    return f"module.{name}", t.T.contiguous() if t.dim() == 2 else t


@pytest.mark.parametrize("nest", ["state_dict", "model", None])
def test_a_checkpoint_loads_as_it_is(tmp_path: Path, theirs: nn.Module, nest: str | None) -> None:
    path, state = tmp_path / "w.pt", theirs.state_dict()
    torch.save({nest: state, "epoch": 3} if nest else state, path)
    assert_the_same(netdsl.load("resnet", hyper=HYPER, weights=path), theirs)


def test_other_names_and_transposed_weights_load_by_the_proposed_renaming(
    tmp_path: Path, theirs: nn.Module
) -> None:
    path, table = tmp_path / "w.safetensors", tmp_path / "map.json"
    given = dict(elsewhere(key, t) for key, t in theirs.state_dict().items())
    save_file(given, path)
    with pytest.raises(WeightsError, match=r"122 missing .* 122 not of this net"):
        netdsl.load("resnet", hyper=HYPER, weights=path)
    found = compare(shapes(theirs.state_dict()), shapes(given))
    assert len(found.near) == 122
    write_renaming(table, found.near)
    model = netdsl.load("resnet", hyper=HYPER, weights=path, renaming=table)
    assert_the_same(model, theirs)


def test_a_wrong_renaming_is_said(tmp_path: Path, theirs: nn.Module) -> None:
    path, table = tmp_path / "w.pt", tmp_path / "map.json"
    torch.save(theirs.state_dict(), path)
    for wrong, message in (
        ({"fc.bias": "head.bias"}, "has no key head.bias, which the renaming asks for"),
        ({"fc.bias": {"from": "fc.bias", "permute": [1, 0]}}, "permutes 2 axes, but `fc.bias` has"),
        ({"fc.bias": "bn1.bias"}, r"1 of another shape \(fc.bias \[64\], not \[1000\]\)"),
    ):
        table.write_text(json.dumps(wrong))
        with pytest.raises(WeightsError, match=message):
            netdsl.load("resnet", hyper=HYPER, weights=path, renaming=table)


def test_a_part_is_taken_on_request_and_what_is_kept_is_said(
    tmp_path: Path, theirs: nn.Module
) -> None:
    path, state = tmp_path / "w.pt", theirs.state_dict()
    del state["conv1.weight"]
    state["fc.weight"], state["extra"] = torch.zeros(10, 512), torch.zeros(1)
    torch.save(state, path)
    with pytest.raises(WeightsError) as raised:
        netdsl.load("resnet", hyper=HYPER, weights=path)
    assert str(raised.value) == (
        f"the weights of {path} do not fit: 1 missing (conv1.weight), 1 not of this net (extra), "
        "1 of another shape (fc.weight [10, 512], not [1000, 512])\n"
        f"`netdsl keys F --diff {path}` compares all of them and proposes a renaming"
    )
    told: list[Filled] = []
    load: dict[str, Any] = {"hyper": HYPER, "weights": path, "partial": True, "seed": 1}
    model = netdsl.load("resnet", **load, told=told.append)
    (filled,) = told
    assert (filled.kept, filled.reshaped) == (("conv1.weight", "fc.weight"), ("fc.weight",))
    assert filled.unused == ("extra", "fc.weight")
    assert len(filled.taken) == 120
    fresh = netdsl.load("resnet", hyper=HYPER, seed=1).state_dict()
    for key, t in model.state_dict().items():
        assert_exact(t, fresh[key] if key in filled.kept else state[key], key)
    with pytest.warns(UserWarning, match="2 kept their initial values"):
        netdsl.load("resnet", **load)


def test_weights_that_do_not_fit_leave_the_net_as_it_was(tmp_path: Path) -> None:
    model = netdsl.load("lenet", seed=0)
    before = {key: t.clone() for key, t in model.state_dict().items()}
    path = tmp_path / "w.pt"
    for partial, state in ((False, {"conv1.bias": torch.ones(6)}), (True, {"x": torch.ones(6)})):
        torch.save(state, path)
        with pytest.raises(WeightsError):
            fill(model, path, partial=partial)
        for key, t in model.state_dict().items():
            assert_exact(t, before[key], key)


@pytest.mark.parametrize("kind", ["safetensors", "torch"])
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_truncated_file_is_said(
    tmp_path: Path, theirs: nn.Module, kind: str, share: float
) -> None:
    path = tmp_path / "w"
    state = theirs.state_dict()
    save_file(state, path) if kind == "safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match=f"{path}: .*(truncated|damaged)"):
        netdsl.load("resnet", hyper=HYPER, weights=path)
