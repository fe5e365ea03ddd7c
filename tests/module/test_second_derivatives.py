"""Gradients of gradients: with create_graph=True a net is as differentiable as torch.nn's, whose
numbers, graphs and errors it is compared with in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact, assert_gradients_close
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl
from netdsl.module import NetModule
from netdsl.program import Program

CRITIC = """netdsl 1
net Critic(x: [N, 3, 8, 8]) -> [N, 2] {
  return x -> conv(6, 3, pad=1) -> bn -> leaky_relu(0.2) -> avg_pool(2)
           -> conv(4, 3, pad=1, bias=false) -> bn -> tanh -> max_pool(2) -> flatten -> linear(2)
}
"""

# every net is called with one sequence or image; smooth, but for kinks that no number is near
NETS = {
    "conv, gelu": "net F(x: [N, 2, 3, 3]) { return x -> conv(2, 3, pad=1) -> gelu }",
    "conv, bn": "net F(x: [N, 2, 3, 3]) { return x -> conv(2, 3, pad=1) -> bn }",
    "up_conv, silu": "net F(x: [N, 2, 2, 2]) { return x -> up_conv(2, 2, stride=2) -> silu }",
    "depthwise": "net F(x: [N, 2, 3, 3]) { return x -> conv(2, 3, groups=2) -> tanh }",
    "ln": "net F(x: [N, 6]) { return x -> linear(5) -> ln -> sigmoid }",
    "gn": "net F(x: [N, 4, 2, 2]) { return x -> gn(2) -> tanh }",
    "bn of rows": "net F(x: [N, 3]) { return x -> bn -> linear(2) }",
    "max_pool": "net F(x: [N, 1, 4, 4]) { return x -> tanh -> max_pool(2) }",
    "avg_pool": "net F(x: [N, 1, 4, 4]) { return x -> tanh -> avg_pool(2) }",
    "adaptive": "net F(x: [N, 1, 4, 4]) { return x -> tanh -> adaptive_avg_pool(2) }",
    "global_avg_pool": "net F(x: [N, 2, 3, 3]) { return x -> tanh -> global_avg_pool }",
    "softmax": "net F(x: [N, 4]) { return x -> linear(3) -> softmax }",
    "residual": "net F(x: [N, 3]) { return x * tanh(x -> linear(3)) + x }",
    "dropout": "net F(x: [N, 5]) { return x -> tanh -> dropout(0.5) -> linear(2) }",
    "lstm": "net F(x: [N, 3, 2]) { y, h, c = x -> lstm(2)  return y }",
    "gru": "net F(x: [N, 3, 2]) { y, h = x -> gru(2)  return y }",
    "recur": """net F(x: [N, T, 2]) {
      recur t in 1..T { h[0]: [N, 2] = 0  h[t] = tanh(concat(x[t], h[t-1]) -> linear(2)) }
      return h
    }""",
}


@pytest.mark.parametrize("name", NETS)
def test_second_derivatives_are_those_of_finite_differences(name: str) -> None:
    model = netdsl.loads(f"netdsl 1\n{NETS[name]}", seed=0).double()
    shape = [n if isinstance(n, int) else 2 for n in model.graph.inputs[0].type.shape]
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weights = {key: p.detach().requires_grad_() for key, p in model.named_parameters()}

    def call(x: Tensor, *values: Tensor) -> Tensor:
        torch.manual_seed(0)  # the mask is the same at every call
        given = dict(zip(weights, values, strict=True)) | dict(model.named_buffers())
        return torch.func.functional_call(model, given, (x,))

    assert torch.autograd.gradgradcheck(call, (x, *weights.values()), atol=1e-6)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_gradient_penalty_is_that_of_torch_nn(training: bool) -> None:
    found = []
    for model in critics(training):
        x = images()
        (slope,) = torch.autograd.grad(model(x)[:, 0].sum(), x, create_graph=True)
        loss = (slope.flatten(1).norm(dim=1) - 1).square().mean() + model(x).square().mean()
        loss.backward()
        found.append({"slope": slope, "x": x.grad} | gradients(model))
    assert_gradients_close(*found, NET_GRADIENT)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_hessian_vector_product_is_that_of_torch_nn(training: bool) -> None:
    found = []
    for model in critics(training):
        weights = list(model.parameters())
        loss = model(images()).square().sum()
        first = torch.autograd.grad(loss, weights, create_graph=True)
        torch.manual_seed(1)
        along = sum((g * torch.randn_like(g)).sum() for g in first)
        second = torch.autograd.grad(along, weights, retain_graph=True)
        again = torch.autograd.grad(along, weights)
        assert all(map(torch.equal, second, again))
        found.append({str(i): g for i, g in enumerate((*first, *second))})
    assert_gradients_close(*found, NET_GRADIENT)


def test_a_third_derivative_is_that_of_torch_nn() -> None:
    found = []
    for model in critics(training=True):
        x = images()
        y = model(x).sin().sum()
        for _ in range(2):
            (g,) = torch.autograd.grad(y, x, create_graph=True)
            y = g.square().sum()
        y.backward()
        found.append({"x": x.grad} | gradients(model))
    assert_gradients_close(*found, NET_GRADIENT)


def test_an_inner_loop_of_maml_is_that_of_torch_nn() -> None:
    found = []
    for model in critics(training=True):
        weights = dict(model.named_parameters())
        fast = weights
        for step in range(3):
            loss = torch.func.functional_call(model, fast, (images(step),)).square().mean()
            slopes = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
            fast = {k: p - 0.1 * g for (k, p), g in zip(fast.items(), slopes, strict=True)}
        torch.func.functional_call(model, fast, (images(9),)).square().mean().backward()
        found.append(gradients(model))
    assert_gradients_close(*found, NET_GRADIENT)


def test_a_net_applied_to_its_own_output_counts_every_use_once() -> None:
    text = "netdsl 1\nnet F(x: [N, 3]) { return x -> linear(3) -> tanh }"
    model = netdsl.loads(text, seed=0).double()
    twin = nn.Sequential(nn.Linear(3, 3), nn.Tanh()).double()
    nn.utils.vector_to_parameters(
        nn.utils.parameters_to_vector(model.parameters()).detach(), twin.parameters()
    )
    found = []
    for net in (model, twin):
        x = torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3).requires_grad_()
        slopes = torch.autograd.grad(
            net(net(x)).square().sum(), [x, *net.parameters()], create_graph=True
        )
        sum(g.square().sum() for g in slopes).backward()
        second = [x.grad, *[p.grad for p in net.parameters()]]
        found.append({str(i): g for i, g in enumerate((*slopes, *second))})
    assert_gradients_close(*found, NET_GRADIENT)


def test_frozen_weights_have_no_gradient_and_the_others_all_of_it() -> None:
    found = []
    for model in critics(training=True):
        for p in list(model.parameters())[:3]:
            p.requires_grad_(False)
        x = images()
        (slope,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
        assert [p.grad is None for p in model.parameters()][:4] == [True] * 3 + [False]
        found.append(gradients(model))
    assert_gradients_close(*found, NET_GRADIENT)


@pytest.mark.parametrize("used", ["mean", "spread"])
def test_an_output_without_a_cotangent_gives_none(used: str) -> None:
    text = """netdsl 1
    net Two(x: [N, 3]) -> (mean: [N, 2], spread: [N, 2]) {
      h = x -> linear(4) as trunk -> tanh
      mean = h -> linear(2) as mean_head
      spread = h -> linear(2) as spread_head -> softplus
    }"""
    model = netdsl.loads(text, seed=0).double()
    weights = dict(model.named_parameters())
    x = torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3).requires_grad_()
    y = getattr(model(x), used)
    slopes = torch.autograd.grad(
        y.square().sum(), weights.values(), create_graph=True, allow_unused=True
    )
    h = F.linear(x, weights["trunk.weight"], weights["trunk.bias"]).tanh()
    z = F.linear(h, weights[f"{used}_head.weight"], weights[f"{used}_head.bias"])
    z = F.softplus(z) if used == "spread" else z
    expected = torch.autograd.grad(
        z.square().sum(), weights.values(), create_graph=True, allow_unused=True
    )
    assert [g is None for g in slopes] == [g is None for g in expected]
    pairs = [(a, b) for a, b in zip(slopes, expected, strict=True) if b is not None]
    (second,) = torch.autograd.grad(sum(a.square().sum() for a, _ in pairs), x)
    (wanted,) = torch.autograd.grad(sum(b.square().sum() for _, b in pairs), x)
    assert_close(second, wanted, NET_GRADIENT)


def test_one_graph_gives_plain_and_differentiable_gradients_in_any_order() -> None:
    text = "netdsl 1\nnet F(x: [N, 3, 4, 4]) { return x -> conv(4, 3) -> bn -> dropout(0.5) }"
    model = netdsl.loads(text, seed=0).double()
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    y = model(x).square().sum()
    (plain,) = torch.autograd.grad(y, x, retain_graph=True)
    statistics = {key: t.clone() for key, t in model.named_buffers()}
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    assert not plain.requires_grad
    assert first.requires_grad
    assert_close(first, plain, NET_GRADIENT)
    for key, t in model.named_buffers():
        assert_exact(t, statistics[key], key)
    assert_exact(torch.autograd.grad(y, x, retain_graph=True)[0], plain)
    first.square().sum().backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(y, x, create_graph=True)


def test_calls_in_between_do_not_change_a_second_derivative() -> None:
    found = []
    for between in (False, True):
        model, _ = critics(training=True)
        x = images()
        y = model(x).square().sum()
        if between:
            model(images(7))  # new running statistics
            with torch.no_grad():
                model(images(8))
        (slope,) = torch.autograd.grad(y, x, create_graph=True)
        slope.square().sum().backward()
        found.append(gradients(model))
    for key, gradient in found[0].items():
        assert_exact(found[1][key], gradient, key)


def test_a_cotangent_may_be_what_is_differentiated() -> None:
    found = []
    for model in critics(training=False):
        x = images().detach().requires_grad_()
        cotangent = torch.full((3, 2), 0.5, dtype=torch.float64, requires_grad=True)
        (back,) = torch.autograd.grad(model(x), x, cotangent, create_graph=True)
        (forward,) = torch.autograd.grad(back, cotangent, torch.ones_like(x))
        found.append(forward)
    assert_close(*found, NET_GRADIENT)


@pytest.mark.parametrize("name", ["conv1.weight", "linear1.bias"])
def test_a_weight_changed_before_backward_raises(name: str) -> None:
    model, _ = critics(training=True)
    x = images()
    y = model(x).square().sum()
    with torch.no_grad():
        model.get_parameter(name).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(y, x, create_graph=True)


def test_a_bias_changed_before_backward_is_named_and_disturbs_no_plain_gradient() -> None:
    model, _ = critics(training=True)
    x = images()
    y = model(x).square().sum()
    (before,) = torch.autograd.grad(y, x, retain_graph=True)
    with torch.no_grad():
        model.linear1.bias.add_(1)
    assert_exact(torch.autograd.grad(y, x, retain_graph=True)[0], before)
    with pytest.raises(RuntimeError) as raised:
        torch.autograd.grad(y, x, create_graph=True)
    assert str(raised.value) == (
        "`linear1.bias` was modified by an inplace operation after the forward pass, and a "
        "gradient with create_graph=True needs it as it was"
    )


def test_a_plain_gradient_runs_the_forward_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_again(*_: object) -> None:
        raise AssertionError("the forward was run again")

    monkeypatch.setattr(Program, "reference", run_again)
    model, _ = critics(training=True)
    x = images()
    model(x).square().sum().backward()
    with pytest.raises(AssertionError, match="run again"):
        torch.autograd.grad(model(x).square().sum(), x, create_graph=True)


def test_autocast_around_a_second_backward_changes_nothing() -> None:
    found = []
    for enabled in (False, True):
        model, _ = critics(training=True)
        x = images()
        y = model(x).square().sum()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            (slope,) = torch.autograd.grad(y, x, create_graph=True)
        slope.square().sum().backward()
        found.append(gradients(model))
    for key, gradient in found[0].items():
        assert_exact(found[1][key], gradient, key)


def test_a_recomputed_activation_checkpoint_has_second_derivatives_too() -> None:
    found = []
    for recomputed in (False, True):
        model, _ = critics(training=False)
        x = images()
        run: Callable[..., Tensor] = torch.utils.checkpoint.checkpoint if recomputed else _apply
        y = run(model, x, use_reentrant=False)
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        slope.square().sum().backward()
        found.append(gradients(model))
    for key, gradient in found[0].items():
        assert_exact(found[1][key], gradient, key)


@pytest.mark.filterwarnings("ignore")  # torch warns itself while it traces
def test_torch_compile_keeps_second_derivatives_or_says_that_it_has_none() -> None:
    model, twin = (netdsl.loads(CRITIC, seed=0) for _ in range(2))
    slopes = []
    for net in (twin, torch.compile(model, backend="eager")):
        x = images().float().detach().requires_grad_()
        (slope,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
        slopes.append(torch.autograd.grad(slope.square().sum(), x)[0])
    assert_exact(*slopes)
    x = images().float().detach().requires_grad_()
    traced = torch.compile(model, backend="aot_eager")
    (slope,) = torch.autograd.grad(traced(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not currently support double backward"):
        slope.square().sum().backward()


def _apply(model: nn.Module, x: Tensor, **_: object) -> Tensor:
    return model(x)


def critics(training: bool) -> tuple[NetModule, nn.Module]:
    """The net and the same of torch.nn, with the same numbers and names."""
    model = netdsl.loads(CRITIC, seed=0).double().train(training)
    twin = Critic().double().train(training)
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(1.5)
    twin.load_state_dict(model.state_dict())
    assert_close(call(model), call(twin), NET)
    return model, twin


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)
        self.linear1 = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(F.leaky_relu(self.bn1(self.conv1(x)), 0.2), 2)
        x = F.max_pool2d(self.bn2(self.conv2(x)).tanh(), 2)
        return self.linear1(x.flatten(1))


def images(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, 3, 8, 8, generator=generator, dtype=torch.float64)
    return x.requires_grad_()


def call(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(images())


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
