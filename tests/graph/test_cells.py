"""Cells of one's own against loops of torch's own: every output alone, every gradient, at 1e-9."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from recurrences import assert_is_loop
from torch import Tensor
from torch.nn import functional as F

P = Mapping[str, Tensor]
Inputs = Sequence[Tensor]

every_length = pytest.mark.parametrize("steps", [1, 2, 7])


def drawn(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def linear(x: Tensor, p: P, key: str) -> Tensor:
    return F.linear(x, p[f"{key}.weight"], p.get(f"{key}.bias"))


def conv(x: Tensor, p: P, key: str) -> Tensor:
    return F.conv2d(x, p[f"{key}.weight"], p.get(f"{key}.bias"), padding="same")


@every_length
def test_a_gru_whose_reset_acts_before_the_product(steps: int) -> None:
    text = """
    from cells import GRU
    net A(x: [N, T, 3]) -> (h: [N, T, 5], last: [N, 5]) { h, last = x -> GRU(5) as cell }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        (x,) = inputs
        h, hs = x.new_zeros(3, 5), []
        for x_t in x.unbind(1):
            z = torch.cat([x_t, h], 1)
            r, u = (linear(z, p, f"cell.{gate}").sigmoid() for gate in ("reset", "update"))
            new = linear(torch.cat([x_t, r * h], 1), p, "cell.candidate").tanh()
            h = u * h + (1 - u) * new
            hs.append(h)
        return torch.stack(hs, 1), h

    assert_is_loop(text, loop, drawn((3, steps, 3)))


@every_length
def test_a_minimal_gated_unit_over_another(steps: int) -> None:
    text = """
    from cells import MGU
    net A(x: [N, T, 3]) -> (h: [N, T, 5], last: [N, 5]) {
      h, last = x -> repeat 2 { MGU(5) } as cell[]
    }
    """

    def layer(x: Tensor, p: P, key: str) -> Tensor:
        h, hs = x.new_zeros(3, 5), []
        for x_t in x.unbind(1):
            f = linear(torch.cat([h, x_t], 1), p, f"{key}.forget").sigmoid()
            new = linear(torch.cat([f * h, x_t], 1), p, f"{key}.candidate").tanh()
            h = (1 - f) * h + f * new
            hs.append(h)
        return torch.stack(hs, 1)

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        h = layer(layer(inputs[0], p, "cell.0"), p, "cell.1")
        return h, h[:, -1]

    assert_is_loop(text, loop, drawn((3, steps, 3)))


@every_length
def test_peepholes_from_right_to_left_from_states_that_are_given(steps: int) -> None:
    text = """
    net A(x: [N, T, 3], h0: [N, 5], c0: [N, 5]) -> (h: [N, T, 5], c: [N, T, 5], end: [N, 5]) {
      param w_i: [5] = 0
      param w_f: [5] = 0
      param w_o: [5] = 0
      recur t in 1..T {
        h[T+1] = h0
        c[T+1] = c0
        z = concat(x[t], h[t+1])
        i = sigmoid((z -> linear(5) as i) + w_i * c[t+1])
        f = sigmoid((z -> linear(5) as f) + w_f * c[t+1])
        c[t] = f * c[t+1] + i * tanh(z -> linear(5) as g)
        h[t] = sigmoid((z -> linear(5) as o) + w_o * c[t]) * tanh(c[t])
      }
      end = c[1]
    }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        x, h, c = inputs
        hs, cs = [], []
        for x_t in reversed(x.unbind(1)):
            z = torch.cat([x_t, h], 1)
            i = (linear(z, p, "i") + p["w_i"] * c).sigmoid()
            f = (linear(z, p, "f") + p["w_f"] * c).sigmoid()
            c = f * c + i * linear(z, p, "g").tanh()
            h = (linear(z, p, "o") + p["w_o"] * c).sigmoid() * c.tanh()
            hs.insert(0, h)
            cs.insert(0, c)
        return torch.stack(hs, 1), torch.stack(cs, 1), c

    assert_is_loop(text, loop, drawn((3, steps, 3), (3, 5), (3, 5)))


@every_length
def test_layer_normalisation_inside_an_lstm(steps: int) -> None:
    text = """
    from cells import LayerNormLSTM
    net A(x: [N, T, 3]) -> (h: [N, T, 5], last: [N, 5]) { h, last = x -> LayerNormLSTM(5) as cell }
    """

    def ln(x: Tensor, p: P, key: str) -> Tensor:
        return F.layer_norm(x, x.shape[1:], p[f"{key}.weight"], p.get(f"{key}.bias"))

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        (x,) = inputs
        h = c = x.new_zeros(3, 5)
        hs = []
        for x_t in x.unbind(1):
            z = ln(linear(h, p, "cell.W_h"), p, "cell.ln_h")
            z = z + ln(linear(x_t, p, "cell.W_x"), p, "cell.ln_x")
            f, i, o, g = z.chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * ln(c, p, "cell.ln_c").tanh()
            hs.append(h)
        return torch.stack(hs, 1), h

    assert_is_loop(text, loop, drawn((3, steps, 3)))


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_clocks_of_periods_two_and_four(steps: int) -> None:
    text = """
    from cells import ClockworkRNN
    net A(x: [N, T, 3]) -> (h: [N, T, 6], last: [N, 6]) { h, last = x -> ClockworkRNN(6) as cell }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        (x,) = inputs
        a = b = c = x.new_zeros(3, 2)
        hs = []
        for t, x_t in enumerate(x.unbind(1), start=1):
            fast = linear(torch.cat([x_t, a, b, c], 1), p, "cell.fast").tanh()
            medium = linear(torch.cat([x_t, b, c], 1), p, "cell.medium").tanh()
            slow = linear(torch.cat([x_t, c], 1), p, "cell.slow").tanh()
            a, b, c = fast, b if t % 2 else medium, c if t % 4 else slow
            hs.append(torch.cat([a, b, c], 1))
        return torch.stack(hs, 1), hs[-1]

    assert_is_loop(text, loop, drawn((3, steps, 3)))


