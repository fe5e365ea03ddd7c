"""Compiled = reference over random graphs: outputs, every gradient, buffers, in every mode.

The oracle is torch's autograd through the interpreter, in float64, and for chains of plain layers
torch.nn's own. NETDSL_EXAMPLES=3000 looks longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from examples import examples
from hypothesis import given, note
from hypothesis import strategies as st
from random_graphs import Net, nets
from tolerances import NET, assert_close, assert_exact, assert_gradients_close
from torch import Tensor, nn

import netdsl
from netdsl import runtime
from netdsl.interpreter import interpret
from netdsl.modes import SEED, specialise
from netdsl.module import NetModule
from netdsl.pipeline import PASSES
from netdsl.rewrite import with_sizes

MASK = 7  # torch's seed, from which the module draws that of dropout


@dataclass(frozen=True)
class Results:
    """Outputs by name, new buffer values and gradients by key; None where there is none."""

    outputs: dict[str, Tensor]
    buffers: dict[str, Tensor]
    gradients: dict[str, Tensor | None]


def reference(net: Net, wanted: bool = True) -> Results:
    """What the net computes, node by node, with torch's gradients."""
    model, inputs = net.module(), net.inputs()
    graph = with_sizes(specialise(net.graph, net.training), net.sizes)
    tensors = leaves(model, inputs)
    torch.manual_seed(MASK)
    given = {**tensors, **dict(model.named_buffers()), SEED: torch.randint(0, 2**63 - 1, ())}
    with torch.set_grad_enabled(wanted):
        found = dict(
            zip(((o.role, o.name) for o in graph.outputs), interpret(graph, given), strict=True)
        )
    outputs = {name: y for (role, name), y in found.items() if role != "update"}
    updates = {name: y.detach() for (role, name), y in found.items() if role == "update"}
    gradients = differentiate(net, outputs, tensors) if wanted else {}
    return Results(outputs, dict(model.named_buffers()) | updates, gradients)


def compiled(net: Net, model: NetModule, wanted: bool = True) -> Results:
    """What the module computes."""
    inputs = net.inputs()
    torch.manual_seed(MASK)
    with torch.set_grad_enabled(wanted):
        found = model(*inputs)
    outputs = {name: y for name, y in found._asdict().items() if y is not None}
    gradients = differentiate(net, outputs, leaves(model, inputs)) if wanted else {}
    return Results(outputs, {k: t.clone() for k, t in model.named_buffers()}, gradients)


def runs(net: Net) -> bool:
    """Not so batch normalisation of one value a channel in training."""
    try:
        reference(net, wanted=False)
    except ValueError:
        return False
    return True


