"""What the passes on recurrences make of them, and that each may be left out."""

from __future__ import annotations

from collections import Counter
from textwrap import dedent

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_gradients_close

import netdsl
from netdsl.front import parse_text
from netdsl.ir import Graph, Source
from netdsl.pipeline import LOOPS, lower
from netdsl.recur import Recur

LSTM = """\
net A(x: [N, T, 3]) -> [N, T, 4] {
  recur t in 1..T {
    h[0]: [N, 4] = 0
    c[0]: [N, 4] = 0.5
    z = concat(x[t], h[t-1])
    i = sigmoid(z -> linear(4) as i)
    g = tanh(z -> linear(4) as g)
    f = sigmoid(z -> linear(4) as f)
    o = sigmoid(z -> linear(4) as o)
    c[t] = f * c[t-1] + i * g
    h[t] = o * tanh(c[t])
  }
  return h
}"""
PARAMETERS = tuple(f"{gate}.{name}" for gate in "igfo" for name in ("weight", "bias"))
ON_RECURRENCES = (*LOOPS, "through-time", "sink")


def bodies(graph: Graph) -> list[Counter[str]]:
    """Of each recurrence how often its step has an op."""
    return [
        Counter(node.op.name for _, node in op.body.items if not isinstance(node.op, Source))
        for op in (node.op for _, node in graph.items)
        if isinstance(op, Recur)
    ]


def ops(graph: Graph) -> Counter[str]:
    return Counter(node.op.name for _, node in graph.items)


def net(body: str) -> Graph:
    text = f"net A(x: [N, T, 3]) -> [N, T, 3] {{\n{dedent(body)}\n}}"
    return lower(parse_text(text, {}, "t.net")).forward


def test_the_step_of_an_lstm_has_one_product_and_a_sigmoid_for_three_gates() -> None:
    forward = lower(parse_text(LSTM, {}, "t.net")).forward
    (step,) = bodies(forward)
    assert (step["linear"], step["add"], step["sigmoid"], step["tanh"]) == (1, 2, 1, 2)
    assert step["concat"] == 0
    assert ops(forward)["linear"] == 1  # of x, over all steps


def test_its_gradient_has_the_products_of_weights_behind_the_loop() -> None:
    backward = lower(parse_text(LSTM, {}, "t.net"), wanted=("x", *PARAMETERS)).backward
    (step,) = bodies(backward)
    assert step["matmul"] == 1  # what a step sends to the one before
    assert step["linear_weight_grad"] == step["linear"] == 0
    assert ops(backward)["linear_weight_grad"] == 2  # of the halves for x and for h
    loops = [node.op for _, node in backward.items if isinstance(node.op, Recur)]
    assert all(not loop.ends for loop in loops)  # nothing is summed step by step


def test_a_recurrence_without_states_goes_away() -> None:
    assert bodies(net("recur t in 1..T { y[t] = tanh(x[t]) * 2 }\nreturn y")) == []


def test_what_takes_examples_together_stays_in_its_step() -> None:
    (step,) = bodies(net("recur t in 1..T { y[t] = softmax(x[t]; axis=0) }\nreturn y"))
    assert step["softmax"] == 1


def test_what_every_step_has_alike_is_computed_once() -> None:
    body = """\
    param a: [3] = 1
    recur t in 1..T {
      h[0]: [N, 3] = 0
      h[t] = h[t-1] * sigmoid(a) + x[t]
    }
    return h
    """
    (step,) = bodies(net(body))
    assert step == {"mul": 1, "add": 1}


@pytest.mark.parametrize("off", [*((name,) for name in ON_RECURRENCES), ON_RECURRENCES], ids=str)
def test_each_pass_may_be_left_out(off: tuple[str, ...]) -> None:
    model = netdsl.loads(LSTM, seed=0).double()
    plain = netdsl.loads(LSTM, seed=0, backend="reference").double()
    model._executable._settings.off = off
    x = torch.randn(3, 5, 3).double()
    given = [x.clone().requires_grad_() for _ in range(2)]
    ys = [net(x) for net, x in zip((model, plain), given, strict=True)]
    assert_close(ys[0], ys[1].detach(), NET)
    cotangent = torch.randn(3, 5, 4).double()
    found = []
    for net_, y, leaf in zip((model, plain), ys, given, strict=True):
        y.backward(cotangent)
        gradients = {key: p.grad for key, p in net_.named_parameters()}
        found.append({"x": leaf.grad, **gradients})
    assert_gradients_close(*found, NET_GRADIENT)
