"""Calls that overlap: two forwards before a backward, backward twice, two threads; and writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact
from torch import Tensor

import netdsl
from netdsl.module import NetModule

NET_TEXT = """
    net Small(x: [N, 2, H, W]) {
      a = x -> conv(4, 3) -> bn -> relu
      b = a -> conv(4, 3, bias=false) -> dropout(0.25)
      return a + b -> max_pool(2) -> global_avg_pool -> linear(3) -> tanh
    }
"""


def model() -> NetModule:
    return netdsl.loads(NET_TEXT, seed=0).double()


def image(n: int = 3, h: int = 6, w: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(n * h * w)
    return torch.randn(n, 2, h, w, generator=generator, dtype=torch.float64).requires_grad_()


def gradients(y: Tensor, tensors: list[Tensor], keep: bool = False) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y.square().sum(), tensors, retain_graph=keep)


def test_two_forwards_before_one_backward_keep_apart() -> None:
    net, first, second = model(), image(3), image(2)
    weights = list(net.parameters())
    torch.manual_seed(1)
    alone = gradients(net(first), [first, *weights])
    torch.manual_seed(1)
    y = net(first)
    z = net(second)
    gradients(z, [second, *weights])
    for got, expected in zip(gradients(y, [first, *weights]), alone, strict=True):
        assert_exact(got, expected)


def test_backward_twice_with_retain_graph_gives_the_same_bits() -> None:
    net, x = model(), image()
    y = net(x)
    tensors = [x, *net.parameters()]
    first = gradients(y, tensors, keep=True)
    for got, expected in zip(gradients(y, tensors), first, strict=True):
        assert_exact(got, expected)
    with pytest.raises(RuntimeError, match="a second time"):
        gradients(y, tensors)


def test_three_training_steps_of_one_seed_give_the_same_bits() -> None:
    found = []
    for _ in range(3):
        net, x = model(), image()
        torch.manual_seed(5)
        y = net(x)
        found.append([y.detach(), *gradients(y, [x, *net.parameters()]), *net.buffers()])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert_exact(a, b)


def test_an_input_changed_before_backward_raises() -> None:
    square = netdsl.loads("net Square(x: [N, 3]) { return x * x }")
    x = torch.randn(2, 3, requires_grad=True)
    y = square(x)
    with torch.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_weight_changed_before_backward_raises() -> None:
    net, x = model(), image()
    y = net(x)
    with torch.no_grad():
        net.linear1.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("last", ["relu", "flatten", "identity", "linear(3)"])
def test_an_output_changed_before_backward_raises_or_leaves_the_gradient_right(last: str) -> None:
    """As after torch's own layers: the caller may write into a result (`y += 1`)."""
    net = netdsl.loads(f"net Last(x: [N, 3]) {{ return x -> tanh -> {last} }}").double()
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(net(x).sum(), x)
    y = net(x)
    y += 1
    try:
        (dx,) = torch.autograd.grad(y.sum(), x)
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error)
    else:
        assert_exact(dx, expected)


def test_a_loss_without_a_gradient_of_its_own_gives_none() -> None:
    class Stop(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, dy: Tensor) -> None:
            return None

    net, x = model(), image()
    Stop.apply(net(x)).sum().backward()
    assert x.grad is None or not x.grad.any()


def test_only_what_depends_on_a_wanted_tensor_requires_a_gradient() -> None:
    """Found by random graphs: an output of frozen parameters alone seemed to have one."""
    net = netdsl.loads("""
        net Two(x: [N, 3]) -> (a: [N, 2], b: [N, 3], c: int[N]) {
          a = x -> linear(2)
          b = x -> tanh
          c = x -> argmax(axis=1)
        }
    """)
    a, b, c = net(torch.randn(2, 3))
    assert [t.requires_grad for t in (a, b, c)] == [True, False, False]
    net.requires_grad_(False)
    a, b, c = net(torch.randn(2, 3, requires_grad=True))
    assert [t.requires_grad for t in (a, b, c)] == [True, True, False]


def test_nothing_to_differentiate_runs_without_autograd() -> None:
    """The weight wants a gradient, but integers give none; kernels that write into `out` refuse."""
    net = netdsl.loads("net Class(x: [N, 3]) { return argmax(x - (x -> linear(3)), axis=1) }")
    assert net(torch.randn(2, 3)).dtype == torch.int64
    assert not net(torch.randn(2, 3)).requires_grad


def test_two_threads_call_one_module_at_once() -> None:
    net = model().eval()
    images = [image(1 + i % 3, 4 + i % 5, 5 + i % 7) for i in range(60)]

    def step(x: Tensor) -> tuple[Tensor, ...]:
        y = net(x)
        return (y.detach(), *gradients(y, [x, net.conv1.weight]))

    alone = [step(x) for x in images]
    fresh = model().eval()
    fresh.load_state_dict(net.state_dict())
    net = fresh
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(step, images))
    for a, b in zip(alone, together, strict=True):
        for got, expected in zip(b, a, strict=True):
            assert_exact(got, expected)


def test_a_hand_written_module_agrees_through_a_training_loop() -> None:
    """Not our oracle but torch.nn's layers, ten steps of SGD with momentum."""

    class Twin(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = torch.nn.Conv2d(2, 4, 3, padding=1)
            self.bn1 = torch.nn.BatchNorm2d(4)
            self.conv2 = torch.nn.Conv2d(4, 4, 3, padding=1, bias=False)
            self.linear1 = torch.nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            a = torch.relu(self.bn1(self.conv1(x)))
            pooled = torch.nn.functional.max_pool2d(a + self.conv2(a), 2)
            return torch.tanh(self.linear1(pooled.mean((2, 3))))

    net = netdsl.loads(NET_TEXT.replace("-> dropout(0.25)", "")).double()
    twin = Twin().double()
    twin.load_state_dict(net.state_dict())
    steps = [torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9) for m in (net, twin)]
    for i in range(10):
        x = image(3, 6 + i % 2, 5).detach()
        for m, optimiser in zip((net, twin), steps, strict=True):
            optimiser.zero_grad()
            m(x).square().sum().backward()
            optimiser.step()
    for (key, got), expected in zip(
        net.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        assert_close(got, expected, NET_GRADIENT, key)
    net.eval(), twin.eval()
    with torch.no_grad():
        assert_close(net(x), twin(x), NET)