def leaves(model: NetModule, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    return {
        **{op.key: x for op, x in zip(model.graph.inputs, inputs, strict=True)},
        **dict(model.named_parameters()),
    }


def differentiate(
    net: Net, outputs: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> dict[str, Tensor | None]:
    """Gradients for random cotangents of the outputs that the loss depends on."""
    tensors = {key: t for key, t in tensors.items() if t.requires_grad}
    used = [y for name, y in outputs.items() if name in net.used and y.requires_grad]
    if not used or not tensors:
        return dict.fromkeys(tensors)
    found = torch.autograd.grad(used, list(tensors.values()), cotangents(used), allow_unused=True)
    return dict(zip(tensors, found, strict=True))


def cotangents(outputs: list[Tensor]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(MASK)
    return [torch.randn(y.shape, generator=generator, dtype=y.dtype) for y in outputs]


def assert_same(got: Results, expected: Results) -> None:
    """Equal by the table. Where torch has no gradient (None), ours may be zeros: an output that the
    loss does not use counts as used with weight 0. What cancels is judged against the cotangents.
    """
    assert list(got.outputs) == list(expected.outputs)
    for name, y in got.outputs.items():
        assert_close(y, expected.outputs[name], NET, name)
    assert list(got.buffers) == list(expected.buffers)
    for key, value in got.buffers.items():
        assert_close(value, expected.buffers[key], NET, key, floor=0.1)
    one = torch.ones(1, dtype=torch.float64)
    dxs, references = {**got.gradients, "cotangent": one}, {**expected.gradients, "cotangent": one}
    for key in dxs.keys() & references.keys():
        if dxs[key] is None or references[key] is None:
            for dx in (dxs.pop(key), references.pop(key)):
                assert dx is None or not dx.any(), f"{key} has a gradient in one of both only"
    assert_gradients_close(dxs, references)


@given(nets().filter(runs))
@examples(300)
def test_compiled_is_the_reference_forward_backward_and_buffers(net: Net) -> None:
    runtime.KEPT.clear()
    runtime.PROGRAMS.clear()
    note(str(net))
    assert_same(compiled(net, net.module()), reference(net))
    assert_same(compiled(net, net.module(), wanted=False), reference(net, wanted=False))


@given(nets().filter(runs))
@examples(100)
def test_every_pass_can_be_left_out(net: Net) -> None:
    runtime.KEPT.clear()
    runtime.PROGRAMS.clear()
    note(str(net))
    expected, plain = reference(net), reference(net, wanted=False)
    for name in PASSES:
        note(f"without {name}")
        assert_same(compiled(net, net.module(off=(name,))), expected)
        assert_same(compiled(net, net.module(off=(name,)), wanted=False), plain)
    assert_same(compiled(net, net.module(off=tuple(PASSES))), expected)


@given(nets().filter(runs))
@examples(150)
def test_a_call_changes_nothing_shares_nothing_and_repeats(net: Net) -> None:
    """Inputs and parameters keep their bits, results own their memory, three calls agree."""
    runtime.KEPT.clear()
    runtime.PROGRAMS.clear()
    note(str(net))
    for wanted in (True, False):
        model = net.module()
        before = [t.detach().clone() for t in (*net.inputs(), *model.parameters())]
        first: Results | None = None
        for _ in range(3):
            inputs = net.inputs()
            torch.manual_seed(MASK)
            with torch.set_grad_enabled(wanted):
                found = [y for y in model(*inputs) if y is not None]
            results = dict(enumerate(found))
            if wanted and any(y.requires_grad for y in found):
                used = [y for y in found if y.requires_grad]
                dys = cotangents(used)
                tensors = [t for t in (*inputs, *model.parameters()) if t.requires_grad]
                dxs = torch.autograd.grad(used, tensors, dys, allow_unused=True)
                results |= {len(results) + i: dx for i, dx in enumerate(dxs) if dx is not None}
                given = [*inputs, *model.parameters(), *model.buffers(), *dys]
            else:
                given = [*inputs, *model.parameters(), *model.buffers()]
            assert_apart(list(results.values()), given)
            for tensor, kept in zip((*inputs, *model.parameters()), before, strict=True):
                assert_exact(tensor.detach(), kept)
            if first is None:
                first = Results(results, {}, {})
            for i, result in results.items():
                assert_exact(result, first.outputs[i], i)


def assert_apart(results: list[Tensor], given: list[Tensor]) -> None:
    for y in results:
        for x in given:
            assert not overlap(x, y), "a result in the memory of an operand"
    for x, y in combinations(results, 2):
        assert not overlap(x, y), "two results in one memory"


def overlap(x: Tensor, y: Tensor) -> bool:
    same = x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()
    return same and x.numel() > 0 and y.numel() > 0


# What a .net file says, and the same layer of torch.nn for c channels.
LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "relu": lambda c: nn.ReLU(),
    "conv(4, 3)": lambda c: nn.Conv2d(c, 4, 3, padding=1),
    "bn": lambda c: nn.BatchNorm2d(c),
    "conv(6, 3, stride=2, bias=false)": lambda c: nn.Conv2d(c, 6, 3, 2, 1, bias=False),
    "max_pool(3, stride=1, pad=1)": lambda c: nn.MaxPool2d(3, 1, 1),
    "tanh": lambda c: nn.Tanh(),
    "avg_pool(3, stride=1, pad=1)": lambda c: nn.AvgPool2d(3, 1, 1),
    "bn(eps=0.001, momentum=none)": lambda c: nn.BatchNorm2d(c, 1e-3, None),
    "conv(4, 1, groups=2)": lambda c: nn.Conv2d(c, 4, 1, groups=2),
    "sigmoid": lambda c: nn.Sigmoid(),
    "adaptive_avg_pool(5)": lambda c: nn.AdaptiveAvgPool2d(5),
}


@given(st.lists(st.sampled_from(list(LAYERS)), min_size=1, max_size=7), st.booleans())
@examples(60)
def test_a_chain_of_layers_is_torchs(layers: list[str], training: bool) -> None:
    runtime.KEPT.clear()
    runtime.PROGRAMS.clear()
    net = netdsl.loads(f"net Chain(x: [N, 2, 9, 8]) {{ return x -> {' -> '.join(layers)} }}")
    twin, channels = nn.Sequential(), 2
    for layer in layers:
        twin.append(LAYERS[layer](channels))
        channels = getattr(twin[-1], "out_channels", channels)
    net, twin = net.double().train(training), twin.double().train(training)
    twin.load_state_dict(
        dict(zip(twin.state_dict(), (t.clone() for t in net.state_dict().values()), strict=True))
    )
    x = torch.randn(3, 2, 9, 8, dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        y, reference = net(x), twin(x)
        assert_close(y, reference, NET)
        with torch.no_grad():
            net.eval(), twin.eval()
            assert_close(net(x), twin(x), NET)
            net.train(training), twin.train(training)
    names = ["x", *(name for name, _ in net.named_parameters())]
    dy = torch.randn_like(y)
    dxs = torch.autograd.grad(y, [x, *net.parameters()], dy)
    references = torch.autograd.grad(reference, [x, *twin.parameters()], dy)
    assert_gradients_close(
        dict(zip(names, dxs, strict=True)), dict(zip(names, references, strict=True))
    )
    for got, expected in zip(net.buffers(), twin.buffers(), strict=True):
        assert_close(got, expected, NET, floor=0.1)  # the mean of what bn gave is 0 but for noise
