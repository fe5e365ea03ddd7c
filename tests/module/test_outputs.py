"""What a call returns: the anonymous output, named ones, those of training, stages asked for."""

from __future__ import annotations

import pickle

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact
from torch import Tensor

import netdsl
from netdsl import NetError

NAMED = """netdsl 1
net Named(x: [N, 4]) -> (y: [N, 3], train aux: [N, 2]) {
  h = x -> linear(5) -> relu
  y = h -> linear(3)
  aux = h -> linear(2)
}
"""

STAGES = """netdsl 1
block Unit(x: [N, C, H, W]; c) {
  return x -> conv(c, 3) -> bn -> relu
}
net Staged(x: [N, 3, H, W]) {
  return x -> Unit(4) as stem -> repeat 2 { Unit(6) } as layer1[] -> global_avg_pool
           -> linear(5) as fc
}
"""


def test_several_outputs_come_as_a_named_tuple() -> None:
    model = netdsl.loads(NAMED, seed=0)
    got = model(torch.ones(2, 4))
    assert type(got).__name__ == "Named"
    assert got._fields == ("y", "aux")
    assert (got.y.shape, got.aux.shape) == ((2, 3), (2, 2))
    y, aux = got
    assert (y is got.y, aux is got.aux) == (True, True)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_an_output_of_training_is_none_in_eval(backend: str) -> None:
    model = netdsl.loads(NAMED, seed=0, backend=backend)
    x = torch.ones(2, 4)
    trained = model(x)
    evaluated = model.eval()(x)
    assert evaluated.aux is None
    assert_exact(evaluated.y, trained.y)
    with torch.no_grad():
        assert model(x).aux is None


def test_each_output_alone_can_be_the_loss() -> None:
    model = netdsl.loads(NAMED, seed=0).double()
    twin = netdsl.loads(NAMED, seed=0, backend="reference").double()
    x = torch.randn(2, 4, dtype=torch.float64)
    for name in ("y", "aux"):
        gradients = []
        for net in (model, twin):
            net.zero_grad()
            getattr(net(x), name).square().sum().backward()
            gradients.append([p.grad for p in net.parameters()])
        for got, expected in zip(*gradients, strict=True):
            assert (got is None) == (expected is None)
            if expected is not None:
                assert_close(got, expected, NET_GRADIENT)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("stem", (2, 4, 6, 5)),
        ("stem.conv1", (2, 4, 6, 5)),
        ("stem.relu1", (2, 4, 6, 5)),
        ("layer1", (2, 6, 6, 5)),
        ("layer1.0", (2, 6, 6, 5)),
        ("layer1.0.bn1", (2, 6, 6, 5)),
        ("layer1.1.relu1", (2, 6, 6, 5)),
        ("global_avg_pool1", (2, 6)),
        ("fc", (2, 5)),
    ],
)
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_any_stage_can_be_asked_for_by_its_path(
    path: str, shape: tuple[int, ...], backend: str
) -> None:
    model = netdsl.loads(STAGES, seed=0, outputs=[path], backend=backend).eval()
    (got,) = model(images())
    assert got.shape == shape


def test_a_blocks_stage_is_what_its_last_layer_gives() -> None:
    whole = netdsl.loads(STAGES, seed=0).eval()
    taps = ["stem", "stem.relu1", "layer1", "layer1.1", "layer1.1.relu1", "fc"]
    model = netdsl.loads(STAGES, outputs=taps).eval()
    model.load_state_dict(whole.state_dict())
    with torch.no_grad():
        stem, last_of_stem, layer, unit, last, fc = model(images())
        assert_exact(stem, last_of_stem)
        assert_exact(layer, unit)
        assert_exact(layer, last)
        assert_close(fc, whole.double()(images().double()), NET)


def test_only_what_the_stages_need_is_kept() -> None:
    model = netdsl.loads(STAGES, outputs=["stem"])
    assert {key.partition(".")[0] for key in model.state_dict()} == {"stem"}


def test_stages_have_gradients_also_where_two_paths_lead_to_one() -> None:
    taps = ["layer1.0", "layer1.0.relu1", "stem.conv1"]
    nets = [netdsl.loads(STAGES, seed=0, outputs=taps, backend=b) for b in ("auto", "reference")]
    gradients = []
    for net in nets:
        x = images().double().requires_grad_()
        first, second, conv = net.double()(x)
        (first.sin().sum() + 2 * second.cos().sum() + conv.square().sum()).backward()
        gradients.append(x.grad)
    assert_close(gradients[0], gradients[1], NET_GRADIENT)


def test_an_input_that_is_an_output_comes_back_in_memory_of_its_own() -> None:
    model = netdsl.loads("netdsl 1\nnet A(x: [N, 4]) { return x -> identity }\n")
    x = torch.ones(2, 4)
    y = model(x)
    assert_exact(y, x)
    assert y.data_ptr() != x.data_ptr()


def test_a_wrong_path_gets_the_nearest_ones() -> None:
    with pytest.raises(NetError) as raised:
        netdsl.loads(STAGES, outputs=["layer1.0.bn"])
    assert str(raised.value) == (
        "error[N115]: `Staged` has no stage `layer1.0.bn`\n"
        "  = help: did you mean `layer1.0.bn1` or `layer1.1.bn1` or `layer1.0`?"
    )


@pytest.mark.parametrize(
    ("outputs", "error", "message"),
    [
        ("fc", TypeError, "outputs= is a list of paths of stages, not 'fc'"),
        ([], TypeError, "outputs= is a list of paths of stages, not []"),
        (["fc", "stem", "fc"], ValueError, "outputs= asks for `fc` twice"),
    ],
)
def test_outputs_are_a_list_of_different_paths(
    outputs: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        netdsl.loads(STAGES, outputs=outputs)
    assert str(raised.value) == message


def test_a_net_with_named_outputs_can_be_pickled() -> None:
    model = netdsl.loads(NAMED, seed=0)
    x = torch.ones(2, 4)
    again = pickle.loads(pickle.dumps(model))
    assert_exact(again(x).y, model(x).y)


def images() -> Tensor:
    return torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))


def test_a_parameter_that_only_an_unused_output_needs_has_no_gradient():
    """As in torch: None, so that weight decay and momentum leave it alone."""
    model = netdsl.loads("""
        net Two(x: [N, 3]) -> (a: [N, 2], b: [N, 2]) {
          h = x -> linear(4) as body -> tanh
          a = h -> linear(2) as left
          b = h -> linear(2) as right
        }
    """)
    model(torch.randn(5, 3)).a.sum().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert missing == ["right.weight", "right.bias"]


def test_a_net_that_reads_nothing_has_the_dtype_of_what_it_is_given() -> None:
    text = "recur t in 1..T { y[0]: [N, 3] = 1\n y[t] = tanh(y[t-1]) }\nreturn y"
    model = netdsl.loads(f"net A(x: [N, T, 3]) -> [N, T, 3] {{\n{text}\n}}")
    assert model(torch.zeros(2, 4, 3).double()).dtype == torch.float64