@every_length
def test_states_that_are_images(steps: int) -> None:
    text = """
    from convlstm import ConvLSTM
    net A(x: [N, T, 2, 5, 4], c0: [N, 3, 5, 4]) -> (h: [N, T, 3, 5, 4], cell: [N, 3, 5, 4]) {
      recur t in 1..T {
        h[0]: [N, 3, 5, 4] = 0
        c[0] = c0
        new, kept = ConvLSTM(concat(x[t], h[t-1]), c[t-1]; 3) as cell
        h[t] = new
        c[t] = kept
      }
      cell = c[T]
    }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        x, c = inputs
        h, hs = torch.zeros_like(c), []
        for x_t in x.unbind(1):
            z = torch.cat([x_t, h], 1)
            i = (conv(z, p, "cell.input_gate") + p["cell.w_i"] * c).sigmoid()
            f = (conv(z, p, "cell.forget_gate") + p["cell.w_f"] * c).sigmoid()
            c = f * c + i * conv(z, p, "cell.candidate").tanh()
            h = (conv(z, p, "cell.output_gate") + p["cell.w_o"] * c).sigmoid() * c.tanh()
            hs.append(h)
        return torch.stack(hs, 1), c

    assert_is_loop(text, loop, drawn((3, steps, 2, 5, 4), (3, 3, 5, 4)))


@every_length
def test_gates_that_are_exponentials_with_a_state_that_keeps_them_finite(steps: int) -> None:
    text = """
    net A(x: [N, T, 3]) -> (h: [N, T, 5], m: [N, T, 5]) {    # sLSTM (Beck et al. 2024, eq. 8 to 17)
      recur t in 1..T {
        h[0]: [N, 5] = 0
        c[0]: [N, 5] = 0
        n[0]: [N, 5] = 1
        m[0]: [N, 5] = -2
        z = concat(x[t], h[t-1])
        i = z -> linear(5) as i
        f = (z -> linear(5) as f) + m[t-1]
        m[t] = maximum(f, i)
        c[t] = exp(f - m[t]) * c[t-1] + exp(i - m[t]) * tanh(z -> linear(5) as g)
        n[t] = exp(f - m[t]) * n[t-1] + exp(i - m[t])
        h[t] = sigmoid(z -> linear(5) as o) * c[t] / n[t]
      }
    }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        (x,) = inputs
        h = c = x.new_zeros(3, 5)
        n, m, hs, ms = x.new_ones(3, 5), x.new_full((3, 5), -2), [], []
        for x_t in x.unbind(1):
            z = torch.cat([x_t, h], 1)
            i, f = linear(z, p, "i"), linear(z, p, "f") + m
            m = torch.maximum(f, i)
            i, f = (i - m).exp(), (f - m).exp()
            c, n = f * c + i * linear(z, p, "g").tanh(), f * n + i
            h = linear(z, p, "o").sigmoid() * c / n
            hs.append(h)
            ms.append(m)
        return torch.stack(hs, 1), torch.stack(ms, 1)

    assert_is_loop(text, loop, drawn((3, steps, 3)))


