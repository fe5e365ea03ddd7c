"""A small net by our plans and by the reference, and a training step compared."""

from __future__ import annotations

from tolerances import NET, NET_GRADIENT, assert_close, assert_gradients_close
from torch import Tensor

import netdsl
from netdsl.module import NetModule

NET_TEXT = """netdsl 1
net Small(x: [N, 3, H, W]) {
  return x -> conv(8, 3) -> bn -> relu -> max_pool(2) -> conv(6, 3) -> bn -> relu
           -> global_avg_pool -> linear(5)
}
"""


def pair() -> tuple[NetModule, NetModule]:
    """The net by our plans and by the reference, with the same numbers, in float64."""
    model = netdsl.loads(NET_TEXT, seed=0).double()
    twin = netdsl.loads(NET_TEXT, seed=0, backend="reference").double()
    return model, twin


def compare_steps(model: NetModule, twin: NetModule, x: Tensor) -> None:
    results = []
    for net in (model, twin):
        net.zero_grad()
        leaf = x.detach().requires_grad_()
        y = net(leaf)
        y.sin().sum().backward()
        gradients = {"x": leaf.grad, **{n: p.grad for n, p in net.named_parameters()}}
        results.append((y, gradients))
    assert_close(results[0][0], results[1][0], NET)
    assert_gradients_close(results[0][1], results[1][1], NET_GRADIENT)
    for (name, buffer), expected in zip(model.named_buffers(), twin.buffers(), strict=True):
        assert_close(buffer, expected, NET, name)
