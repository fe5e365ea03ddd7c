"""rnn, gru and lstm against torch.nn in float64: every result alone as the loss, every gradient."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact
from torch import Tensor, nn

import netdsl
from netdsl.errors import NetError, Problem
from netdsl.module import NetModule
from netdsl.op import OPS, Type
from netdsl.ops.rnn import GRU, LSTM, RNN, RecurrentLayer
from netdsl.sizes import atom

D = 5
N, T = atom("N"), atom("T")
STEPS = Type((N, T, D))
# The layer, and what torch.nn calls its hyper-parameters.
OPTIONS: list[tuple[RecurrentLayer, dict[str, Any]]] = [
    (RNN(7), {}),
    (RNN(3, 3, act="relu", both=True), {"nonlinearity": "relu"}),
    (RNN(4, 2, bias=False), {}),
    (GRU(7), {}),
    (GRU(1, both=True, bias=False), {}),
    (GRU(3, 3, both=True), {}),
    (LSTM(7), {}),
    (LSTM(3, 2, bias=False), {}),
    (LSTM(4, 3, both=True), {}),
    (LSTM(5, proj=3), {"proj_size": 3}),
    (LSTM(5, 2, both=True, bias=False, proj=1), {"proj_size": 1}),
]
TWINS = {RNN: nn.RNN, GRU: nn.GRU, LSTM: nn.LSTM}


def label(value: object) -> str:
    return value.describe() if isinstance(value, RecurrentLayer) else ""


every_option = pytest.mark.parametrize(("op", "torchs"), OPTIONS, ids=label)


def twin(op: RecurrentLayer, torchs: dict[str, Any]) -> Any:
    named = {"num_layers": op.layers, "bidirectional": op.both, "bias": op.bias, **torchs}
    return TWINS[type(op)](D, op.hidden, batch_first=True, **named).double()


def text(op: RecurrentLayer, start: bool = False) -> str:
    """A net of the layer alone; its start values are inputs."""
    states = {name: t.shape for name, t in zip("hc", op.states(Type((1, 1, D))), strict=False)}
    types = {name: f"[{layers}, N, {n}]" for name, (layers, _, n) in states.items()}
    given = [f"{name}0" for name in types if start]
    inputs = [f"x: [N, T, {D}]", *(f"{name}: {types[name[0]]}" for name in given)]
    results = [f"{name}: {type}" for name, type in types.items()]
    return f"""netdsl 1
net Steps({", ".join(inputs)}) -> (y: [N, T, {op.dirs * states["h"][2]}], {", ".join(results)}) {{
  {", ".join(op.results)} = {op.name}({", ".join(["x", *given])}; {op.arguments()}) as cell
}}"""


def ours(op: RecurrentLayer, module: nn.Module, start: bool = False, **options: Any) -> NetModule:
    """The layer as a net, with the numbers of torch's module."""
    net = netdsl.loads(text(op, start), **options).double()
    net.load_state_dict({f"cell.{name}": value for name, value in module.state_dict().items()})
    return net


def numbers(op: RecurrentLayer, batch: int, steps: int, start: bool) -> list[Tensor]:
    types = [Type((batch, steps, D))]
    types += op.states(types[0]) if start else ()
    return [torch.randn(t.shape, dtype=torch.float64, requires_grad=True) for t in types]


def torchs_results(module: Any, xs: list[Tensor]) -> tuple[Tensor, ...]:
    x, *start = xs
    given = (tuple(start) if isinstance(module, nn.LSTM) else start[0]) if start else None
    y, last = module(x, given)
    return (y, *(last if isinstance(last, tuple) else (last,)))


