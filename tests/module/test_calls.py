"""Calling a net: any size that its signature allows, and what is said where an input misfits."""

from __future__ import annotations

import pytest
import torch
from pairs import NET_TEXT, compare_steps, pair
from tolerances import NET, assert_close, assert_exact, assert_gradients_close
from torch import Tensor

import netdsl
from netdsl import NetError
from netdsl.executable import SIZES_KEPT
from netdsl.program import PLANS_KEPT

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
    (program,) = model._executable.programs.values()
    assert len(program._plans) <= PLANS_KEPT + 1
    assert len(model._executable.seen_sizes) <= SIZES_KEPT


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


SMALL = """\
 --> <text>:2:11
  |
2 | net Small(x: [N, 3, H, W]) {
  |           ^^^^^^^^^^^^^^^
"""


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            torch.zeros(3, 8, 8),
            "error[N202]: input `x` does not fit the signature: rank 4 expected, rank 3 given\n"
            f"{SMALL}  = note: expected [N, 3, H, W]\n"
            "  = note: got float32[3, 8, 8]\n"
            "  = help: the batch axis is missing: `x.unsqueeze(0)`",
        ),
        (
            torch.zeros(2, 4, 8, 8),
            "error[N202]: input `x` does not fit the signature: axis 1: 3 expected, 4 given\n"
            f"{SMALL}  = note: expected [N, 3, H, W]\n"
            "  = note: got float32[2, 4, 8, 8]",
        ),
        (
            torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
            "error[N202]: input `x` does not fit the signature: float32 expected, uint8 given\n"
            f"{SMALL}  = note: expected [N, 3, H, W]\n"
            "  = note: got uint8[2, 3, 8, 8]\n"
            "  = help: `x.float()`",
        ),
        (
            torch.zeros(2, 3, 8, 8, dtype=torch.float64),
            "error[N202]: input `x` does not fit the signature: float32 expected, float64 given\n"
            f"{SMALL}  = note: expected [N, 3, H, W]\n"
            "  = note: got float64[2, 3, 8, 8]\n"
            "  = help: `x.float()`",
        ),
        (
            torch.zeros(2, 3, 8, 8, device="meta"),
            "error[N202]: input `x` does not fit the signature: a tensor on cpu expected, one on "
            "meta given\n"
            f"{SMALL}  = note: expected [N, 3, H, W]\n"
            "  = note: got float32[2, 3, 8, 8]\n"
            '  = help: `x.to("cpu")`',
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


def halves(declared: str) -> str:
    """The place of an input in the text of `Halves`."""
    line = HALVES.splitlines()[1]
    before = line.index(declared)
    return f" --> <text>:2:{before + 1}\n  |\n2 | {line}\n  | {' ' * before}{'^' * len(declared)}\n"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            (torch.zeros(2, 3, 7, 7), torch.zeros(2, 7) > 0, torch.zeros(2).long()),
            "error[N202]: input `x` does not fit the signature: axis 2: 7 is not of the form 2*h\n"
            f"{halves('x: [N, 3, 2*h, 2*h]')}  = note: expected [N, 3, 2*h, 2*h]\n"
            "  = note: got float32[2, 3, 7, 7]\n"
            "  = help: another size: `torch.nn.functional.interpolate(x, (8, 8))`",
        ),
        (
            (torch.zeros(2, 3, 8, 6), torch.zeros(2, 8) > 0, torch.zeros(2).long()),
            "error[N202]: input `x` does not fit the signature: axis 3: 2*h (= 8) expected, 6 "
            "given\n"
            f"{halves('x: [N, 3, 2*h, 2*h]')}  = note: expected [N, 3, 2*h, 2*h]\n"
            "  = note: got float32[2, 3, 8, 6]",
        ),
        (
            (torch.zeros(2, 3, 8, 8), torch.zeros(2, 8), torch.zeros(2).long()),
            "error[N202]: input `m` does not fit the signature: bool expected, float32 given\n"
            f"{halves('m: bool[N, 2*h]')}  = note: expected bool[N, 2*h]\n"
            "  = note: got float32[2, 8]\n"
            "  = help: `m.bool()`",
        ),
        (
            (torch.zeros(2, 3, 8, 8), torch.zeros(2, 8) > 0, torch.zeros(3).long()),
            "error[N202]: input `i` does not fit the signature: axis 0: N (= 2) expected, 3 given\n"
            f"{halves('i: int[N]')}  = note: expected int[N]\n"
            "  = note: got int64[3]\n"
            "  = note: bound by the inputs before it: N = 2",
        ),
        (
            (torch.zeros(2, 3, 8, 8).int(), torch.zeros(2, 8) > 0, torch.zeros(2).long()),
            "error[N202]: input `x` does not fit the signature: a float expected, int32 given\n"
            f"{halves('x: [N, 3, 2*h, 2*h]')}  = note: expected [N, 3, 2*h, 2*h]\n"
            "  = note: got int32[2, 3, 8, 8]\n"
            "  = help: `x.float()`",
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


def test_inputs_may_come_by_name_in_any_order() -> None:
    net = netdsl.loads("net Weighed(x: [N, 4], w: [N, 4]) { return (x * w) -> linear(1) }", seed=0)
    x, w = torch.randn(3, 4), torch.randn(3, 4)
    expected = net(x, w)
    assert_exact(net(w=w, x=x), expected)
    assert_exact(net(x, w=w), expected)


@pytest.mark.parametrize(
    ("inputs", "named", "message"),
    [
        ((), {"z": torch.zeros(1)}, "input `z` is none of x"),
        ((torch.zeros(1),), {"x": torch.zeros(1)}, "input `x` was given twice"),
        ((), {"x": None}, "input `x` is a NoneType, not a tensor"),
    ],
    ids=["unknown", "twice", "none"],
)
def test_a_name_that_no_input_is_left_for_is_a_type_error(
    inputs: tuple[Tensor, ...], named: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(TypeError) as raised:
        netdsl.loads(NET_TEXT)(*inputs, **named)
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


@pytest.mark.parametrize(
    ("signature", "shape", "help"),
    [
        ("[N, 3, H, W]", (2, 8, 9, 3), "images are [N, C, H, W] here: `x.permute(0, 3, 1, 2)`"),
        ("[N, T, 5]", (2, 5, 7), "`x.permute(0, 2, 1)`"),
        ("[N, 1, 8, 8]", (2, 8, 8), "the axis of channels is missing: `x.unsqueeze(1)`"),
        ("[N, 1, 8, 8]", (8, 8), "the axes of batch and channels are missing: `x[None, None]`"),
        ("[N, 8]", (2, 8, 1), "`x.squeeze(2)`"),
        ("[N, 64]", (2, 1, 8, 8), "`x.flatten(1)`"),
        ("[N, 3, H, W]", (2, 1, 8, 9), "one grey channel as 3: `x.expand(-1, 3, -1, -1)`"),
        (
            "[N, 1, H, W]",
            (2, 3, 8, 9),
            "the channels as one grey channel: `x.mean(1, keepdim=True)`",
        ),
        (
            "[N, 1, 32, 32]",
            (2, 1, 28, 28),
            "zeros around it: `torch.nn.functional.pad(x, (2, 2, 2, 2))`",
        ),
    ],
)
def test_an_input_that_does_not_fit_is_shown_how_it_would(
    signature: str, shape: tuple[int, ...], help: str
) -> None:
    model = netdsl.loads(f"net A(x: {signature}) {{ return x -> relu }}")
    x = torch.zeros(shape)
    with pytest.raises(NetError) as raised:
        model(x)
    (found,) = raised.value.diagnostics
    assert found.helps == (help,)
    call = help.split("`")[1]
    model(eval(call, {"x": x, "torch": torch}))


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_a_window_too_large_for_an_input_is_shown_in_the_text(backend: str) -> None:
    text = (
        "net A(x: [N, 1, H, W]) {\n  return x -> (max_pool(2) -> conv(1, 5, pad=0)) as stem[]\n}\n"
    )
    model = netdsl.loads(text, backend=backend)
    with pytest.raises(NetError) as raised:
        model(torch.zeros(1, 1, 6, 8))
    assert str(raised.value) == (
        """\
error[N207]: the window of `conv` is larger than its input
 --> <text>:2:31
  |
2 |   return x -> (max_pool(2) -> conv(1, 5, pad=0)) as stem[]
  |                               ^^^^^^^^^^^^^^^^^ H: window 5, input 3
  = note: in the stage `stem.1`
  = help: a smaller `k`, or an input of at least 5 along H"""
    )
