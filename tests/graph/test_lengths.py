"""Recurrences over padded batches against a loop over each example alone, without padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import dedent

import pytest
import torch
from tolerances import NET, assert_close, assert_exact, assert_gradients_close
from torch import Tensor

import netdsl
from netdsl.module import NetModule

# (one example [n, 3], parameters by key) -> outputs without a batch axis; a sequence has n steps
Twin = Callable[[Tensor, Mapping[str, Tensor]], tuple[Tensor, ...]]
LENGTHS = {
    "any order": [3, 6, 1, 4],
    "all of them whole": [6, 6, 6, 6],
    "one step each": [1, 1, 1, 1],
    "none whole": [2, 3, 2, 4],
}
STEPS = 6


def loaded(body: str, outputs: str, backend: str = "auto") -> NetModule:
    text = f"net A(x: [N, T, 3], n: int[N]) -> ({outputs}) {{\n{dedent(body)}\n}}"
    return netdsl.loads(text, seed=0, backend=backend).double()


def padded(ys: list[Tensor], like: Tensor) -> Tensor:
    """The examples' results as one: sequences with zeros behind them."""
    if ys[0].shape == like.shape[1:]:
        return torch.stack(ys)
    rows = [torch.cat([y, y.new_zeros(like.shape[1] - len(y), *y.shape[1:])]) for y in ys]
    return torch.stack(rows)


def compare(
    body: str, outputs: str, twin: Twin, lengths: list[int], poison: float = float("nan")
) -> None:
    """Our plans and the reference interpreter, with each output alone as the loss; the padding
    holds `poison`."""
    n = torch.tensor(lengths)
    x = torch.randn(len(n), STEPS, 3).double()
    for row, length in zip(x, n, strict=True):
        row[length:] = poison
    for backend in ("auto", "reference"):
        model = loaded(body, outputs, backend)
        parameters = {k: p.detach().clone().requires_grad_() for k, p in model.named_parameters()}
        leaf, given = x.clone().requires_grad_(), x.clone().requires_grad_()
        results = model(leaf, n)
        examples = [
            twin(row[:length], parameters) for row, length in zip(given, lengths, strict=True)
        ]
        for i, y in enumerate(results):
            expected = padded([example[i] for example in examples], y)
            assert_close(y, expected, NET, f"{backend} output {i}")
            cotangent = torch.randn(y.shape, dtype=torch.float64)
            keys = ("x", *parameters)
            ours = torch.autograd.grad(
                y, [leaf, *model.parameters()], cotangent, retain_graph=True, **MISSING
            )
            theirs = torch.autograd.grad(
                expected, [given, *parameters.values()], cotangent, retain_graph=True, **MISSING
            )
            assert_gradients_close(
                dict(zip(keys, ours, strict=True)), dict(zip(keys, theirs, strict=True))
            )


MISSING = {"allow_unused": True, "materialize_grads": True}
every_length = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)

RELU = """\
recur t in 1..n {
  h[0]: [N, 4] = 0
  h[t] = relu(concat(x[t], h[t-1]) -> linear(4) as cell)
}
y = h
first = h[1]
last = h[n]
"""


