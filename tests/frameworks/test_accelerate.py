"""accelerate trains our net as it trains a torch.nn model, and hands it back."""

from __future__ import annotations

import pytest
import torch
from recipes import images, loader, names, pair

import netdsl

accelerate = pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("ignore")  # the framework's own


@pytest.mark.parametrize(
    ("precision", "dtype", "close"),
    [
        ("no", torch.float64, {"rtol": 1e-9, "atol": 1e-10}),
        ("bf16", torch.float32, {"rtol": 3e-2, "atol": 3e-2}),
    ],
)
def test_it_trains_as_a_torch_nn_model(tmp_path, precision, dtype, close):
    recipe, (ours, theirs) = names("accelerate"), pair(dtype)
    before = ours.fc.weight.detach().clone()
    given_back = []
    for net in (ours, theirs):
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
        given_back.append(recipe["fit"](net, loader(dtype), precision))
    assert given_back[0] is ours and not torch.allclose(ours.fc.weight, before, atol=1e-3)
    torch.testing.assert_close(ours.state_dict(), dict(theirs.state_dict()), **close)
    ours.save(tmp_path / "photos.netc")
    x = images(2).to(dtype)
    again = netdsl.load(tmp_path / "photos.netc").eval()
    assert torch.equal(again(x), ours.eval()(x))
