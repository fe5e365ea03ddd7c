"""Recurrences against a loop of torch's own: every output alone, every gradient, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import dedent

import pytest
import torch
from recurrences import assert_is_loop
from tolerances import NET, assert_close
from torch import Tensor

import netdsl
from netdsl.module import NetModule

# (input, parameters by key) -> outputs
Twin = Callable[[Tensor, Mapping[str, Tensor]], tuple[Tensor, ...]]


def written(body: str, outputs: str) -> str:
    return f"net A(x: [N, T, 3], m: [N, S, 4]) -> ({outputs}) {{\n{dedent(body)}\n}}"


def loaded(body: str, outputs: str) -> NetModule:
    return netdsl.loads(written(body, outputs), seed=0).double()


def compare(body: str, outputs: str, twin: Twin, steps: int = 5) -> None:
    x, m = torch.randn(2, steps, 3).double(), torch.randn(2, 6, 4).double()
    assert_is_loop(written(body, outputs), lambda xs, p: twin(xs[0], {**p, "m": xs[1]}), (x, m))


LSTM = """\
recur t in 1..T {
  h[0]: [N, 4] = 0
  c[0]: [N, 4] = 0.5
  z = concat(x[t], h[t-1])
  i = sigmoid(z -> linear(4) as i)
  f = sigmoid(z -> linear(4) as f)
  g = tanh(z -> linear(4) as g)
  o = sigmoid(z -> linear(4) as o)
  c[t] = f * c[t-1] + i * g
  h[t] = o * tanh(c[t])
}
"""


def lstm(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    h, c = torch.zeros(2, 4).double(), torch.full((2, 4), 0.5).double()
    hs, cs = [], []
    for t in range(x.shape[1]):
        z = torch.cat([x[:, t], h], 1)
        i, f, g, o = (z @ p[f"{k}.weight"].T + p[f"{k}.bias"] for k in "ifgo")
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        hs.append(h)
        cs.append(c)
    return torch.stack(hs, 1), torch.stack(cs, 1)


@pytest.mark.parametrize("steps", [1, 5])
def test_an_lstm_from_its_equations(steps: int) -> None:
    compare(LSTM, "h: [N, T, 4], c: [N, T, 4]", lstm, steps)


def test_a_lag_of_two_and_a_state_of_images() -> None:
    body = """\
    recur t in 1..T {
      a[-1]: [N, 3] = 2
      a[0] = x -> mean(axis=1)
      a[t] = tanh(a[t-1] * x[t]) + a[t-2]
    }
    last = a[T]
    first = a[1]
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        a = [torch.full((2, 3), 2.0).double(), x.mean(1)]
        for t in range(x.shape[1]):
            a.append((a[-1] * x[:, t]).tanh() + a[-2])
        return torch.stack(a[2:], 1), a[-1], a[2]

    compare(body, "a: [N, T, 3], last: [N, 3], first: [N, 3]", twin)


def test_both_directions_and_what_reads_them() -> None:
    body = """\
    recur t in 1..T {
      f[0]: [N, 3] = 0
      b[T+1]: [N, 3] = 1
      z = x[t] -> linear(3) as z
      f[t] = tanh(z + f[t-1])
      b[t] = sigmoid(z * b[t+1])
      y[t] = f[t-1] * b[t+1] + z
    }
    end = b[1]
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        steps = x.shape[1]
        z = x @ p["z.weight"].T + p["z.bias"]
        f, b = [torch.zeros(2, 3).double()], [torch.ones(2, 3).double()]
        for t in range(steps):
            f.append((z[:, t] + f[-1]).tanh())
            b.insert(0, (z[:, steps - 1 - t] * b[0]).sigmoid())
        y = [f[t] * b[t + 1] + z[:, t] for t in range(steps)]
        return torch.stack(f[1:], 1), torch.stack(b[:-1], 1), torch.stack(y, 1), b[0]

    compare(body, "f: [N, T, 3], b: [N, T, 3], y: [N, T, 3], end: [N, 3]", twin)


def test_attention_over_a_whole_value_inside_a_step() -> None:
    body = """\
    recur t in 1..T {
      h[0]: [N, 4] = 0
      q = reshape(h[t-1] -> linear(4) as query; [N, 4, 1])
      w = softmax(m @ q; axis=1)
      c = sum(w * m; axis=1)
      h[t] = tanh(concat(x[t], c) -> linear(4) as cell) -> ln as norm
    }
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        h, hs, m = torch.zeros(2, 4).double(), [], p["m"]
        for t in range(x.shape[1]):
            q = h @ p["query.weight"].T + p["query.bias"]
            w = (m @ q[:, :, None]).softmax(1)
            z = torch.cat([x[:, t], (w * m).sum(1)], 1) @ p["cell.weight"].T + p["cell.bias"]
            h = torch.layer_norm(z.tanh(), (4,), p["norm.weight"], p["norm.bias"])
            hs.append(h)
        return (torch.stack(hs, 1),)

    compare(body, "h: [N, T, 4]", twin)


