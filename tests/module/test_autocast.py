"""torch.autocast over our plans: the dtypes, numbers and gradients of the same torch.nn model."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact, assert_gradients_close
from torch import Tensor, nn

import netdsl
from netdsl.module import NetModule
from netdsl.reference import Reference

BF16, FP16 = torch.bfloat16, torch.float16


class Residual(nn.Module):
    """Two convolutions with batch norm around which x passes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        x = (self.bn2(self.conv2(x)) + x).relu()
        return self.fc(x.mean((2, 3)))


class Normalised(nn.Module):
    """Layer norm before a hidden layer, a residual sum of two dtypes, probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.ln, self.up, self.down = nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.down(nn.functional.gelu(self.up(self.ln(x))))).softmax(-1)


class Recurrent(nn.Module):
    """An lstm, and a linear layer of its mean step."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(x)[0].mean(1))


TEXTS: dict[str, tuple[str, Any, tuple[int, ...]]] = {
    "lenet": (
        """netdsl 1
net LeNet(x: [N, 1, 12, 12]) {
  return x -> conv(6, 5) -> tanh -> avg_pool(2) -> conv(8, 3, pad=0) -> tanh -> max_pool(2)
           -> flatten -> linear(10) -> relu -> linear(4) -> log_softmax
}
""",
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 8, 3),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 10),
            nn.ReLU(),
            nn.Linear(10, 4),
            nn.LogSoftmax(1),
        ),
        (16, 1, 12, 12),
    ),
    "residual": (
        """netdsl 1
net Residual(x: [N, 3, H, W]) {
  h = x -> conv(8, 3) -> bn -> relu
  y = h -> conv(8, 3, bias=false) -> bn
  return relu(y + h) -> mean(axis=(2, 3)) -> linear(5)
}
""",
        Residual,
        (16, 3, 9, 8),
    ),
    "norm": (
        """netdsl 1
net Normalised(x: [N, T, 16]) {
  h = x -> ln -> linear(32) -> gelu -> linear(16)
  return softmax(x + h; axis=-1)
}
""",
        Normalised,
        (8, 5, 16),
    ),
    "lstm": (
        """netdsl 1
net Recurrent(x: [N, T, 6]) {
  y, h, c = x -> lstm(8)
  return y -> mean(axis=1) -> linear(3)
}
""",
        Recurrent,
        (8, 5, 6),
    ),
}


# torch has no lstm in float16 on every CPU
LOWERED = [(n, low) for n in TEXTS for low in (BF16, FP16) if (n, low) != ("lstm", FP16)]


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may be interpreted; a test that is about that undoes it."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the net was interpreted")

    monkeypatch.setattr(Reference, "_interpret", refuse)


def pair(name: str) -> tuple[NetModule, nn.Module, Tensor]:
    """Our net, torch's with the same numbers, and an input."""
    text, make, shape = TEXTS[name]
    torch.manual_seed(0)
    model, twin = netdsl.loads(text, seed=0), make()
    numbers = zip(twin.state_dict(), model.state_dict().values(), strict=True)
    twin.load_state_dict({key: value.clone() for key, value in numbers})
    return model, twin, torch.randn(shape)


def step(net: nn.Module, x: Tensor, low: torch.dtype | None) -> tuple[Tensor, dict[str, Tensor]]:
    """The output under autocast to `low`, and the gradients of the input and of the weights."""
    net.zero_grad()
    leaf = x.detach().clone().requires_grad_()
    with torch.autocast("cpu", low, enabled=low is not None):
        y = net(leaf)
    cotangent = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    y.backward(cotangent.to(y.dtype))
    found = {"x": leaf.grad, **{str(i): p.grad for i, p in enumerate(net.parameters())}}
    return y.detach(), {k: g for k, g in found.items() if g is not None}


def rmse(got: Tensor, exact: Tensor) -> float:
    return float((got.detach().double() - exact.detach()).square().mean().sqrt())


