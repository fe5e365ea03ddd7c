"""The artefact: the same bytes for the same content, the same numbers back."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from artefacts import (
    SMALL,
    call,
    images,
    saved,
    small,
)
from tolerances import assert_exact

import netdsl

OPEN_AND_CALL = """
import hashlib, sys, torch, netdsl
model = netdsl.load(sys.argv[1])
x = torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    y = model(x)
model.save(sys.argv[2])
print(model.training, hashlib.sha256(y.numpy().tobytes()).hexdigest())
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