def test_one_sequence_is_read_whole_by_its_steps_and_as_a_start() -> None:
    body = """\
    s = x -> mean(axis=1)
    recur t in 1..T {
      h[0] = s
      b[T+1] = s
      w = softmax(sum(x * reshape(h[t-1]; [N, 1, 3]); axis=2); axis=1)
      h[t] = tanh(sum(x * reshape(w; [N, T, 1]); axis=1) + x[t] + s)
      b[t] = sigmoid(b[t+1]) * h[t]
    }
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        s = h = b = x.mean(1)
        hs: list[Tensor] = []
        bs: list[Tensor] = []
        for t in range(x.shape[1]):
            w = (x * h[:, None]).sum(2).softmax(1)
            h = ((x * w[..., None]).sum(1) + x[:, t] + s).tanh()
            hs.append(h)
        for h in reversed(hs):
            b = b.sigmoid() * h
            bs.insert(0, b)
        return torch.stack(hs, 1), torch.stack(bs, 1)

    compare(body, "h: [N, T, 3], b: [N, T, 3]", twin)


def test_a_recurrence_inside_a_step_and_tied_iterations() -> None:
    body = """\
    recur t in 1..T {
      h[0]: [N, 3] = 0
      recur k in 1..3 {
        r[0] = h[t-1]
        r[k] = tanh(r[k-1] -> linear(3) as inner) + x[t]
      }
      h[t] = r[3]
    }
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        h, hs = torch.zeros(2, 3).double(), []
        for t in range(x.shape[1]):
            for _ in range(3):
                h = (h @ p["inner.weight"].T + p["inner.bias"]).tanh() + x[:, t]
            hs.append(h)
        return (torch.stack(hs, 1),)

    compare(body, "h: [N, T, 3]", twin)


def test_states_that_are_one_value_keep_their_own_starts() -> None:
    body = """\
    recur t in 1..T {
      a[0]: [N, 3] = 0
      b[0]: [N, 3] = 1
      z = a[t-1] * 0.5 + b[t-1] * x[t]
      a[t] = z
      b[t] = z
    }
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        a, b, zs = torch.zeros(2, 3).double(), torch.ones(2, 3).double(), []
        for t in range(x.shape[1]):
            a = b = a * 0.5 + b * x[:, t]
            zs.append(a)
        return torch.stack(zs, 1), torch.stack(zs, 1)

    compare(body, "a: [N, T, 3], b: [N, T, 3]", twin)


def test_a_step_may_be_an_input_a_constant_or_a_whole_value() -> None:
    body = """\
    w = m -> mean(axis=1)
    recur t in 1..T {
      a[t] = x[t]
      b[0]: [N, 4] = 0
      b[t]: [N, 4] = 2
      c[t] = w
      d[t] = b[t-1] * c[t]
    }
    """

    def twin(x: Tensor, p: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        w = p["m"].mean(1)
        cs = w[:, None].expand(2, x.shape[1], 4)
        b = torch.cat([torch.zeros(2, 1, 4), torch.full((2, x.shape[1] - 1, 4), 2.0)], 1).double()
        return x * 1, cs * 1, b * cs

    compare(body, "a: [N, T, 3], c: [N, T, 4], d: [N, T, 4]", twin)


DROPPING = "net A(x: [N, T, 3]) {{ recur t in 1..T {{ y[t] = dropout(x[t]; 0.5{}) }}\nreturn y }}"


def test_every_step_draws_a_mask_of_its_own_which_backward_draws_again() -> None:
    model = netdsl.loads(DROPPING.format(""))
    x = torch.ones(4, 50, 3, requires_grad=True)
    y = model(x)
    y.sum().backward()
    assert torch.equal(x.grad, y)  # 0 or 2, as the mask has it
    assert len({tuple((step != 0).flatten().tolist()) for step in y.unbind(1)}) > 40
    assert torch.equal(model.eval()(x), x)


def test_shared_dropout_draws_one_mask_for_all_steps() -> None:
    model = netdsl.loads(DROPPING.format(", shared=true"))
    y = model(torch.ones(4, 50, 3))
    assert all(torch.equal(step, y[:, 0]) for step in y.unbind(1))
    assert 0 < (y == 0).float().mean() < 1


def test_one_model_runs_any_number_of_steps() -> None:
    model = loaded(LSTM, "h: [N, T, 4], c: [N, T, 4]")
    long = torch.randn(2, 9, 3).double()
    m = torch.randn(2, 6, 4).double()
    for steps in (9, 1, 4):
        assert_close(model(long[:, :steps], m).h, model(long, m).h[:, :steps].detach(), NET)


def test_no_steps_are_refused() -> None:
    model = loaded(LSTM, "h: [N, T, 4], c: [N, T, 4]")
    with pytest.raises(netdsl.NetError, match="at least 1 step, not 0"):
        model(torch.randn(2, 0, 3).double(), torch.randn(2, 6, 4).double())


def test_a_stage_inside_a_recurrence_is_tapped_as_a_sequence() -> None:
    text = f"net A(x: [N, T, 3]) {{\n{LSTM}return h[T]\n}}"
    whole = netdsl.loads(text.replace("return h[T]", "return h"), seed=0).double()
    model = netdsl.loads(text, seed=0, outputs=["f", "tanh2", "mul3"]).double()
    x = torch.randn(2, 5, 3).double()
    f, c, h = model(x)
    assert f.shape == c.shape == (2, 5, 4)
    assert_close(h, whole(x).detach(), NET)
    f.sum().backward()
    assert model.f.weight.grad is not None
    with pytest.raises(netdsl.NetError, match="did you mean `tanh2`"):
        netdsl.loads(text, outputs=["tanh22"])


def test_every_stage_of_a_recurrent_net_is_verified() -> None:
    from netdsl.verify import verify

    model = netdsl.loads(f"net A(x: [N, T, 3]) {{\n{LSTM}return h[T] -> linear(2)\n}}", seed=0)
    report = verify(model, sizes={"T": 4})
    assert report.good, report.first_bad