def relu(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    h, hs = x.new_zeros(4), []
    for step in x:
        h = (torch.cat([step, h]) @ p["cell.weight"].T + p["cell.bias"]).relu()
        hs.append(h)
    return torch.stack(hs), hs[0], hs[-1]


@every_length
def test_each_example_runs_to_its_own_end(lengths: list[int]) -> None:
    compare(RELU, "y: [N, T, 4], first: [N, 4], last: [N, 4]", relu, lengths)


@pytest.mark.parametrize("poison", [float("inf"), -1e300, 0.0], ids=str)
def test_what_stands_in_the_padding_is_not_read(poison: float) -> None:
    compare(RELU, "y: [N, T, 4], first: [N, 4], last: [N, 4]", relu, [3, 6, 1], poison)


BOTH = """\
recur t in 1..n {
  f[0]: [N, 3] = 0
  b[n+1]: [N, 3] = 0.5
  z = x[t] -> linear(3) as z
  f[t] = tanh(z + f[t-1])
  b[t] = sigmoid(z * b[t+1])
  y[t] = f[t-1] * b[t+1] + z
}
end = b[1] + b[n+1]
"""


@every_length
def test_backward_starts_at_each_end(lengths: list[int]) -> None:
    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        z = x @ p["z.weight"].T + p["z.bias"]
        f, b = [x.new_zeros(3)], [x.new_full((3,), 0.5)]
        for step in z:
            f.append((step + f[-1]).tanh())
        for step in z.flip(0):
            b.insert(0, (step * b[0]).sigmoid())
        y = [f[t] * b[t + 1] + z[t] for t in range(len(x))]
        return torch.stack(f[1:]), torch.stack(b[:-1]), torch.stack(y), b[0] + b[-1]

    outputs = "f: [N, T, 3], b: [N, T, 3], y: [N, T, 3], end: [N, 3]"
    compare(BOTH, outputs, twin, lengths)


@every_length
def test_lags_of_two_in_both_directions_and_what_reads_them(lengths: list[int]) -> None:
    body = """\
    s = slice(x; 1, 0, 1) -> reshape([N, 3])
    recur t in 1..n {
      a[-1]: [N, 3] = 2
      a[0] = s
      a[t] = tanh(a[t-1] * x[t]) + a[t-2]
      b[n+2]: [N, 3] = -1
      b[n+1] = tanh(s)
      b[t] = tanh(b[t+1] + x[t]) * b[t+2]
      c[0]: [N, 3] = 0
      c[t] = tanh(c[t-1] + a[t-2] * b[t+2] + a[t-1] - b[t+1] + a[t] * b[t])
    }
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        n = len(x)
        a, b, c = [x.new_full((3,), 2), x[0]], [x[0].tanh(), x.new_full((3,), -1)], x.new_zeros(3)
        for t in range(n):
            a.append((a[-1] * x[t]).tanh() + a[-2])
        for t in reversed(range(n)):
            b.insert(0, (b[0] + x[t]).tanh() * b[1])
        cs = []
        for t in range(n):
            c = (c + a[t] * b[t + 2] + a[t + 1] - b[t + 1] + a[t + 2] * b[t]).tanh()
            cs.append(c)
        return torch.stack(a[2:]), torch.stack(b[:n]), torch.stack(cs)

    compare(body, "a: [N, T, 3], b: [N, T, 3], c: [N, T, 3]", twin, lengths)


def test_a_recurrence_that_reads_another_at_its_other_end() -> None:
    body = """\
    recur t in 1..n {
      f[0]: [N, 3] = 0
      f[n+1]: [N, 3] = 7
      f[t] = tanh(f[t-1] + x[t])
      b[n+1]: [N, 3] = 0
      b[0]: [N, 3] = 5
      b[t] = tanh(b[t+1] - x[t])
      y[t] = f[t+1] * b[t-1]
    }
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        f, b = [x.new_zeros(3)], [x.new_zeros(3)]
        for step in x:
            f.append((f[-1] + step).tanh())
        for step in x.flip(0):
            b.insert(0, (b[0] - step).tanh())
        f.append(x.new_full((3,), 7))
        b.insert(0, x.new_full((3,), 5))
        return (torch.stack([f[t + 2] * b[t] for t in range(len(x))]),)

    compare(body, "y: [N, T, 3]", twin, [3, 6, 1])


def test_a_cell_that_no_zero_can_go_through() -> None:
    """log 0, 0 / |0| and growth to infinity would be NaN in the gradients of the weights."""
    body = """\
    recur t in 1..n {
      h[0]: [N, 3] = 1
      z = x[t] * x[t] -> linear(3) as scale -> exp
      h[t] = (log(z) / norm(x[t]; axis=1, keep=true)) * h[t-1] -> linear(3) as cell -> relu
    }
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        h, hs = x.new_ones(3), []
        for step in x:
            z = ((step * step) @ p["scale.weight"].T + p["scale.bias"]).exp()
            h = (z.log() / step.norm() * h @ p["cell.weight"].T + p["cell.bias"]).relu()
            hs.append(h)
        return (torch.stack(hs),)

    compare(body, "h: [N, T, 3]", twin, [3, 6, 1, 4])


def test_nothing_grows_to_infinity_behind_an_end() -> None:
    model = loaded(RELU, "y: [N, T, 4], first: [N, 4], last: [N, 4]")
    with torch.no_grad():
        model.cell.weight.fill_(1)  # times 4 at each step: beyond float64 after 512
    x = torch.rand(2, 2000, 3).double().requires_grad_()
    n = torch.tensor([3, 7])
    y = model(x, n)
    sum(v.sum() for v in y).backward()
    short = x.detach()[:, :7].requires_grad_()
    weight = model.cell.weight.grad
    model.cell.weight.grad = None
    sum(v.sum() for v in model(short, n)).backward()
    assert_exact(model.cell.weight.grad, weight)
    assert_exact(x.grad[:, :7], short.grad)
    assert weight.isfinite().all()
    assert not x.grad[:, 7:].any()


def test_attention_and_several_states_in_nested_blocks() -> None:
    text = """\
    block Cell(x: [N, D], h: [N, d], c: [N, d]; d) -> (h1: [N, d], c1: [N, d]) {
      z = concat(x, h)
      i, f = z -> linear(2*d) as gates -> sigmoid -> split([d, d], axis=1)
      c1 = f * c + i * tanh(z -> linear(d) as candidate)
      h1 = tanh(c1)
    }
    block Read(x: [N, T, D], n: int[N]; d) -> (h: [N, T, d], end: [N, d]) {
      recur s in 1..n {
        h[0]: [N, d] = 0
        c[0]: [N, d] = 1
        hc = Cell(x[s], h[s-1], c[s-1]; d) as cell
        h[s] = hc.h1
        c[s] = hc.c1
      }
      end = h[n]
    }
    net A(x: [N, T, 3], n: int[N]) -> (y: [N, T, 2], end: [N, 4]) {
      h, end = Read(x, n; 4) as read
      recur t in 1..n {
        q[0] = end
        w = where(within(n; T) -> reshape([N, T, 1]), h @ reshape(q[t-1]; [N, 4, 1]), -1e9)
        q[t] = tanh(sum(h * softmax(w; axis=1); axis=1) + q[t-1] + h[t])
        y[t] = q[t] -> linear(2) as out
      }
    }
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        h, c, hs = x.new_zeros(4), x.new_ones(4), []
        for step in x:
            z = torch.cat([step, h])
            gates = z @ p["read.cell.gates.weight"].T + p["read.cell.gates.bias"]
            i, f = gates.sigmoid().split(4)
            g = (z @ p["read.cell.candidate.weight"].T + p["read.cell.candidate.bias"]).tanh()
            c = f * c + i * g
            h = c.tanh()
            hs.append(h)
        every, q, ys = torch.stack(hs), h, []
        for now in hs:
            w = (every @ q).softmax(0)
            q = ((every * w[:, None]).sum(0) + q + now).tanh()
            ys.append(q @ p["out.weight"].T + p["out.bias"])
        return torch.stack(ys), h

    _compare_text(text, twin, [3, 6, 1, 4])


def _compare_text(text: str, twin: Twin, lengths: list[int]) -> None:
    model = netdsl.loads(dedent(text), seed=0).double()
    parameters = {k: p.detach().clone().requires_grad_() for k, p in model.named_parameters()}
    x = torch.randn(len(lengths), STEPS, 3).double()
    results = model(x, torch.tensor(lengths))
    examples = [twin(row[:length], parameters) for row, length in zip(x, lengths, strict=True)]
    expected = [padded([example[i] for example in examples], y) for i, y in enumerate(results)]
    cotangents = [torch.randn(y.shape).double() for y in results]
    for y, reference in zip(results, expected, strict=True):
        assert_close(y, reference, NET)
    ours = torch.autograd.grad(results, list(model.parameters()), cotangents)
    theirs = torch.autograd.grad(expected, list(parameters.values()), cotangents)
    assert_gradients_close(
        dict(zip(parameters, ours, strict=True)), dict(zip(parameters, theirs, strict=True))
    )


def test_words_of_letters_have_lengths_inside_of_lengths() -> None:
    text = """\
    net A(x: [N, T, S, 3], words: int[N], letters: int[N, T]) -> (y: [N, T, 4], end: [N, 4]) {
      recur t in 1..words {
        w = x[t]
        size = letters[t]
        recur s in 1..size {
          h[0]: [N, 4] = 0
          h[s] = tanh(concat(w[s], h[s-1]) -> linear(4) as letter)
        }
        y[0]: [N, 4] = 0
        y[t] = tanh(concat(h[size], y[t-1]) -> linear(4) as word)
      }
      end = y[words]
    }
    """
    model = netdsl.loads(dedent(text), seed=0).double()
    words, letters = torch.tensor([2, 3]), torch.tensor([[4, 1, 0], [2, 2, 3]])
    x = torch.full((2, 3, 4, 3), float("nan")).double()
    p = {k: v.detach().clone().requires_grad_() for k, v in model.named_parameters()}
    expected = []
    for i in range(2):
        y = x.new_zeros(4)
        for t in range(words[i]):
            h = x.new_zeros(4)
            for s in range(letters[i, t]):
                x[i, t, s] = torch.randn(3).double()
                h = (torch.cat([x[i, t, s], h]) @ p["letter.weight"].T + p["letter.bias"]).tanh()
            y = (torch.cat([h, y]) @ p["word.weight"].T + p["word.bias"]).tanh()
        expected.append(y)
    end = model(x, words, letters).end
    assert_close(end, torch.stack(expected), NET)
    cotangent = torch.randn(2, 4).double()
    ours = torch.autograd.grad(end, list(model.parameters()), cotangent)
    theirs = torch.autograd.grad(torch.stack(expected), list(p.values()), cotangent)
    assert_gradients_close(dict(zip(p, ours, strict=True)), dict(zip(p, theirs, strict=True)))


def test_a_stage_inside_is_tapped_in_the_order_of_the_steps() -> None:
    text = f"net A(x: [N, T, 3], n: int[N]) -> [N, T, 3] {{\n{BOTH}return f + b\n}}"
    whole = netdsl.loads(text.replace("return f + b", "return b"), seed=0).double()
    model = netdsl.loads(text, seed=0, outputs=["sigmoid1", "tanh1"]).double()
    x, n = torch.randn(4, STEPS, 3).double(), torch.tensor([3, 6, 1, 4])
    b, f = model(x, n)
    assert_close(b, whole(x, n).detach(), NET)
    assert not f[0, 3:].any()
    assert f[0, :3].all()