def joined(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([g.double().flatten() for g in gradients.values()])


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("name", "low"), LOWERED, ids=str)
def test_a_step_has_the_dtypes_and_the_error_of_torchs_own(
    name: str, training: bool, low: torch.dtype
) -> None:
    model, twin, x = pair(name)
    exact = deepcopy(twin).double().train(training)
    y64, g64 = step(exact, x.double(), None)
    y, gradients = step(model.train(training), x, low)
    y_torch, g_torch = step(twin.train(training), x, low)
    assert y.dtype == y_torch.dtype
    assert {k: g.dtype for k, g in gradients.items()} == {k: g.dtype for k, g in g_torch.items()}
    assert rmse(y, y64) <= 3 * rmse(y_torch, y64)
    assert rmse(joined(gradients), joined(g64)) <= 3 * rmse(joined(g_torch), joined(g64))
    assert_close(y.to(low), y64, NET)
    for (key, buffer), own in zip(model.named_buffers(), twin.buffers(), strict=True):
        assert buffer.dtype == own.dtype, key
        assert_close(buffer.double(), own.double(), NET, key)


@pytest.mark.parametrize(("name", "low"), LOWERED, ids=str)
def test_without_gradients_the_output_is_torchs(name: str, low: torch.dtype) -> None:
    model, twin, x = pair(name)
    with torch.no_grad():
        y64 = deepcopy(twin).double().eval()(x.double())
        with torch.autocast("cpu", low):
            y, own = model.eval()(x), twin.eval()(x)
    assert y.dtype == own.dtype
    assert rmse(y, y64) <= 3 * rmse(own, y64)


def test_two_calls_before_one_backward_keep_their_own_numbers() -> None:
    model, _, x = pair("residual")
    model.eval()
    alone = []
    for part in (x[:5], x[5:]):
        model.zero_grad()
        with torch.autocast("cpu", BF16):
            y = model(part)
        y.float().square().sum().backward()
        alone.append([p.grad for p in model.parameters()])
    model.zero_grad()
    with torch.autocast("cpu", BF16):
        first, second = model(x[:5]), model(x[5:])
    (first.float().square().sum() + second.float().square().sum()).backward()
    for p, one, other in zip(model.parameters(), *alone, strict=True):
        assert_close(p.grad, (one + other).double(), NET)


def test_frozen_parts_have_no_gradient_and_the_others_torchs() -> None:
    model, twin, x = pair("residual")
    for net, names in ((model, ("bn1", "bn2")), (twin, ("bn1", "bn2"))):
        net.train()
        for name in names:
            net.get_submodule(name).eval().requires_grad_(False)
    before = [b.clone() for b in model.buffers()]
    exact = deepcopy(twin).double()
    _, g64 = step(exact, x.double(), None)
    _, gradients = step(model, x, BF16)
    _, g_torch = step(twin, x, BF16)
    assert list(gradients) == list(g_torch)
    assert rmse(joined(gradients), joined(g64)) <= 3 * rmse(joined(g_torch), joined(g64))
    for b, old in zip(model.buffers(), before, strict=True):
        assert_exact(b, old)


@pytest.mark.parametrize("name", TEXTS)
def test_an_input_in_low_precision_gives_torchs_dtype(name: str) -> None:
    model, twin, x = pair(name)
    y, gradients = step(model, x.bfloat16(), BF16)
    own, g_torch = step(twin, x.bfloat16(), BF16)
    assert (y.dtype, gradients["x"].dtype) == (own.dtype, g_torch["x"].dtype)
    y64, _ = step(deepcopy(twin).double(), x.bfloat16().double(), None)
    assert rmse(y, y64) <= 3 * rmse(own, y64)


def test_autocast_switched_off_inside_is_full_precision() -> None:
    model, _, x = pair("lenet")
    expected = model(x)
    with torch.autocast("cpu", BF16):
        low = model(x)
        with torch.autocast("cpu", enabled=False):
            assert_exact(model(x), expected)
        assert_exact(model(x), low)
    assert low.dtype == BF16
    assert_exact(model(x), expected)


def test_a_scaler_skips_the_step_of_an_infinite_gradient_and_takes_the_next() -> None:
    model, twin, x = pair("residual")
    target = torch.arange(16) % 5
    states = []
    for net in (model, twin):
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for factor in (1.0, float("inf"), 1.0):
            before = [p.detach().clone() for p in net.parameters()]
            optimizer.zero_grad()
            with torch.autocast("cpu", FP16):
                y = net(x)
            assert y.dtype == FP16
            loss = nn.functional.cross_entropy(y.float(), target) * factor
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            same = [torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True)]
            assert all(same) if factor > 1 else not any(same)
        assert scaler.get_scale() == 512.0
        states.append([p.detach() for p in net.parameters()])
    for p, q in zip(*states, strict=True):
        assert_close(p.half(), q.double(), NET)


