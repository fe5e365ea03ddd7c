"""A chain of thousands of layers: nothing recurses, nothing takes more than linear time.

Measured once for 50,000 layers (NETDSL_DEPTH), one core: relu takes 1.3 s to load, 14 s to compile
and run forward, 8 s backward, 6 s without gradients; relu and add in turn 26 s, 11 s and 7 s.
"""

from __future__ import annotations

import os

import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact

import netdsl
from netdsl.ir import Builder, Input, Output
from netdsl.module import NetModule
from netdsl.op import OPS, Type
from netdsl.sizes import atom

DEPTH = int(os.environ.get("NETDSL_DEPTH", "2000"))


def test_a_deep_chain_of_text_runs_forward_and_backward() -> None:
    net = netdsl.loads(f"net Deep(x: [N, 4]) {{ return x -> repeat {DEPTH} {{ relu }} }}")
    x = torch.randn(2, 4, requires_grad=True)
    y = net(x)
    y.sum().backward()
    assert_exact(y.detach(), x.detach().relu())
    assert_exact(x.grad, (x.detach() > 0).float())


def test_a_deep_chain_of_additions_runs_forward_and_backward() -> None:
    b = Builder("Deep")
    x = first = b(Input(Type((atom("N"), 4)), "x"))
    small = b.constant(1 / DEPTH)
    for _ in range(DEPTH // 2):
        x = b(OPS["add"](), b(OPS["relu"](), x), b(OPS["mul"](), first, small))
    net = NetModule(b.build((Output("return", x),)))
    given = torch.rand(2, 4, dtype=torch.float64, requires_grad=True)
    y = net(given)
    y.sum().backward()
    assert_close(y.detach(), 1.5 * given.detach(), NET)
    assert_close(given.grad, torch.full_like(given, 1.5), NET_GRADIENT)
    with torch.no_grad():
        assert_close(net(given), 1.5 * given.detach(), NET)
