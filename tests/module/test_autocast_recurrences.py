"""torch.autocast over recurrences: the dtypes and numbers of torch.nn's layers and of loops."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netdsl
from netdsl.module import NetModule

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


@pytest.fixture(autouse=True)
def _compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A net by our plans may not be interpreted."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the net was interpreted")

    if request.node.callspec.params.get("backend") != "reference":
        monkeypatch.setattr(NetModule, "_interpret", refuse)


# the layer, its arguments, torch's layer, directions times layers, numbers of h
LAYERS: dict[str, tuple[str, str, Any, int, int]] = {
    "rnn": ("rnn", "", nn.RNN(4, 5, batch_first=True), 1, 5),
    "gru": ("gru", "", nn.GRU(4, 5, batch_first=True), 1, 5),
    "gru deep": (
        "gru",
        ", layers=2, both=true",
        nn.GRU(4, 5, 2, batch_first=True, bidirectional=True),
        4,
        5,
    ),
    "lstm": ("lstm", "", nn.LSTM(4, 5, batch_first=True), 1, 5),
    "lstm proj": ("lstm", ", proj=3", nn.LSTM(4, 5, batch_first=True, proj_size=3), 1, 3),
}


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("start", [None, FP32, BF16], ids=str)
@pytest.mark.parametrize("given", [FP32, BF16], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_torchs_dtypes_whatever_is_given(
    name: str, given: torch.dtype, start: torch.dtype | None, backend: str
) -> None:
    model, twin, tensors = layer_pair(name, given, start, backend)
    exact = deepcopy(twin).double()
    ys64, g64 = step(as_torch(exact), exact, [t.double() for t in tensors], None)
    ys, gradients = step(model, model, tensors, BF16)
    own, g_torch = step(as_torch(twin), twin, tensors, BF16)
    assert [y.dtype for y in ys] == [y.dtype for y in own]
    assert [g.dtype for g in gradients] == [g.dtype for g in g_torch]
    assert rmse(ys, ys64) <= 1.5 * rmse(own, ys64)
    assert rmse(gradients, g64) <= 1.5 * rmse(g_torch, g64)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("name", ["rnn", "gru", "gru deep", "lstm proj"])  # the CPU has no lstm
def test_a_layer_in_float16_has_torchs_dtypes(name: str, backend: str) -> None:
    model, twin, tensors = layer_pair(name, FP32, None, backend)
    with torch.no_grad(), torch.autocast("cpu", FP16):
        ys, own = model(*tensors), as_torch(twin)(*tensors)
    assert [y.dtype for y in ys] == [y.dtype for y in own]
    for y, expected in zip(ys, own, strict=True):
        torch.testing.assert_close(y, expected, rtol=2e-3, atol=2e-3)


def layer_pair(
    name: str, given: torch.dtype, start: torch.dtype | None, backend: str
) -> tuple[NetModule, nn.Module, list[Tensor]]:
    """Our net of one layer, torch's with the same numbers, and what they take."""
    kind, arguments, layer, rows, width = LAYERS[name]
    sizes = {"h": width, "c": 5} if kind == "lstm" else {"h": width}
    states = {k: f"[{rows}, N, {n}]" for k, n in sizes.items()}
    signature = "".join(f", {k}0: {t}" for k, t in states.items()) if start else ""
    taken = "".join(f"{k}0, " for k in states) if start else ""
    results = "".join(f", {k}: {t}" for k, t in states.items())
    text = f"""netdsl 1
    net Layer(x: [N, T, 4]{signature}) -> (y: [N, T, {width * (2 if rows == 4 else 1)}]{results}) {{
      y, {", ".join(states)} = x -> {kind}({taken}5{arguments}) as layer
    }}
    """
    model, twin = netdsl.loads(text, seed=0, backend=backend), deepcopy(layer)
    with torch.no_grad():
        for p, q in zip(twin.parameters(), model.parameters(), strict=True):
            p.copy_(q)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 6, 4, generator=generator).to(given)
    tensors = [torch.randn(rows, 3, n, generator=generator).to(start) for n in sizes.values()]
    return model, twin, [x, *(tensors if start else ())]


def as_torch(layer: nn.Module) -> Any:
    """torch's layer with the operands and results of ours."""

    def call(x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        start = (states if len(states) > 1 else states[0]) if states else None
        y, end = layer(x, start)
        return (y, *(end if isinstance(end, tuple) else (end,)))

    return call


def step(
    call: Any, net: nn.Module, tensors: list[Tensor], low: torch.dtype | None
) -> tuple[list[Tensor], list[Tensor]]:
    """The results under autocast to `low`, and the gradients of what is given and of weights."""
    net.zero_grad()
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    with torch.autocast("cpu", low, enabled=low is not None):
        made = call(*leaves)
    ys = list(made) if isinstance(made, tuple) else [made]
    generator = torch.Generator().manual_seed(1)
    dys = [torch.randn(y.shape, generator=generator).to(y.dtype) for y in ys]
    torch.autograd.backward(ys, dys)
    return [y.detach() for y in ys], [t.grad for t in (*leaves, *net.parameters())]


def rmse(got: list[Tensor], exact: list[Tensor]) -> float:
    errors = [(a.double() - b.detach()).flatten() for a, b in zip(got, exact, strict=True)]
    return float(torch.cat(errors).square().mean().sqrt())
