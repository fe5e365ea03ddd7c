"""Calling a net: any size that the signature allows, what is said where an input does not fit it,
and the modes of torch that a call can meet."""

from __future__ import annotations

import threading
import warnings

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact, assert_gradients_close
from torch import Tensor

import netdsl
from netdsl import NetError
from netdsl.module import SIZES_KEPT, NetModule
from netdsl.runtime import PLANS_KEPT

NET_TEXT = """netdsl 1
net Small(x: [N, 3, H, W]) {
  return x -> conv(8, 3) -> bn -> relu -> max_pool(2) -> conv(6, 3) -> bn -> relu
           -> global_avg_pool -> linear(5)
}
"""

HALVES = """netdsl 1
net Halves(x: [N, 3, 2*h, 2*h], m: bool[N, 2*h], i: int[N]) { return x -> max_pool(2) }
"""


def test_new_sizes_after_the_first_call_give_the_references_numbers() -> None:
    model, twin = pair()
    for shape in [(2, 3, 9, 7), (2, 3, 4, 11), (5, 3, 9, 7), (1, 3, 4, 2), (2, 3, 9, 7)]:
        x = torch.randn(shape, dtype=torch.float64)
        compare_steps(model.train(), twin.train(), x)
        with torch.no_grad():
            assert_close(model.eval()(x), twin.eval()(x), NET)


def test_a_hundred_sizes_keep_a_bounded_number_of_plans() -> None:
    model, twin = pair()
    model.eval()
    twin.eval()
    with torch.no_grad():
        for n in range(100):
            x = torch.randn(1 + n % 3, 3, 2 + n, 5, dtype=torch.float64)
            assert_close(model(x), twin(x), NET)
    (program,) = model._programs.values()
    assert len(program._plans) <= PLANS_KEPT + 1
    assert len(model._seen_sizes) <= SIZES_KEPT


