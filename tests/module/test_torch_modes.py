"""The modes of torch that a call can meet: dtypes, autocast, inference mode, threads."""

from __future__ import annotations

import threading
import warnings

import pytest
import torch
from pairs import NET_TEXT, compare_steps, pair
from tolerances import NET, assert_close, assert_exact
from torch import Tensor

import netdsl
from netdsl import NetError


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
