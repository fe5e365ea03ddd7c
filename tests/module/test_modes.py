"""Training and eval, module by module: statistics, frozen parts, gradients wanted, dropout."""

from __future__ import annotations

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact
from torch import Tensor, nn

import netdsl

NORMALISED = """netdsl 1
net Normalised(x: [N, 3, H, W]) {
  return x -> conv(8, 3) -> bn(MOMENTUM) -> relu -> conv(4, 3) -> bn(MOMENTUM)
}
"""

DROPPED = """netdsl 1
net Dropped(x: [N, D]) { return x -> dropout(0.3) }
"""

TWICE = """netdsl 1
net Twice(x: [N, D]) { return (x -> dropout(0.3)) * (x -> dropout(0.3)) }
"""


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
def test_running_statistics_are_torchs_after_every_call(momentum: float | None) -> None:
    model, twin = normalised(momentum)
    for step in range(3):
        x = images(step) * (step + 1) + step
        assert_close(model(x), twin(x), NET)
        assert_same_state(model, twin)
    assert int(model.bn1.num_batches_tracked) == 3


def test_running_statistics_move_without_gradients_too() -> None:
    model, twin = normalised(0.1)
    with torch.no_grad():
        assert_close(model(images()), twin(images()), NET)
    assert_same_state(model, twin)


def test_eval_leaves_the_running_statistics_alone() -> None:
    model, twin = normalised(0.1)
    before = {key: t.clone() for key, t in model.state_dict().items()}
    model.eval()
    model(images()).sum().backward()
    with torch.no_grad():
        assert_close(model(images()), twin.eval()(images()), NET)
    for key, t in model.state_dict().items():
        assert_exact(t, before[key], key)


def test_frozen_bn_keeps_its_statistics_while_the_net_trains() -> None:
    model, twin = normalised(0.1)
    model(images())  # away from mean 0 and variance 1
    twin(images())
    model.bn1.eval()
    twin[1].eval()
    compare_steps(model, twin, images(1))
    assert (int(model.bn1.num_batches_tracked), int(model.bn2.num_batches_tracked)) == (1, 2)


def test_one_bn_in_training_within_a_net_in_eval() -> None:
    model, twin = normalised(0.1)
    model.eval().bn2.train()
    twin.eval()[4].train()
    compare_steps(model, twin, images(1))
    with torch.no_grad():
        assert_close(model(images(2)), twin(images(2)), NET)
    assert_same_state(model, twin)


def test_frozen_parameters_get_no_gradient_and_the_others_keep_theirs() -> None:
    model, twin = normalised(0.1)
    model.conv1.requires_grad_(False)
    twin[0].requires_grad_(False)
    compare_steps(model, twin, images())
    assert [name for name, p in model.named_parameters() if p.grad is None] == [
        "conv1.weight",
        "conv1.bias",
    ]


def test_the_gradient_of_a_frozen_parameter_is_not_computed() -> None:
    model, _ = normalised(0.1)
    model.requires_grad_(False)
    model.bn2.bias.requires_grad_(True)
    model(images())
    (program,) = model._executable.programs.values()
    assert [o.name for o in program.lowered.backward.outputs] == ["bn2.bias"]
    assert "conv_grad" not in program.lowered.backward.text()


def test_nothing_wants_a_gradient_where_all_is_frozen() -> None:
    model, _ = normalised(0.1)
    model.requires_grad_(False)
    assert not model(images()).requires_grad


def test_the_input_alone_can_want_a_gradient() -> None:
    model, twin = normalised(0.1)
    model.eval().requires_grad_(False)
    twin.eval().requires_grad_(False)
    x, same = images().requires_grad_(), images().requires_grad_()
    model(x).square().sum().backward()
    twin(same).square().sum().backward()
    assert_close(x.grad, same.grad, NET_GRADIENT)