def test_a_batch_of_none_goes_through_with_zero_gradients() -> None:
    model, _ = pair()
    for training in (True, False):
        model.train(training)
        x = torch.zeros(0, 3, 8, 8, dtype=torch.float64, requires_grad=True)
        y = model(x)
        assert y.shape == (0, 5)
        y.sum().backward()
        assert x.grad.shape == x.shape
        assert all(not p.grad.any() for p in model.parameters())
        with torch.no_grad():
            assert model(x).shape == (0, 5)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_one_value_a_channel_in_training_is_torchs_error(backend: str) -> None:
    model = netdsl.loads("netdsl 1\nnet A(x: [N, 4]) { return x -> bn }\n", backend=backend)
    with pytest.raises(ValueError) as raised:
        model(torch.zeros(1, 4))
    assert str(raised.value) == (
        "Expected more than 1 value per channel when training, got input size torch.Size([1, 4])"
    )
    assert model.eval()(torch.zeros(1, 4)).shape == (1, 4)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            torch.zeros(3, 8, 8),
            "error[N202]: input `x` does not fit the signature: rank 4 expected, rank 3 given\n"
            "  = note: expected [N, 3, H, W]\n"
            "  = note: got float32[3, 8, 8]",
        ),
        (
            torch.zeros(2, 4, 8, 8),
            "error[N202]: input `x` does not fit the signature: axis 1: 3 expected, 4 given\n"
            "  = note: expected [N, 3, H, W]\n"
            "  = note: got float32[2, 4, 8, 8]",
        ),
        (
            torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
            "error[N202]: input `x` does not fit the signature: float32 expected, uint8 given\n"
            "  = note: expected [N, 3, H, W]\n"
            "  = note: got uint8[2, 3, 8, 8]",
        ),
        (
            torch.zeros(2, 3, 8, 8, dtype=torch.float64),
            "error[N202]: input `x` does not fit the signature: float32 expected, float64 given\n"
            "  = note: expected [N, 3, H, W]\n"
            "  = note: got float64[2, 3, 8, 8]",
        ),
        (
            torch.zeros(2, 3, 8, 8, device="meta"),
            "error[N202]: input `x` does not fit the signature: a tensor on cpu expected, one on "
            "meta given\n"
            "  = note: expected [N, 3, H, W]\n"
            "  = note: got float32[2, 3, 8, 8]",
        ),
    ],
    ids=["rank", "channels", "bytes", "double", "device"],
)
def test_an_input_that_does_not_fit_is_named_with_expected_and_got(
    x: Tensor, message: str, backend: str
) -> None:
    model = netdsl.loads(NET_TEXT, backend=backend)
    model(torch.zeros(2, 3, 8, 8))
    with pytest.raises(NetError) as raised:
        model(x)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            (torch.zeros(2, 3, 7, 7), torch.zeros(2, 7) > 0, torch.zeros(2).long()),
            "error[N202]: input `x` does not fit the signature: axis 2: 7 is not of the form 2*h\n"
            "  = note: expected [N, 3, 2*h, 2*h]\n"
            "  = note: got float32[2, 3, 7, 7]",
        ),
        (
            (torch.zeros(2, 3, 8, 6), torch.zeros(2, 8) > 0, torch.zeros(2).long()),
            "error[N202]: input `x` does not fit the signature: axis 3: 2*h (= 8) expected, 6 "
            "given\n"
            "  = note: expected [N, 3, 2*h, 2*h]\n"
            "  = note: got float32[2, 3, 8, 6]",
        ),
        (
            (torch.zeros(2, 3, 8, 8), torch.zeros(2, 8), torch.zeros(2).long()),
            "error[N202]: input `m` does not fit the signature: bool expected, float32 given\n"
            "  = note: expected bool[N, 2*h]\n"
            "  = note: got float32[2, 8]",
        ),
        (
            (torch.zeros(2, 3, 8, 8), torch.zeros(2, 8) > 0, torch.zeros(3).long()),
            "error[N202]: input `i` does not fit the signature: axis 0: N (= 2) expected, 3 given\n"
            "  = note: expected int[N]\n"
            "  = note: got int64[3]",
        ),
        (
            (torch.zeros(2, 3, 8, 8).int(), torch.zeros(2, 8) > 0, torch.zeros(2).long()),
            "error[N202]: input `x` does not fit the signature: a float expected, int32 given\n"
            "  = note: expected [N, 3, 2*h, 2*h]\n"
            "  = note: got int32[2, 3, 8, 8]",
        ),
    ],
    ids=["odd", "oblong", "bool", "batch", "int"],
)
def test_sizes_that_disagree_are_named_with_what_they_are(
    inputs: tuple[Tensor, ...], message: str
) -> None:
    with pytest.raises(NetError) as raised:
        netdsl.loads(HALVES)(*inputs)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), "the net takes (x: [N, 3, H, W]), but 0 tensors were given"),
        ((torch.zeros(1), 3), "the net takes (x: [N, 3, H, W]), but 2 tensors were given"),
        (([[0.0]],), "input `x` is a list, not a tensor"),
        ((torch.zeros(2, 3, 8, 8).numpy(),), "input `x` is a ndarray, not a tensor"),
    ],
    ids=["none", "two", "list", "numpy"],
)
def test_anything_but_the_tensors_of_the_signature_is_a_type_error(
    inputs: tuple[object, ...], message: str
) -> None:
    with pytest.raises(TypeError) as raised:
        netdsl.loads(NET_TEXT)(*inputs)
    assert str(raised.value) == message


def test_strided_expanded_and_misaligned_inputs_are_as_their_copies() -> None:
    model, _ = pair()
    base = torch.randn(4, 9, 11, 8, dtype=torch.float64)
    views = [
        base.permute(0, 3, 1, 2)[:, 1:7:2],
        base[:, ::3, 1:, 1:],
        base[:1, :3].expand(5, 3, 11, 8),
        base.flatten()[1 : 1 + 2 * 3 * 5 * 5].view(2, 3, 5, 5),
    ]
    for x in views:
        gradients = []
        for given in (x, x.clone(memory_format=torch.contiguous_format)):
            leaf = given.detach().requires_grad_()
            model.zero_grad()
            model(leaf).square().sum().backward()
            gradients.append({"x": leaf.grad, **{n: p.grad for n, p in model.named_parameters()}})
        assert_gradients_close(gradients[0], gradients[1])