@every_length
def test_a_state_that_is_a_matrix_which_a_key_corrects(steps: int) -> None:
    text = """
    net A(x: [N, T, 3], S0: [N, 4, 4]) -> (y: [N, T, 4], S: [N, T, 4, 4]) {  # the delta rule
      recur t in 1..T {
        S[0] = S0
        k = reshape(x[t] -> linear(4) as k -> softmax; [N, 4, 1])
        v = reshape(x[t] -> linear(4) as v; [N, 4, 1])
        b = reshape(sigmoid(x[t] -> linear(1) as b); [N, 1, 1])
        S[t] = S[t-1] + b * (v - S[t-1] @ k) @ transpose(k; [0, 2, 1])
        y[t] = reshape(S[t] @ reshape(x[t] -> linear(4) as q; [N, 4, 1]); [N, 4])
      }
    }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        x, S = inputs
        ys, states = [], []
        for x_t in x.unbind(1):
            k = linear(x_t, p, "k").softmax(1)[:, :, None]
            v, q = (linear(x_t, p, key)[:, :, None] for key in "vq")
            S = S + linear(x_t, p, "b").sigmoid()[:, :, None] * (v - S @ k) @ k.mT
            ys.append((S @ q)[:, :, 0])
            states.append(S)
        return torch.stack(ys, 1), torch.stack(states, 1)

    assert_is_loop(text, loop, drawn((3, steps, 3), (3, 4, 4)))


@every_length
def test_attention_inside_that_remembers_where_it_has_looked(steps: int) -> None:
    text = """
    net A(x: [N, T, 3], m: [N, S, 4]) -> (h: [N, T, 5], seen: [N, S]) {
      keys = m -> linear(5) as key
      recur t in 1..T {
        h[0]: [N, 5] = 0
        cover[0]: [N, S] = 0
        q = reshape(h[t-1] -> linear(5, bias=false) as query; [N, 1, 5])
        past = reshape(cover[t-1]; [N, S, 1]) -> linear(5, bias=false) as past
        a = softmax(tanh(keys + q + past) -> linear(1, bias=false) as v; axis=1)
        cover[t] = cover[t-1] + reshape(a; [N, S])
        h[t] = tanh(concat(x[t], h[t-1], sum(a * m; axis=1)) -> linear(5) as cell)
      }
      seen = cover[T]
    }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        x, m = inputs
        h, cover, hs = x.new_zeros(3, 5), x.new_zeros(3, 6), []
        for x_t in x.unbind(1):
            e = linear(m, p, "key") + linear(h, p, "query")[:, None]
            e = e + linear(cover[:, :, None], p, "past")
            a = linear(e.tanh(), p, "v").softmax(1)
            cover = cover + a[:, :, 0]
            h = linear(torch.cat([x_t, h, (a * m).sum(1)], 1), p, "cell").tanh()
            hs.append(h)
        return torch.stack(hs, 1), cover

    assert_is_loop(text, loop, drawn((3, steps, 3), (3, 6, 4)))


