"""What backward makes again rather than have it saved, and when it lets go of what is saved."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest
import torch
from graphs import graph
from test_cut import text
from test_plan import planned
from tolerances import assert_exact
from torch import Tensor

import netdsl
from netdsl import executable
from netdsl.cut import forward_backward
from netdsl.differentiate import differentiate
from netdsl.ir import Graph
from netdsl.modes import modal_paths
from netdsl.module import NetModule
from netdsl.ops.norm import BatchNorm
from netdsl.ops.normalised import BatchNormApply
from netdsl.passes.recompute import recompute
from netdsl.pipeline import lower
from netdsl.plan import Plan

NORMALISED = (
    "net Normalised(x: [N, 2, 6, 6]) { return x -> conv(3, 3) -> bn -> relu -> conv(1, 3) }"
)
RESIDUAL = """
    block Unit(x: [N, 3, H, W]) {
      y = x -> conv(4, 1) -> bn -> silu -> conv(3, 3, pad=1) -> bn
      return x + y -> relu
    }
    net Residual(x: [N, 2, H, W]) {
      return x -> conv(3, 3) -> bn -> relu -> Unit -> Unit -> Unit -> Unit -> flatten(2) -> mean(2)
    }
"""


def saved(net: Graph) -> list[str]:
    """The paths of what a training step saves, vectors aside."""
    keys = [p.key for p in net.parameters if not p.buffer]
    forward = lower(net, training=modal_paths(net), wanted=keys, off=("fuse-pointwise",)).forward
    values = [o.value for o in forward.outputs if o.role == "saved" and o.value.type.rank > 1]
    return [forward.node(v.node).path for v in values]


def step(net: Graph, x: Tensor, off: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Gradients of a training step from seeded weights."""
    torch.manual_seed(0)
    model = NetModule(net, off=off).to(x.dtype)
    x = x.clone().requires_grad_()
    model(x).square().sum().backward()
    return {"x": x.grad, **{name: p.grad for name, p in model.named_parameters()}}


def test_a_normalised_activation_is_made_again_from_what_was_normalised() -> None:
    assert saved(graph(NORMALISED)) == ["conv1"]


def test_the_other_results_of_batch_norm_and_a_copy_of_its_bias_make_it() -> None:
    net = graph("net Rows(x: [N, 3]) { return x -> bn(track=false) -> tanh }", ("",))
    joint = differentiate(net, ("x", "bn1.weight"))
    text(
        forward_backward(recompute(joint))[1],
        """
        graph Rows {
          %0 = input x: [N, 3]
          %1 = parameter bn1.weight: [3]
          %2 = saved 0: [3]
          %3 = saved 1: [3]
          %4 = saved 2: [3]
          %5 = cotangent return: [N, 3]
          %6 = batch_norm_apply(%0, %3, %4, %1, %2) -> [N, 3]  # bn1
          %7 = tanh(%6) -> [N, 3]  # tanh1
          %8 = tanh_grad(%7, %5) -> [N, 3]  # tanh1
          %9 = batch_norm_grad(%8, %0, %3, %4, %1) -> [N, 3], [3], [3]  # bn1
          gradient x = %9
          gradient bn1.weight = %9.1
        }
        """,
    )


def test_shortcuts_are_made_again_from_every_second_fork() -> None:
    kept = [path for path in saved(graph(RESIDUAL)) if "conv" not in path]
    assert kept == ["Unit1.relu1", "Unit3.relu1"]


def test_nothing_changes_where_all_is_dear() -> None:
    joint = differentiate(graph("net Dear(x: [N, 3]) { return x -> linear(4) -> tanh }"), ("x",))
    assert recompute(joint) is joint


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("net", [NORMALISED, RESIDUAL], ids=["chain", "residual"])
def test_gradients_have_the_same_bits_as_without(net: str, dtype: torch.dtype) -> None:
    x = torch.randn(4, 2, 6, 6).to(dtype)
    with_pass, without = step(graph(net), x), step(graph(net), x, off=("recompute",))
    for name, gradient in without.items():
        assert gradient.abs().max() > 0, name
        assert_exact(with_pass[name], gradient, name)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_applied_again_has_the_bits_of_the_first(
    layout: torch.memory_format, affine: bool
) -> None:
    x = (3 * torch.randn(4, 13, 9, 7) + 5).contiguous(memory_format=layout)
    owned = (torch.randn(13), torch.randn(13)) if affine else ()
    y, mean, invstd = BatchNorm(1e-5, 0.1, affine, track=False).reference(x, *owned)
    assert_exact(BatchNormApply(affine).reference(x, mean, invstd, *owned), y)


def test_what_is_read_again_alone_may_be_written_over_before_backward() -> None:
    """As in torch, whose bn does not need its bias and whose relu not its operand."""
    model = NetModule(graph(NORMALISED))
    x = torch.randn(4, 2, 6, 6)
    expected = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    y = model(x).sum()
    with torch.no_grad():
        model.bn1.bias.add_(1)
    found = torch.autograd.grad(y, list(model.parameters()))
    for gradient, reference in zip(found, expected, strict=True):
        assert_exact(gradient, reference)

    model = NetModule(graph("net Relu(x: [N, 3]) { return x -> relu }"))
    leaf = torch.randn(2, 3, requires_grad=True)
    x = leaf * 1
    y = model(x)
    with torch.no_grad():
        x.zero_()
    y.sum().backward()
    assert_exact(leaf.grad, (leaf > 0).float())


@pytest.mark.parametrize("held", [True, False], ids=["held", "handed over"])
def test_an_operand_handed_over_goes_after_its_last_use(held: bool) -> None:
    made = planned(graph("net Two(x: [N, 4]) { return x -> linear(4) -> linear(2) }"))
    given = [torch.randn(op.type.shape) for op in made.graph.inputs]
    given += [torch.randn(p.type.shape) for p in made.graph.parameters]
    x, owner = weakref.ref(given[0]), given[0] if held else None
    last, gone = made.steps[-1], []

    def watched(*operands: Tensor) -> Tensor:
        gone.append(x() is None)
        return last.kernel(*operands)

    replace(made, steps=(*made.steps[:-1], replace(last, kernel=watched))).consume(given)
    assert given == []
    assert gone == [owner is None]


def test_autograd_lets_go_of_what_is_saved_when_backward_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    y = NetModule(graph(NORMALISED))(torch.randn(4, 2, 6, 6)).sum()
    node, consume, held = y.grad_fn.next_functions[0][0], Plan.consume, []

    def watched(plan: Plan, tensors: list[Tensor]) -> list[Tensor]:
        try:
            held.append(len(node.saved_tensors))
        except RuntimeError:
            held.append(0)
        return consume(plan, tensors)

    monkeypatch.setattr(Plan, "consume", watched)
    y.backward(retain_graph=True)
    y.backward()
    assert held[0] > 0 == held[1]
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.backward()


def test_memory_is_spared_where_results_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few images are not worth the time; 16 of 64 x 512 x 512 are (never computed here)."""
    monkeypatch.setattr(executable, "SPARED", 1 << 30)
    model = netdsl.loads("net Sized(x: [N, 3, H, W]) { return x -> conv(64, 3) -> bn -> relu }")
    model(torch.randn(2, 3, 8, 8))
    ((_, _, _, _, spare),) = model._executable.programs
    assert not spare
    assert model._executable._spare([512, 16, 512])  # H, N, W