@pytest.mark.parametrize("start", [False, True], ids=["zeros", "start"])
@pytest.mark.parametrize(("batch", "steps"), [(3, 4), (1, 6), (2, 1)], ids=str)
@every_option
def test_each_result_alone_has_torchs_gradients(
    op: RecurrentLayer, torchs: dict[str, Any], batch: int, steps: int, start: bool
) -> None:
    module = twin(op, torchs)
    net = ours(op, module, start)
    xs = numbers(op, batch, steps, start)
    weights = [net.get_parameter(f"cell.{name}") for name, _ in module.named_parameters()]
    results, expected = net(*xs), torchs_results(module, xs)
    for name, got, reference in zip(results._fields, results, expected, strict=True):
        assert_close(got, reference, NET, name)
    for i, name in enumerate(results._fields):
        dy = torch.randn_like(expected[i])
        found = torch.autograd.grad(results[i], [*xs, *weights], dy, retain_graph=True)
        wanted = torch.autograd.grad(
            expected[i],
            [*xs, *module.parameters()],
            dy,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        for got, reference in zip(found, wanted, strict=True):
            assert_close(got, reference, NET_GRADIENT, f"of {name}:")


@every_option
def test_all_results_together_train_as_torch(op: RecurrentLayer, torchs: dict[str, Any]) -> None:
    module = twin(op, torchs)
    net = ours(op, module)
    x = torch.randn(2, 3, D, dtype=torch.float64)
    for model, results in ((net, net(x)), (module, torchs_results(module, [x]))):
        model.zero_grad()
        torch.stack([r.sin().sum() for r in results]).sum().backward()
    for name, p in module.named_parameters():
        got = net.get_parameter(f"cell.{name}").grad
        assert got is not None
        assert p.grad is not None
        assert_close(got, p.grad, NET_GRADIENT, name)


@every_option
def test_parameters_and_their_numbers_are_torchs(
    op: RecurrentLayer, torchs: dict[str, Any]
) -> None:
    state = twin(op, torchs).state_dict()
    params = op.params(Type((2, 3, D)))
    assert [(p.name, p.shape) for p in params] == [(k, tuple(v.shape)) for k, v in state.items()]
    bound = 1 / math.sqrt(op.hidden)
    assert {(p.init.name, p.init.arguments) for p in params} == {("uniform", (-bound, bound))}
    torch.manual_seed(3)
    expected = TWINS[type(op)](
        D,
        op.hidden,
        num_layers=op.layers,
        bidirectional=op.both,
        bias=op.bias,
        batch_first=True,
        **torchs,
    ).state_dict()
    net = netdsl.loads(text(op), seed=3)
    for name, value in expected.items():
        assert_exact(net.state_dict()[f"cell.{name}"], value, name)


@pytest.mark.parametrize("op", [RNN(3, 3, dropout=0.4), GRU(3, 2, both=True, dropout=0.4)])
def test_dropout_between_layers_does_nothing_in_eval(op: RecurrentLayer) -> None:
    module = twin(op, {}).eval()
    net = ours(op, module).eval()
    x = torch.randn(2, 4, D, dtype=torch.float64)
    for got, reference in zip(net(x), torchs_results(module, [x]), strict=True):
        assert_close(got, reference, NET)


DROPPING = [
    RNN(3, 3, dropout=0.4),
    GRU(3, 2, both=True, dropout=0.5),
    LSTM(4, 3, dropout=0.3, proj=2),
]


@pytest.mark.parametrize("op", DROPPING, ids=label)
def test_dropout_is_the_same_in_backward_and_by_the_reference(op: RecurrentLayer) -> None:
    net = netdsl.loads(text(op, start=True), seed=0).double()
    reference = netdsl.loads(text(op, start=True), seed=0, backend="reference").double()
    steps = []
    for model in (net, reference):
        torch.manual_seed(5)
        xs = numbers(op, 3, 4, start=True)
        results = model(*xs)
        loss = torch.stack([r.sin().sum() for r in results]).sum()
        steps.append((*results, *torch.autograd.grad(loss, [*xs, *model.parameters()])))
    for got, expected in zip(*steps, strict=True):
        assert_close(got, expected, NET_GRADIENT)


@pytest.mark.parametrize("op", DROPPING, ids=label)
def test_dropout_is_behind_the_first_layer_and_new_in_every_call(op: RecurrentLayer) -> None:
    net = netdsl.loads(text(op), seed=0).double()
    x = torch.randn(2, 4, D, dtype=torch.float64)
    torch.manual_seed(1)
    first, second = net(x), net(x)
    torch.manual_seed(1)
    again = net(x)
    evaluated = net.eval()(x)
    layer = slice(0, op.dirs)
    assert_exact(first.h[layer], evaluated.h[layer])
    assert_exact(first.y, again.y)
    assert not torch.equal(first.y, second.y)
    assert not torch.equal(first.y, evaluated.y)


def test_what_is_kept_makes_up_for_what_is_dropped() -> None:
    """A linear recurrence (relu of positive numbers) has the mean of eval over many examples."""
    op = RNN(16, 2, act="relu", dropout=0.5, bias=False)
    net = netdsl.loads(text(op), seed=0).double()
    with torch.no_grad():
        for p in net.parameters():
            p.abs_().mul_(0.2)
    x = torch.ones(4000, 2, D, dtype=torch.float64)
    torch.manual_seed(0)
    mean, exact = net(x).y.mean(0), net.eval()(x).y[0]
    torch.testing.assert_close(mean, exact, rtol=0.05, atol=0)


def test_symbols_are_told_to_become_vectors_first() -> None:
    with pytest.raises(Problem) as caught:
        LSTM(7).infer(Type((N, T), "int"))
    assert caught.value.diagnostic.message == (
        "`lstm` needs numbers of floating type, but its input is int[N, T]"
    )
    assert caught.value.diagnostic.helps == (
        "symbols become vectors first: `x -> embedding(n, d)` or `x -> one_hot(n)`",
    )


def test_one_instance_in_two_places_shares_its_weights() -> None:
    source = f"""netdsl 1
net Twice(a: [N, T, {D}], b: [N, S, {D}]) -> (ya: [N, 6], yb: [N, 6]) {{
  layer enc = gru(6)
  u = a -> enc
  v = b -> enc
  ya = mean(u; axis=1)
  yb = mean(v; axis=1)
}}"""
    net = netdsl.loads(source, seed=0).double()
    assert len(net.state_dict()) == 4
    x = torch.randn(2, 3, D, dtype=torch.float64)
    ya, yb = net(x, x)
    assert_exact(ya, yb)


@pytest.mark.parametrize(
    ("op", "each"),
    [
        (RNN(8), 8 * (D + 8)),
        (GRU(8, both=True), 2 * 24 * (D + 8)),
        (LSTM(8, 2), 32 * (D + 8) + 32 * (8 + 8)),
        (LSTM(8, proj=3), 32 * (D + 3) + 3 * 8),
    ],
    ids=label,
)
def test_every_step_of_every_example_costs_all_matrices(op: RecurrentLayer, each: int) -> None:
    operands = (STEPS, *op.states(STEPS), *(Type(p.shape) for p in op.params(STEPS)))
    assert op.macs(operands, op.infer(STEPS)) == N * T * each


H0 = Type((1, N, 7))


@pytest.mark.parametrize(
    ("make", "code", "message", "label"),
    [
        (
            lambda: RNN(7).infer(Type((2, D))),
            "N201",
            "`rnn` needs a sequence [N, T, D], but its input is [2, 5]",
            "[2, 5] has rank 2",
        ),
        (
            lambda: GRU(7).infer(Type((N, T, D), "int")),
            "N213",
            "`gru` needs numbers of floating type, but its input is int[N, T, 5]",
            "",
        ),
        (
            lambda: LSTM(7).infer(Type((N, 0, D))),
            "N207",
            "`lstm` needs a step at least, but its input is [N, 0, 5]",
            "",
        ),
        (
            lambda: LSTM(7).params(Type((N, T, atom("D")))),
            "N210",
            "the weight of `lstm` would have the symbolic size [28, D]",
            "",
        ),
        (
            lambda: LSTM(7).params(STEPS, H0),
            "N110",
            "`lstm` takes `h0` and `c0` together",
            "",
        ),
        (
            lambda: GRU(7, 2, both=True).params(STEPS, H0),
            "N206",
            "`h0` of `gru` must be [4, N, 7], not [1, N, 7]",
            "2 layers in 2 directions, N examples, 7 numbers",
        ),
        (
            lambda: RNN(7).params(STEPS, Type((N, 7))),
            "N206",
            "`h0` of `rnn` must be [1, N, 7], not [N, 7]",
            "1 layer, N examples, 7 numbers",
        ),
        (
            lambda: RNN(7).params(STEPS, Type((1, N, 7), "int")),
            "N213",
            "`rnn` needs numbers of floating type, but its input is int[1, N, 7]",
            "",
        ),
        (lambda: LSTM(3, proj=3), "N106", "`proj` of `lstm` is less than hidden=3, not 3", ""),
        (
            lambda: GRU(3, dropout=1),
            "N106",
            "`dropout` is a probability, 0 <= dropout < 1, not 1",
            "",
        ),
        (
            lambda: GRU(3, 10**9),
            "N106",
            "`layers` is a whole number from 1 to 1000, not 1000000000",
            "",
        ),
        (lambda: RNN(3, act="gelu"), "N106", "`act` is one of tanh, relu, not gelu", ""),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_what_does_not_fit_is_refused(make: Any, code: str, message: str, label: str) -> None:
    with pytest.raises(Problem) as caught:
        make()
    found = caught.value.diagnostic
    assert (found.code, found.message, found.label) == (code, message, label)


def test_a_batch_of_none_goes_forward_and_backward() -> None:
    for op in (RNN(3), GRU(3, 2), LSTM(3, both=True)):
        net = netdsl.loads(text(op), seed=0)
        x = torch.zeros(0, 4, D, requires_grad=True)
        results = net(x)
        results.y.sum().backward()
        assert results.y.shape == (0, 4, op.dirs * 3)
        assert all(p.grad is not None and not p.grad.any() for p in net.parameters())


def test_a_sequence_of_no_steps_is_refused_at_the_door() -> None:
    net = netdsl.loads(text(LSTM(3)), seed=0)
    with pytest.raises(NetError, match="needs a step at least"):
        net(torch.zeros(2, 0, D))


def test_the_signatures_are_those_of_the_vocabulary() -> None:
    shared = "both=false, dropout=0, bias=true"
    assert OPS["rnn"].signature() == f"rnn(hidden, layers=1, act=tanh, {shared})"
    assert OPS["gru"].signature() == f"gru(hidden, layers=1, {shared})"
    assert OPS["lstm"].signature() == f"lstm(hidden, layers=1, {shared}, proj=0)"
