"""torch.autocast over recurrences: the dtypes and numbers of torch.nn's layers and of loops."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netdsl
from netdsl.module import NetModule
from netdsl.ops.cast import Autocast, Cast
from netdsl.pipeline import lower
from netdsl.recur import Recur
from netdsl.reference import Reference

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


@pytest.fixture(autouse=True)
def _compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A net by our plans may not be interpreted."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the net was interpreted")

    if "reference" not in request.node.name:
        monkeypatch.setattr(Reference, "_interpret", refuse)


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
    pairs = [(y, dy) for y, dy in zip(ys, dys, strict=True) if y.requires_grad]
    torch.autograd.backward(*zip(*pairs, strict=True))
    return [y.detach() for y in ys], [t.grad for t in (*leaves, *net.parameters())]


def rmse(got: list[Tensor], exact: list[Tensor]) -> float:
    errors = [(a.double() - b.detach()).flatten() for a, b in zip(got, exact, strict=True)]
    return float(torch.cat(errors).square().mean().sqrt())


def plain(weights: list[Tensor], x: Tensor) -> tuple[Tensor, ...]:
    w, b = weights
    h, hs = torch.zeros(len(x), 5, dtype=w.dtype), []
    for t in range(x.shape[1]):
        h = nn.functional.linear(torch.cat([x[:, t], h], 1), w, b).tanh()
        hs.append(h)
    return (torch.stack(hs, 1),)


def gated(weights: list[Tensor], x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    w, b = weights
    hs, cs = [], []
    for t in range(x.shape[1]):
        a = nn.functional.linear(torch.cat([x[:, t], h], 1), w, b)
        c = a[:, :5].sigmoid() * c + a[:, 5:10].sigmoid() * a[:, 10:15].tanh()
        h = a[:, 15:].sigmoid() * c.tanh()
        hs.append(h)
        cs.append(c)
    return torch.stack(hs, 1), torch.stack(cs, 1)


def settling(weights: list[Tensor], x: Tensor) -> tuple[Tensor, ...]:
    w, b, v = weights
    h, hs, ds = torch.zeros(len(x), 5, dtype=w.dtype), [], []
    for t in range(x.shape[1]):
        a = nn.functional.linear(x[:, t], w, b)
        ds.append(h * a)  # in float32 at the first step, then in low precision
        h = nn.functional.linear(h, v).tanh()
        h = (h + a).tanh()
        hs.append(h)
    return torch.stack(hs, 1), torch.stack(ds, 1)


def two_back(weights: list[Tensor], x: Tensor) -> tuple[Tensor, ...]:
    w, b = weights
    zeros = torch.zeros(len(x), 5, dtype=w.dtype)
    hs = [zeros, zeros]
    for t in reversed(range(x.shape[1])):
        hs.append(nn.functional.linear(hs[-1], w, b).tanh() * hs[-2] + x[:, t])
    return (torch.stack(hs[:1:-1], 1),)


def delayed(weights: list[Tensor], x: Tensor) -> tuple[Tensor, ...]:
    w, b = weights
    h = g = torch.zeros(len(x), 5, dtype=w.dtype)
    hs, gs = [], []
    for t in range(x.shape[1]):
        h, g = nn.functional.linear(torch.cat([x[:, t], g], 1), w, b), h
        hs.append(h)
        gs.append(g)
    return torch.stack(hs, 1), torch.stack(gs, 1)


LOOPS: dict[str, tuple[str, Any, list[tuple[int, ...]]]] = {
    "plain": (
        """net Plain(x: [N, T, 5]) -> [N, T, 5] {
          recur t in 1..T {
            h[0]: [N, 5] = 0
            h[t] = concat(x[t], h[t-1]) -> linear(5) as cell -> tanh
          }
          return h
        }""",
        plain,
        [(3, 7, 5)],
    ),
    "gated": (
        """net Gated(x: [N, T, 4], h0: [N, 5], c0: [N, 5]) -> (h: [N, T, 5], c: [N, T, 5]) {
          recur t in 1..T {
            h[0] = h0
            c[0] = c0
            a = concat(x[t], h[t-1]) -> linear(20) as cell
            f, i, g, o = a -> split([5, 5, 5, 5])
            c[t] = sigmoid(f) * c[t-1] + sigmoid(i) * tanh(g)
            h[t] = sigmoid(o) * tanh(c[t])
          }
        }""",
        gated,
        [(3, 7, 4), (3, 5), (3, 5)],
    ),
    "settling": (
        """net Settling(x: [N, T, 4]) -> (h: [N, T, 5], d: [N, T, 5]) {
          recur t in 1..T {
            h[0]: [N, 5] = 0
            a = x[t] -> linear(5) as read
            d[t] = h[t-1] * a
            h[t] = tanh(tanh(h[t-1] -> linear(5, bias=false) as state) + a)
          }
        }""",
        settling,
        [(3, 7, 4)],
    ),
    "delayed": (
        """net Delayed(x: [N, T, 4]) -> (h: [N, T, 5], g: [N, T, 5]) {
          recur t in 1..T {
            h[0]: [N, 5] = 0
            g[0]: [N, 5] = 0
            g[t] = h[t-1]
            h[t] = concat(x[t], g[t-1]) -> linear(5) as cell
          }
        }""",
        delayed,
        [(3, 7, 4)],
    ),
    "two back": (
        """net TwoBack(x: [N, T, 5]) -> [N, T, 5] {
          recur t in 1..T {
            h[T+1]: [N, 5] = 0
            h[T+2]: [N, 5] = 0
            h[t] = tanh(h[t+1] -> linear(5) as cell) * h[t+2] + x[t]
          }
          return h
        }""",
        two_back,
        [(3, 7, 5)],
    ),
}


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("low", [BF16, FP16], ids=str)
@pytest.mark.parametrize("given", ["all in float32", "states low", "all low"])
@pytest.mark.parametrize("steps", [7, 1])
@pytest.mark.parametrize("name", LOOPS)
def test_steps_of_ones_own_have_the_dtypes_of_a_loop(
    name: str, steps: int, given: str, low: torch.dtype, backend: str
) -> None:
    text, loop, shapes = LOOPS[name]
    model = netdsl.loads(f"netdsl 1\n{text}", seed=0, backend=backend)
    generator = torch.Generator().manual_seed(0)
    x, *states = [torch.randn(shape, generator=generator) for shape in shapes]
    lowered = {"states low": [False, True, False], "all low": [True, True, True]}
    marks = lowered.get(given, [False] * 3)
    tensors = [
        t.to(low) if mark else t for t, mark in zip((x[:, :steps], *states), marks, strict=False)
    ]
    twin = nn.ParameterList(p.detach().clone() for p in model.parameters())
    exact = nn.ParameterList(p.detach().double() for p in model.parameters())
    ys64, g64 = step(as_loop(loop, exact), exact, [t.double() for t in tensors], None)
    own, g_torch = step(as_loop(loop, twin), twin, tensors, low)
    ys, gradients = step(model, model, tensors, low)
    assert [y.dtype for y in ys] == [y.dtype for y in own]
    assert [g.dtype for g in gradients] == [g.dtype for g in g_torch]
    assert rmse(ys, ys64) <= 1.2 * rmse(own, ys64)
    assert rmse(gradients, g64) <= 1.5 * rmse(g_torch, g64)
    with torch.no_grad(), torch.autocast("cpu", low):
        made = model(*tensors)
    for y, expected in zip(made if isinstance(made, tuple) else [made], ys, strict=True):
        assert y.dtype == expected.dtype
        torch.testing.assert_close(y, expected, rtol=0, atol=0)


def as_loop(loop: Any, weights: nn.ParameterList) -> Any:
    return lambda *tensors: loop(list(weights), *tensors)


def test_weights_and_sequences_are_cast_once_before_the_first_step() -> None:
    graph = netdsl.loads(f"netdsl 1\n{LOOPS['settling'][0]}").graph
    lowered = lower(graph, mixed=Autocast("bfloat16", "cpu"))
    prelude = [node.op for _, node in lowered.prelude.items if isinstance(node.op, Cast)]
    assert len(prelude) == 3  # the weights
    recur = next(node.op for _, node in lowered.forward.items if isinstance(node.op, Recur))
    first, body = recur.graphs  # h is in float32 at the first step
    assert [n for n, node in first.items if isinstance(node.op, Cast)]
    assert not [n for n, node in body.items if isinstance(node.op, Cast)]
