"""Lightning's trainer trains our net as it trains a torch.nn model."""

from __future__ import annotations

import pytest
import torch
from recipes import images, loader, names, pair

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("ignore")  # the framework's own


@pytest.mark.parametrize(
    ("precision", "dtype", "close"),
    [
        ("64-true", torch.float64, {"rtol": 1e-9, "atol": 1e-10}),
        ("32-true", torch.float32, {"rtol": 1e-4, "atol": 1e-5}),
        ("bf16-mixed", torch.float32, {"rtol": 2e-2, "atol": 2e-2}),
    ],
)
def test_it_trains_as_a_torch_nn_model(tmp_path, monkeypatch, precision, dtype, close):
    monkeypatch.chdir(tmp_path)
    recipe, (ours, theirs) = names("lightning"), pair()
    before = ours.fc.weight.detach().clone()
    found, expected = (recipe["fit"](net, loader(dtype), precision) for net in (ours, theirs))
    assert ours.training and not torch.allclose(ours.fc.weight.float(), before, atol=1e-3)
    torch.testing.assert_close(ours.state_dict(), dict(theirs.state_dict()), **close)
    losses = (trainer.callback_metrics["loss"] for trainer in (found, expected))
    torch.testing.assert_close(*losses, **close)


def test_a_checkpoint_is_loaded_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe, (ours, _) = names("lightning"), pair()
    recipe["fit"](ours, loader()).save_checkpoint("run.ckpt")
    other = pair()[0]
    loaded = recipe["Task"].load_from_checkpoint("run.ckpt", net=other).eval()
    assert loaded.net is other and torch.equal(loaded.net(images(2)), ours.eval()(images(2)))
