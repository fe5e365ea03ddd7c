"""The mode pass: every bn and dropout by its own training bit, buffers as values."""

from __future__ import annotations

import textwrap

import pytest
import torch
from graphs import graph
from tolerances import NET, NET_GRADIENT, assert_close
from torch import nn

import netdsl
from netdsl.front import parse_text
from netdsl.ir import Builder, Input, Output
from netdsl.modes import modal_paths, specialise
from netdsl.module import NetModule
from netdsl.op import OPS, Type

NET_TEXT = "net Modal(x: [N, 3]) { return x -> bn -> dropout(0.25) -> bn(affine=false) }"


def test_every_modal_layer_has_a_training_bit_after_the_nets_own() -> None:
    assert modal_paths(parse_text(NET_TEXT)) == ("", "bn1", "dropout1", "bn2")


def test_a_layer_in_training_stands_beside_layers_in_eval() -> None:
    mixed = graph(NET_TEXT, ("bn2",))
    expected = """
        graph Modal {
          %0 = input x: [N, 3]
          %1 = parameter bn1.weight: [3]
          %2 = parameter bn1.bias: [3]
          %3 = buffer bn1.running_mean: [3]
          %4 = buffer bn1.running_var: [3]
          %5 = buffer bn1.num_batches_tracked: int[]
          %6 = batch_norm_inference(%0, %1, %2, %3, %4; eps=1e-5) -> [N, 3]  # bn1
          %7 = buffer bn2.running_mean: [3]
          %8 = buffer bn2.running_var: [3]
          %9 = buffer bn2.num_batches_tracked: int[]
          %10 = batch_norm(%6, %7, %8, %9; eps=1e-5, momentum=0.1, affine=false) -> \
[N, 3], [3], [3], [3], [3], int[]  # bn2
          output return = %10
          update bn2.running_mean = %10.3
          update bn2.running_var = %10.4
          update bn2.num_batches_tracked = %10.5
        }
    """
    assert mixed.text() == textwrap.dedent(expected).strip()


def test_dropout_in_training_draws_from_the_seed_that_all_share() -> None:
    text = "net Masks(x: [N, 3]) { return x -> dropout -> dropout }"
    expected = """
        graph Masks {
          %0 = input x: [N, 3]
          %1 = seed #seed: int[]
          %2 = bernoulli(%1; shape=[N, 3], keep=0.5, stream=0) -> bool[N, 3]  # dropout1
          %3 = masked_scale(%0, %2; scale=2) -> [N, 3]  # dropout1
          %4 = bernoulli(%1; shape=[N, 3], keep=0.5, stream=1) -> bool[N, 3]  # dropout2
          %5 = masked_scale(%3, %4; scale=2) -> [N, 3]  # dropout2
          output return = %5
        }
    """
    assert graph(text, ("dropout1", "dropout2")).text() == textwrap.dedent(expected).strip()


def test_an_output_marked_train_is_there_in_training_only() -> None:
    net = parse_text("""
        net Aux(x: [N, 3]) -> (y: [N, 3], train a: [N, 3]) {
          y = x -> relu
          a = x -> tanh
        }
    """)
    assert [o.name for o in specialise(net, ("",)).outputs] == ["y", "a"]
    assert [o.name for o in specialise(net, ()).outputs] == ["y"]


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_a_bn_used_twice_updates_its_statistics_twice(backend: str) -> None:
    """As torch does, one use after the other (found by hand: the second overwrote the first)."""

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.l, self.b = nn.Linear(3, 3), nn.BatchNorm1d(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.l(torch.tanh(self.b(self.l(x)))))

    model = netdsl.loads(
        """
        net Shared(x: [N, 3]) {
          layer l = linear(3)
          layer b = bn
          return x -> l -> b -> tanh -> l -> b
        }
        """,
        backend=backend,
    ).double()
    twin = Twin().double()
    twin.load_state_dict(model.state_dict())
    x = torch.randn(5, 3, dtype=torch.float64)
    for _ in range(3):
        y, reference = model(x), twin(x)
        assert_close(y, reference, NET)
        y.square().sum().backward()
        reference.square().sum().backward()
    for (key, got), expected in zip(
        model.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        assert_close(got, expected, NET, key)
    assert int(model.b.num_batches_tracked) == 6
    assert_close(model.l.weight.grad, twin.l.weight.grad, NET_GRADIENT)


def test_a_modal_layer_without_a_path_keeps_its_buffers() -> None:
    b = Builder("Bare")
    x = b(Input(Type((4, 3)), "x"))
    model = NetModule(b.build((Output("return", *b.layer(OPS["bn"](), x)),)))
    model(torch.randn(4, 3))
    assert int(model.num_batches_tracked) == 1


def test_the_reference_backend_takes_symbolic_sizes() -> None:
    """Dropout's mask and a reshape have sizes of the batch (found by random graphs)."""
    text = "net Sized(x: [N, 2, H]) { return x -> dropout -> flatten -> softmax }"
    models = [netdsl.loads(text, backend=backend) for backend in ("auto", "reference")]
    x = torch.randn(3, 2, 4)
    results = []
    for model in models:
        torch.manual_seed(0)
        results.append(model(x))
    assert_close(results[0], results[1].double(), NET)


def test_bn_in_training_refuses_one_value_a_channel_as_torch_does() -> None:
    model = netdsl.loads("net One(x: [N, 3]) { return x -> bn }")
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        model(torch.randn(1, 3))
    assert int(model.bn1.num_batches_tracked) == 0