def test_an_expanded_gradient_is_as_its_copy() -> None:
    model, _ = pair()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    model(x).sum().backward()  # its gradient is one number, expanded
    first = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    model(x).backward(torch.ones(2, 5, dtype=torch.float64))
    assert_gradients_close(first, {n: p.grad for n, p in model.named_parameters()})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_net_computes_in_the_dtype_it_is_moved_to(dtype: torch.dtype) -> None:
    model, twin = pair()
    x = torch.randn(2, 3, 8, 8).to(dtype)
    model.to(dtype).eval()
    twin.load_state_dict(model.state_dict())
    y = model(x)
    assert y.dtype == dtype
    assert_close(y, twin.eval()(x.double()), NET)


def test_inference_mode_gives_the_numbers_of_no_grad() -> None:
    model, twin = pair()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    for training in (True, False):
        model.train(training)
        twin.train(training)
        with torch.inference_mode():
            y = model(x)
            assert y.is_inference()
            assert_close(y, twin(x), NET)
    compare_steps(model.train(), twin.train(), x)


def test_a_second_derivative_raises_and_the_reference_has_it() -> None:
    model, twin = pair()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    with pytest.raises(RuntimeError) as raised:
        torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
    assert str(raised.value) == (
        "a compiled net's gradient has no gradient of its own (create_graph=True): use "
        'netdsl.load(…, backend="reference") for second derivatives'
    )
    (first,) = torch.autograd.grad(twin(x).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert bool(second.any())


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_under_autocast_the_net_runs_as_the_reference_does(training: bool) -> None:
    model, twin = pair()
    x = torch.randn(2, 3, 8, 8)
    gradients, outputs = [], []
    for net in (model.float().train(training), twin.float().train(training)):
        with torch.autocast("cpu", torch.bfloat16):
            y = net(x)
        y.float().square().sum().backward()
        outputs.append(y)
        gradients.append({n: p.grad for n, p in net.named_parameters()})
    assert outputs[0].dtype == torch.bfloat16
    assert_exact(outputs[0], outputs[1])
    for name, gradient in gradients[1].items():
        assert_exact(gradients[0][name], gradient, name)


def test_under_autocast_an_input_may_come_in_low_precision() -> None:
    model = netdsl.loads(NET_TEXT)
    x = torch.randn(2, 3, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype == torch.bfloat16
    with pytest.raises(NetError, match="float32 expected, bfloat16 given"):
        model(x)


def test_backward_under_autocast_is_as_exact_as_its_forward() -> None:
    model, _ = pair()
    x = torch.randn(2, 3, 8, 8)
    model.float()
    model(x).square().sum().backward()
    expected = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    y = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        y.square().sum().backward()
    for name, p in model.named_parameters():
        assert_exact(p.grad, expected[name], name)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_our_plans_have_the_numbers_of_the_reference(training: bool) -> None:
    model, twin = pair()
    compare_steps(
        model.train(training), twin.train(training), torch.randn(3, 3, 9, 7, dtype=torch.float64)
    )


def test_three_runs_give_the_same_bits() -> None:
    model, _ = pair()
    x = torch.randn(3, 3, 9, 7, dtype=torch.float64)
    runs = []
    for _ in range(3):
        model.zero_grad()
        y = model(x)
        y.square().sum().backward()
        runs.append([y.detach(), *[p.grad.clone() for p in model.parameters()]])
    for again in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(again, runs[0], strict=True))


def test_threads_share_a_net() -> None:
    model, twin = pair()
    model.eval()
    xs = [torch.randn(1 + i % 3, 3, 5 + i, 6, dtype=torch.float64) for i in range(8)]
    found: dict[int, Tensor] = {}

    def call(i: int) -> None:
        with torch.no_grad():
            for _ in range(5):
                found[i] = model(xs[i])

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(xs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    twin.eval()
    for i, x in enumerate(xs):
        assert_close(found[i], twin(x), NET)


def test_torchs_warnings_stay_silent_in_a_training_step() -> None:
    model, _ = pair()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(torch.randn(2, 3, 8, 8, dtype=torch.float64)).sum().backward()


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError) as raised:
        netdsl.loads(NET_TEXT, backend="triton")
    assert str(raised.value) == "backend is auto or reference, not 'triton'"


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