@every_length
def test_a_recurrence_along_a_row_inside_one_over_rows(steps: int) -> None:
    text = """
    net A(x: [N, T, W, 3]) -> (h: [N, T, W, 4], corner: [N, 4]) {     # Graves et al. 2007, in 2-D
      recur t in 1..T {
        h[0]: [N, W, 4] = 0
        row = x[t]
        above = h[t-1]
        recur s in 1..W {
          u[0]: [N, 4] = 0
          u[s] = tanh(concat(row[s], above[s], u[s-1]) -> linear(4) as cell)
        }
        h[t] = u
        edge[t] = u[W]
      }
      corner = edge[T]
    }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        (x,) = inputs
        above, rows = x.new_zeros(3, 5, 4), []
        for row in x.unbind(1):
            u, us = x.new_zeros(3, 4), []
            for s in range(5):
                u = linear(torch.cat([row[:, s], above[:, s], u], 1), p, "cell").tanh()
                us.append(u)
            above = torch.stack(us, 1)
            rows.append(above)
        return torch.stack(rows, 1), u

    assert_is_loop(text, loop, drawn((3, steps, 5, 3)))


@every_length
def test_both_ways_where_the_one_reads_all_of_the_other(steps: int) -> None:
    text = """
    net A(x: [N, T, 3]) -> (y: [N, T, 4], ends: [N, 8]) {
      param start: [4] = 0
      recur t in 1..T {
        b[T+1]: [N, 4] = 0.5
        b[t] = tanh(concat(x[t], b[t+1]) -> linear(4) as back)
      }
      recur t in 1..T {
        f[0]: [N, 4] = 0
        w = softmax(b @ reshape(f[t-1] -> linear(4) as ask; [N, 4, 1]); axis=1)
        f[t] = sigmoid(x[t] -> linear(4) as gate) * (f[t-1] + start) + sum(w * b; axis=1) * b[t]
      }
      y = f
      ends = concat(f[T], b[1])
    }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        (x,) = inputs
        back, b = x.new_full((3, 4), 0.5), []
        for x_t in reversed(x.unbind(1)):
            back = linear(torch.cat([x_t, back], 1), p, "back").tanh()
            b.insert(0, back)
        whole, f, fs = torch.stack(b, 1), x.new_zeros(3, 4), []
        for x_t, b_t in zip(x.unbind(1), b, strict=True):
            w = (whole @ linear(f, p, "ask")[:, :, None]).softmax(1)
            f = linear(x_t, p, "gate").sigmoid() * (f + p["start"]) + (w * whole).sum(1) * b_t
            fs.append(f)
        return torch.stack(fs, 1), torch.cat([f, back], 1)

    assert_is_loop(text, loop, drawn((3, steps, 3)))


@every_length
def test_two_states_with_lags_of_two_and_three(steps: int) -> None:
    text = """
    net A(x: [N, T, 3], a0: [N, 3]) -> (a: [N, T, 3], b: [N, T, 3]) {
      recur t in 1..T {
        a[-1]: [N, 3] = 0.5
        a[0] = a0
        b[-2] = a0
        b[-1]: [N, 3] = 1
        b[0]: [N, 3] = -1
        a[t] = tanh(concat(x[t], a[t-2], b[t-1]) -> linear(3) as a) + b[t-3]
        b[t] = sigmoid(a[t] * a[t-1]) * b[t-2] - 0.25 * x[t]
      }
    }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        x, a0 = inputs
        one = torch.ones_like(a0)
        a, b = [0.5 * one, a0], [a0, one, -one]
        for x_t in x.unbind(1):
            a.append(linear(torch.cat([x_t, a[-2], b[-1]], 1), p, "a").tanh() + b[-3])
            b.append((a[-1] * a[-2]).sigmoid() * b[-2] - 0.25 * x_t)
        return torch.stack(a[2:], 1), torch.stack(b[3:], 1)

    assert_is_loop(text, loop, drawn((3, steps, 3), (3, 3)))


@every_length
def test_a_highway_of_several_layers_inside_a_step_and_a_mask_over_it(steps: int) -> None:
    text = """
    net A(x: [N, T, 3], m: [N, T, 1]) -> (h: [N, T, 4], last: [N, 4]) {  # Zilly et al. 2017
      recur t in 1..T {
        h[0]: [N, 4] = 0
        s = h[t-1] + (x[t] -> linear(4) as inp)
        deep = s -> for i in range(3) { Highway as "layer{i}" }
        h[t] = m[t] * deep + (1 - m[t]) * h[t-1]
      }
      last = h[T]
    }
    block Highway(s: [N, D]) {
      g = sigmoid(s -> linear(D) as gate)
      return g * tanh(s -> linear(D) as new) + (1 - g) * s
    }
    """

    def loop(inputs: Inputs, p: P) -> tuple[Tensor, ...]:
        x, m = inputs
        h, hs = x.new_zeros(3, 4), []
        for x_t, m_t in zip(x.unbind(1), m.unbind(1), strict=True):
            s = h + linear(x_t, p, "inp")
            for i in range(3):
                g = linear(s, p, f"layer{i}.gate").sigmoid()
                s = g * linear(s, p, f"layer{i}.new").tanh() + (1 - g) * s
            h = m_t * s + (1 - m_t) * h
            hs.append(h)
        return torch.stack(hs, 1), h

    assert_is_loop(text, loop, drawn((3, steps, 3), (3, steps, 1)))
