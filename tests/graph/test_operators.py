"""netdsl::forward and netdsl::backward as torch sees them: schema, fake results, autograd."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tolerances import assert_exact, assert_gradients_close
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

import netdsl
from netdsl.program import Program

NET_TEXT = """
    net Small(x: [N, 2, H, W]) -> (y: [N, 3], z: [W, 4, H, N]) {
      a = x -> conv(4, 3) -> bn -> relu
      y = a -> max_pool(2) -> global_avg_pool -> linear(3)
      z = a -> transpose([3, 1, 2, 0])
    }
"""
TESTS = ("test_schema", "test_autograd_registration", "test_faketensor")


def called(wanted: bool = True) -> tuple[Program, list[Tensor], list[int]]:
    """The program of a training step, its operands and sizes."""
    net = netdsl.loads(NET_TEXT, seed=0).double()
    x = torch.randn(2, 2, 6, 5, dtype=torch.float64, requires_grad=wanted)
    with torch.set_grad_enabled(wanted):
        net(x)
    (program,) = net._executable.programs.values()
    pool = [x, *net._executable.tree.tensors()]
    return program, [pool[i] for i in program.fetch], [6, 2, 5]


def test_the_forward_operator_passes_torchs_checks() -> None:
    program, operands, sizes = called()
    assert program.size_names == ("H", "N", "W")
    found = torch.library.opcheck(
        torch.ops.netdsl.forward.default, (operands, sizes, program.key), test_utils=TESTS
    )
    assert found == dict.fromkeys(TESTS, "SUCCESS")


def test_the_backward_operator_passes_torchs_checks() -> None:
    program, operands, sizes = called()
    given = backward_operands(program, operands, sizes)
    found = torch.library.opcheck(
        torch.ops.netdsl.backward.default, (given, sizes, program.key), test_utils=TESTS
    )
    assert found == dict.fromkeys(TESTS, "SUCCESS")


def backward_operands(
    program: Program, operands: Sequence[Tensor], sizes: Sequence[int]
) -> list[Tensor]:
    with torch.no_grad():
        results = program.forward(operands, sizes)
    lists = {"operands": operands, "results": results, "cotangents": results}
    return [lists[where][i].detach() for where, i in program.backward_operands]


@pytest.mark.parametrize("wanted", [True, False])
def test_fake_results_are_the_real_ones_for_other_sizes(wanted: bool) -> None:
    """Sizes stay symbolic: what is traced once holds for every batch and image."""
    program, operands, sizes = called(wanted)
    real = program.forward([t.detach() for t in operands], sizes)
    mode = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=False)
    tensors = [t.detach() for t in operands]
    with mode:
        fakes = [mode.from_tensor(t) for t in tensors]
        n, _, h, w = fakes[0].shape
        symbolic = torch.ops.netdsl.forward(fakes, [h, n, w], program.key)
        fixed = torch.ops.netdsl.forward(fakes, sizes, program.key)
    assert all(isinstance(size, torch.SymInt) for size in symbolic[1].shape[::2])
    for fake, other, tensor in zip(symbolic, fixed, real, strict=True):
        assert tuple(map(int, fake.shape)) == tuple(other.shape) == tuple(tensor.shape)
        assert fake.dtype == other.dtype == tensor.dtype


def test_the_operator_and_the_plain_call_give_the_same_bits_and_gradients() -> None:
    program, operands, sizes = called()
    direct = program.forward([t.detach() for t in operands], sizes)
    through = torch.ops.netdsl.forward(operands, sizes, program.key)
    for a, b in zip(through, direct, strict=True):
        assert_exact(a.detach(), b)
    wanted = [t for t in operands if t.requires_grad]
    loss = sum(y.square().sum() for y in through if y.requires_grad)
    found = torch.autograd.grad(loss, wanted)
    net = netdsl.loads(NET_TEXT, seed=0).double()
    x = operands[0].detach().requires_grad_()
    y, z = net(x)
    names, tensors = zip(*[("x", x), *net.named_parameters()], strict=True)
    expected = torch.autograd.grad(y.square().sum() + z.square().sum(), tensors)
    assert_gradients_close(
        dict(zip(names, found, strict=True)), dict(zip(names, expected, strict=True))
    )