def test_two_calls_before_one_backward_add_their_gradients() -> None:
    model, twin = normalised(0.1)
    for net in (model, twin):
        first, second = net(images()), net(images(1) * 2)
        (first.sin() + second.cos()).sum().backward()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert_close(p.grad, q.grad, NET_GRADIENT, floor=1e-3)
    assert_same_state(model, twin)


def test_a_graph_that_is_kept_gives_its_gradient_again() -> None:
    model, _ = normalised(0.1)
    loss = model(images()).square().sum()
    loss.backward(retain_graph=True)
    once = [p.grad.clone() for p in model.parameters()]
    loss.backward()
    for p, g in zip(model.parameters(), once, strict=True):
        assert_exact(p.grad, g + g)


def test_a_weight_changed_in_place_before_backward_raises() -> None:
    model, _ = normalised(0.1)
    loss = model(images()).sum()
    with torch.no_grad():
        model.conv2.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_dropout_zeroes_and_scales_in_training_and_is_the_identity_in_eval() -> None:
    model = netdsl.loads(DROPPED)
    x = torch.rand(100, 100) + 1
    y = model(x)
    kept = y != 0
    assert abs(float(kept.float().mean()) - 0.7) < 0.02
    assert_close(y[kept], x[kept].double() / 0.7)
    assert_exact(model.eval()(x), x)


def test_dropout_has_one_mask_forward_and_backward() -> None:
    model = netdsl.loads(DROPPED)
    x = torch.ones(50, 50, requires_grad=True)
    y = model(x)
    y.sum().backward()
    assert_exact(x.grad, y.detach())


def test_dropout_draws_anew_at_every_call_and_in_every_layer() -> None:
    model = netdsl.loads(DROPPED)
    x = torch.ones(50, 50)
    assert not torch.equal(model(x), model(x))
    both = netdsl.loads(TWICE)(x) != 0
    assert abs(float(both.float().mean()) - 0.49) < 0.05


def test_dropout_follows_torchs_seed() -> None:
    model, x = netdsl.loads(DROPPED), torch.ones(50, 50)
    torch.manual_seed(7)
    first, second = model(x), model(x)
    torch.manual_seed(7)
    assert_exact(model(x), first)
    assert_exact(model(x), second)


def test_dropout_of_the_reference_draws_the_same_mask() -> None:
    x = torch.ones(50, 50)
    drawn = []
    for backend in ("auto", "reference"):
        torch.manual_seed(7)
        drawn.append(netdsl.loads(TWICE, backend=backend)(x))
    assert_exact(drawn[0], drawn[1])


def normalised(momentum: float | None) -> tuple[nn.Module, nn.Sequential]:
    """Our net and torch's, with the same numbers, in float64 and in training."""
    written = "none" if momentum is None else str(momentum)
    text = NORMALISED.replace("MOMENTUM", f"momentum={written}")
    model = netdsl.loads(text, seed=0).double()
    twin = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8, momentum=momentum),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, padding=1),
        nn.BatchNorm2d(4, momentum=momentum),
    ).double()
    numbers = zip(twin.state_dict(), model.state_dict().values(), strict=True)
    twin.load_state_dict({key: t.clone() for key, t in numbers})
    return model, twin


def images(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 3, 7, 5, generator=generator, dtype=torch.float64)


def compare_steps(model: nn.Module, twin: nn.Module, x: Tensor) -> None:
    """Equal outputs, gradients of every parameter that wants one, and buffers."""
    got, expected = model(x), twin(x)
    assert_close(got, expected, NET)
    got.sin().sum().backward()
    expected.sin().sum().backward()
    for (name, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if q.grad is not None:
            assert_close(p.grad, q.grad, NET_GRADIENT, name, floor=1e-3)
    assert_same_state(model, twin)


def assert_same_state(model: nn.Module, twin: nn.Module) -> None:
    pairs = zip(model.state_dict().items(), twin.state_dict().values(), strict=True)
    for (key, got), expected in pairs:
        assert_close(got, expected, NET, key)
