"""A net run step by step: the outputs and gradients of one pass, whatever the pieces."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact
from torch import Tensor, nn

import netdsl
from netdsl.module import NetModule

STEPS = 9

LAGS = """net A(x: [N, T, 4]) -> [N, T, 5] {
  recur t in 1..T {
    h[0]: [N, 5] = 0
    h[-1]: [N, 5] = 1
    h[t] = concat(x[t], h[t-1], h[t-2]) -> linear(5) -> tanh
  }
  return h
}
"""
LOOPS = """block Cell(x: [N, T, D]; d) -> (h: [N, T, d], c: [N, T, d]) {
  recur t in 1..T {
    h[0]: [N, d] = 0
    c[0]: [N, d] = 0.5
    z = concat(x[t], h[t-1])
    c[t] = sigmoid(z -> linear(d) as f) * c[t-1] + (z -> linear(d) as g -> tanh)
    h[t] = tanh(c[t])
  }
}
block Two(x: [N, T, D]; d) {
  return x -> Cell(d) as first -> Cell(d) as second
}
net A(x: [N, T, 4]) -> (y: [N, T, 3], last: [N, 5]) {
  h = x -> linear(6) -> gelu -> Two(5) as deep -> ln
  y = h -> linear(3) -> log_softmax(axis=-1)
  last = h -> slice(1, T - 1, T) -> reshape([N, 5])
}
"""
IMAGES = """net A(x: [N, T, 2, H, W]) -> [N, T, 3, H, W] {
  recur t in 1..T {
    h[0]: [N, 3, H, W] = 0
    h[t] = tanh(concat(x[t], h[t-1]) -> conv(3, 3))
  }
  return h
}
"""
LATE = """net A(x: [N, T, 4]) -> [N, T, 3] {
  recur t in 1..T {
    h[0]: [N, 5] = 0
    h[-1]: [N, 5] = 2
    h[t] = tanh(concat(x[t], h[t-1]) -> linear(5))
    y[t] = concat(h[t], h[t-1], h[t-2]) -> linear(3)
  }
  return y
}
"""
STARTED = """net A(x: [N, T, 4], h0: [N, 5], g: [N, 2]) -> (y: [N, T, 5], h: [N, 5], c: [N, 2]) {
  recur t in 1..T {
    s[0] = h0 -> linear(5) as start -> tanh
    s[t] = concat(x[t], s[t-1], g) -> linear(5) -> tanh
  }
  y = s
  h = s[T]
  c = 2 * g
}
"""
LAYERS = """net A(x: [N, T, 4]) -> [N, T, 3] {
  a, h = x -> gru(5)
  b, i, c = a -> lstm(6, layers=2, proj=3)
  d, j = concat(a, b; axis=-1) -> rnn(5, act="relu")
  return d -> linear(3)
}
"""
GIVEN = """net A(x: [N, T, 4], h0: [2, N, 5], c0: [2, N, 5])
    -> (y: [N, T, 5], h: [2, N, 5], c: [2, N, 5]) {
  y, h, c = lstm(x, h0, c0; hidden=5, layers=2)
}
"""
ASKS = """net A(keys: [N, S, 6], x: [N, T, 4]) -> [N, T, 6] {
  recur t in 1..T {
    h[0]: [N, 6] = 0
    a = softmax(sum(keys * reshape(h[t-1]; [N, 1, 6]); axis=2); axis=1)
    h[t] = tanh(concat(x[t], sum(reshape(a; [N, S, 1]) * keys; axis=1)) -> linear(6))
  }
  return attend(h, keys, keys; heads=2)
}
"""


class Net(NamedTuple):
    """A text or a shipped model, its sequences and what is whole."""

    target: str
    sequences: Callable[[], tuple[Tensor, ...]]
    whole: Callable[[], dict[str, Tensor]] = dict
    hyper: Mapping[str, Any] = MappingProxyType({})


def real(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def symbols(*shape: int) -> Tensor:
    return torch.randint(6, shape)


NETS = {
    "lags": Net(LAGS, lambda: (real(2, STEPS, 4),)),
    "loops": Net(LOOPS, lambda: (real(2, STEPS, 4),)),
    "images": Net(IMAGES, lambda: (real(2, STEPS, 2, 4, 5),)),
    "late": Net(LATE, lambda: (real(2, STEPS, 4),)),
    "started": Net(
        STARTED, lambda: (real(2, STEPS, 4),), lambda: {"h0": real(2, 5), "g": real(2, 2)}
    ),
    "layers": Net(LAYERS, lambda: (real(2, STEPS, 4),)),
    "given": Net(
        GIVEN, lambda: (real(2, STEPS, 4),), lambda: {"h0": real(2, 2, 5), "c0": real(2, 2, 5)}
    ),
    "asks": Net(ASKS, lambda: (real(2, STEPS, 4),), lambda: {"keys": real(2, 3, 6)}),
    "rnn": Net("rnn:VanillaRNN", lambda: (real(2, STEPS, 4),), hyper={"D": 4, "hidden": 5}),
    "elman": Net("rnn:ElmanRNN", lambda: (symbols(2, STEPS),), hyper={"symbols": 6, "hidden": 5}),
    "char": Net("lstm:CharLSTM", lambda: (symbols(2, STEPS),), hyper={"symbols": 6, "hidden": 5}),
    "norm": Net(
        "layernorm:LayerNormRNN", lambda: (real(2, STEPS, 4),), hyper={"D": 4, "hidden": 5}
    ),
    "search": Net(
        "seq2seq",
        lambda: (symbols(2, STEPS),),
        lambda: {"source": symbols(2, 4)},
        {"sources": 6, "targets": 6, "m": 4, "n": 5, "align": 3, "maxout": 2},
    ),
}


def made(name: str) -> tuple[NetModule, tuple[Tensor, ...], dict[str, Tensor]]:
    net = NETS[name]
    load = netdsl.loads if net.target.startswith(("net", "block")) else netdsl.load
    return load(net.target, hyper=net.hyper, seed=0).double(), net.sequences(), net.whole()


def by_name(net: NetModule, sequences: tuple[Tensor, ...], whole: dict[str, Tensor]) -> Any:
    keys = [op.key for op in net.graph.inputs if op.key not in whole]
    return net(**whole, **dict(zip(keys, sequences, strict=True)))


def named(found: Any) -> dict[str, Tensor]:
    return {"return": found} if isinstance(found, Tensor) else found._asdict()


def joined(pieces: list[dict[str, Tensor]], whole: dict[str, Tensor], axis_there: bool) -> Any:
    """The pieces as one: steps one after the other, of what is as of now the last."""
    found = {}
    for name, y in whole.items():
        parts = [piece[name] for piece in pieces]
        timed = y.dim() > 1 and y.shape[1] == STEPS
        last = parts[-1]
        found[name] = (
            (torch.cat(parts, 1) if axis_there else torch.stack(parts, 1)) if timed else last
        )
    return found


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("name", NETS)
def test_steps_one_by_one_are_the_whole_pass(name: str, gradients: bool) -> None:
    net, xs, whole = made(name)
    with torch.set_grad_enabled(gradients):
        expected = named(by_name(net, xs, whole))
        state = net.start(*whole.values()) if whole else None
        pieces = []
        for t in range(STEPS):
            y, state = net.step(*(x[:, t] for x in xs), state)
            pieces.append(named(y))
    for key, y in joined(pieces, expected, False).items():
        assert_close(y, expected[key], NET, key)


@pytest.mark.parametrize("cuts", [[STEPS], [1, 1, 7], [3, 2, 4], [5, 4]], ids=str)
@pytest.mark.parametrize("name", NETS)
def test_chunks_are_the_whole_pass_and_have_its_gradient(name: str, cuts: list[int]) -> None:
    net, xs, whole = made(name)
    asked = [t.requires_grad_() for t in (*xs, *whole.values()) if t.is_floating_point()]
    asked += list(net.parameters())
    expected = named(by_name(net, xs, whole))
    state = net.start(**whole) if whole else net.start(len(xs[0]), **extents(name))
    pieces = []
    for chunk in zip(*(x.split(cuts, 1) for x in xs), strict=True):
        y, state = net.chunk(*chunk, state)
        pieces.append(named(y))
    found = joined(pieces, expected, True)
    weights = {key: torch.randn_like(y) for key, y in expected.items()}
    gradients = []
    for outputs in (found, expected):
        loss = sum((weights[key] * outputs[key]).sum() for key in weights)
        gradients.append(torch.autograd.grad(loss, asked))
    for key, y in found.items():
        assert_close(y, expected[key], NET, key)
    for got, wanted in zip(*gradients, strict=True):
        assert_close(got, wanted, NET_GRADIENT)


def extents(name: str) -> dict[str, int]:
    return {"H": 4, "W": 5} if name == "images" else {}


def test_a_detached_state_ends_the_way_back() -> None:
    net, (x,), _ = made("loops")
    _, state = net.chunk(x[:, :4])
    y, _ = net.chunk(x[:, 4:], state.detach())
    found = torch.autograd.grad(y.y.sum(), list(net.parameters()))
    again, _ = net.chunk(x[:, 4:], constant(state))
    wanted = torch.autograd.grad(again.y.sum(), list(net.parameters()))
    for got, expected in zip(found, wanted, strict=True):
        assert_exact(got, expected)
    attached, _ = net.chunk(x[:, 4:], state)
    longer = torch.autograd.grad(attached.y.sum(), list(net.parameters()))
    assert any(not torch.equal(a, b) for a, b in zip(found, longer, strict=True))


def constant(state: Any) -> Any:
    return copy.deepcopy(state.detach())


def test_the_state_is_a_value_of_its_own() -> None:
    net, (x,), _ = made("layers")
    _, first = net.step(x[:, 0])
    kept = constant(first)
    y, second = net.step(x[:, 1], first)
    for _ in range(2):  # from the same state the same step, whatever ran in between
        net.step(x[:, 2], second)
        assert_exact(net.step(x[:, 1], kept)[0], y.detach())
    assert {name: tuple(t.shape) for name, t in kept.tensors.items()} == {
        "gru1.h": (1, 2, 5),
        "lstm1.h": (2, 2, 3),
        "lstm1.c": (2, 2, 6),
        "rnn1.h": (1, 2, 5),
    }
    assert all(not t.requires_grad for t in kept.tensors.values())


@pytest.mark.parametrize(
    "rows", [[1, 0, 1], slice(1, None), 1, torch.tensor([1]), [False, True]], ids=str
)
@pytest.mark.parametrize("name", ["search", "layers", "late"])
def test_sequences_are_taken_from_a_state_in_any_order(name: str, rows: Any) -> None:
    net, (x,), whole = made(name)
    with torch.no_grad():
        _, state = net.step(x[:, 0], net.start(*whole.values()) if whole else None)
        y, _ = net.step(x[:, 1], state)
        index = torch.arange(2)[[rows] if isinstance(rows, int) else rows]
        some, _ = net.step(x[index, 1], state[rows])
    assert_close(some, y[index], NET)


def test_the_parameters_are_the_nets_own() -> None:
    net, (x,), _ = made("char")
    net.eval()
    with torch.no_grad():
        before, state = net.step(x[:, 0])
        for p in net.parameters():
            p.mul_(1.5)
        after, _ = net.step(x[:, 0])
        assert not torch.equal(before.y, after.y)
        assert_close(after.y, net(x[:, :1]).y[:, 0], NET)
        net.freeze()
        assert_close(net.step(x[:, 0])[0].y, after.y, NET)
        other = copy.deepcopy(net.unfreeze())
        other.linear1.bias.add_(1.0)
        assert_close(other.step(x[:, 0])[0].y, after.y + 1, NET)
        assert_exact(net.step(x[:, 0], constant(state))[0].y, net.step(x[:, 0], state)[0].y)


def test_a_child_that_is_replaced_is_called_in_every_step() -> None:
    net, (x,), _ = made("elman")
    net.linear1 = nn.Linear(5, 2).double()
    y, _ = net.step(x[:, 0])
    assert y.shape == (2, 2)


def test_a_step_under_autocast_goes_on_with_what_it_gave() -> None:
    net = netdsl.load("lstm:CharLSTM", hyper={"symbols": 6, "hidden": 8}, seed=0).eval()
    x = symbols(2, STEPS)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        state = None
        for t in range(STEPS):
            y, state = net.step(x[:, t], state)
        expected = net(x).y[:, -1]
    assert_close(y.y, expected.double(), NET)


def test_nothing_is_compiled_from_the_second_step_on() -> None:
    net, (x,), _ = made("search")
    _, state = net.step(x[:, 0], net.start(symbols(2, 4)))
    _, state = net.step(x[:, 1], state)
    executable = net._stepper()._step._executable
    programs = list(executable.programs.values())
    plans = [len(program._plans) for program in programs]
    for t in range(2, STEPS):
        _, state = net.step(x[:, t], state)
    assert list(executable.programs.values()) == programs
    assert [len(program._plans) for program in programs] == plans


CALLS: dict[str, tuple[str, Callable[[NetModule], Any], str]] = {
    "no whole input": (
        "search",
        lambda net: net.step(symbols(2)),
        "the net starts from (source: int[N, S]): give the state that `start` makes",
    ),
    "start from nothing": (
        "search",
        lambda net: net.start(),
        "the net starts from (source: int[N, S])",
    ),
    "no batch": (
        "images",
        lambda net: net.start(2),
        "the net starts from (H: its size, N: its size, W: its size)",
    ),
    "too much": ("char", lambda net: net.start(2, K=3), "the net starts from (N: its size)"),
    "another state": (
        "char",
        lambda net: net.step(symbols(2), made("rnn")[0].start(2)),
        "the state is of another net: it has no 'lstm1.h'",
    ),
    "no step": (
        "char",
        lambda net: net.step(),
        "the net takes (x: int[N], state), but 0 tensors were given",
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_does_not_fit_says_what_does(call: str) -> None:
    name, run, message = CALLS[call]
    with pytest.raises(TypeError) as raised:
        run(made(name)[0])
    assert str(raised.value) == message


def test_a_step_that_does_not_fit_the_signature_says_so() -> None:
    net, (x,), _ = made("rnn")
    with pytest.raises(netdsl.InputError, match=r"expected \[N, 4\]"):
        net.step(x)
    with pytest.raises(netdsl.InputError, match=r"expected \[N, T, 4\]"):
        net.chunk(x[:, 0])
    with pytest.raises(netdsl.InputError, match="float64 expected, float32 given"):
        net.step(x[:, 0].float(), net.start(2))