def test_changed_weights_are_seen_by_the_next_call() -> None:
    model, _, x = pair("residual")
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", BF16):
        before = model(x)
        model.get_parameter("conv1.weight").mul_(2)
        changed = model(x)
        model.get_parameter("conv1.weight").div_(2)
        assert_exact(model(x), before)
    assert not torch.equal(changed, before)


def test_numbers_of_the_text_have_no_dtype_and_tensors_of_two_meet_in_the_wider() -> None:
    model = netdsl.loads(
        """netdsl 1
net Meet(x: [N, 4]) -> (a: [N, 4], b: [N, 4], c: [], d: [N, 8]) {
  y = x -> linear(4)
  a = 2 * y + 1
  b = y + x
  c = mean(y) * 3
  d = concat(y, x)
}
"""
    )
    x = torch.randn(3, 4)
    with torch.autocast("cpu", BF16):
        out = model(x)
    assert [t.dtype for t in out] == [BF16, torch.float32, BF16, torch.float32]
    (out.a.float().sum() + out.b.sum() + out.c.float() + out.d.sum()).backward()
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}


def test_the_reference_has_the_same_casts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    model, _, x = pair("residual")
    reference = netdsl.loads(TEXTS["residual"][0], seed=0, backend="reference")
    y, gradients = step(model, x, BF16)
    expected, g_reference = step(reference, x, BF16)
    assert y.dtype == expected.dtype
    assert_close(y, expected.double(), NET)
    assert_gradients_close(
        {k: g.bfloat16() for k, g in gradients.items()},
        {k: g.double() for k, g in g_reference.items()},
        NET_GRADIENT,
    )


def test_a_net_in_double_precision_stays_in_it() -> None:
    model, twin, x = pair("norm")
    with torch.autocast("cpu", BF16):
        y = model.double()(x.double())
    assert y.dtype == torch.float64
    assert_close(y, twin.double()(x.double()), NET)


def wholly(net: nn.Module, low: torch.dtype) -> None:
    net.to(low)


def but_the_norms(net: nn.Module, low: torch.dtype) -> None:
    """In low precision as people have it, the normalisations kept in float32."""
    for name, child in net.named_children():
        if "bn" not in name and "ln" not in name:
            child.to(low)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("lowered", [wholly, but_the_norms])
@pytest.mark.parametrize(("name", "low"), LOWERED, ids=str)
def test_a_net_with_weights_in_low_precision_computes_as_torchs(
    name: str, low: torch.dtype, lowered: Any, training: bool
) -> None:
    model, twin, x = pair(name)
    for net in (model, twin):
        lowered(net, low)
        net.train(training)
    given = x.to(low) if lowered is wholly else x
    y64, g64 = step(deepcopy(twin).double(), given.double(), None)
    y, gradients = step(model, given, low)
    own, g_torch = step(twin, given, low)
    assert y.dtype == own.dtype
    assert {k: g.dtype for k, g in gradients.items()} == {k: g.dtype for k, g in g_torch.items()}
    assert rmse(y, y64) <= 1.5 * rmse(own, y64)
    assert rmse(joined(gradients), joined(g64)) <= 1.5 * rmse(joined(g_torch), joined(g64))
    for (key, buffer), expected in zip(model.named_buffers(), twin.buffers(), strict=True):
        assert buffer.dtype == expected.dtype, key
        assert_close(buffer.bfloat16(), expected.double(), NET, key)


@pytest.mark.parametrize("low", [BF16, FP16], ids=str)
def test_synchronised_statistics_are_taken_in_full_precision(low: torch.dtype) -> None:
    model, twin, x = pair("residual")
    model.sync_batchnorm()
    x = x * 0.1 + 30
    y64, g64 = step(deepcopy(twin).double(), x.double(), None)
    y, gradients = step(model, x, low)
    own, g_torch = step(twin, x, low)
    assert y.dtype == own.dtype
    assert {k: g.dtype for k, g in gradients.items()} == {k: g.dtype for k, g in g_torch.items()}
    assert rmse(y, y64) <= 1.5 * rmse(own, y64)
    assert rmse(joined(gradients), joined(g64)) <= 1.5 * rmse(joined(g_torch), joined(g64))
    for (key, buffer), expected in zip(model.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, rtol=1e-4, atol=1e-4, msg=key)
