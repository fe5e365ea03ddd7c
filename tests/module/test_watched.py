"""A watch tells of every write, by whatever way, and does not read what it watches."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netdsl import watched
from netdsl.watched import Watched


def weight() -> nn.Parameter:
    return nn.Parameter(torch.randn(6, 4, 3, 3).to(memory_format=torch.channels_last))


def step(make: Callable[..., torch.optim.Optimizer], p: nn.Parameter, **how: bool) -> None:
    p.grad = torch.ones_like(p)
    make([p], lr=0.1, **how).step()


@torch.no_grad()
def in_place(p: nn.Parameter) -> None:
    p.view(-1, 1)[5].add_(1) if p.is_contiguous() else p[0, 1].add_(1)


def last_number(p: nn.Parameter) -> None:
    p.data[5, 3, 2, 2] = 7


WRITES: dict[str, Callable[[nn.Parameter], object]] = {
    "one number through data": last_number,
    "all through data": lambda p: p.data.mul_(2),
    "under no_grad": in_place,
    "a detached view": lambda p: p.detach()[3:].zero_(),
    "other memory": lambda p: setattr(p, "data", torch.randn_like(p)),
    "the same numbers elsewhere": lambda p: setattr(p, "data", p.data.clone()),
    "its storage": lambda p: p.untyped_storage().fill_(1),
    "NumPy": lambda p: p.detach().numpy().fill(2),
    "DLPack": lambda p: torch.from_dlpack(torch.utils.dlpack.to_dlpack(p.detach())).neg_(),
    "foreach": lambda p: torch._foreach_mul_([p.data], 2),
    "vector_to_parameters": lambda p: nn.utils.vector_to_parameters(torch.randn(p.numel()), [p]),
    "SGD, fused": lambda p: step(torch.optim.SGD, p, fused=True),
    "SGD, foreach": lambda p: step(torch.optim.SGD, p, foreach=True),
    "Adam, fused": lambda p: step(torch.optim.Adam, p, fused=True),
    "AdamW, one by one": lambda p: step(torch.optim.AdamW, p, foreach=False),
    "to shared memory": lambda p: p.share_memory_(),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_seen(name: str) -> None:
    p, other = weight(), weight()
    watch = Watched([p, other])
    assert watch.unchanged([p, other])
    WRITES[name](p)
    assert not watch.unchanged([p, other])


def test_reading_changes_nothing() -> None:
    p = weight()
    watch = Watched([p])
    for read in (
        lambda: p.detach().clone(),
        lambda: repr(p),
        lambda: torch.equal(p, p.detach()),
        lambda: torch.conv2d(torch.randn(1, 4, 5, 5), p.detach()),
        lambda: p.detach().sum(),
    ):
        read()
        assert watch.unchanged([p])


def test_what_may_have_written_counts_as_a_write() -> None:
    """A pointer that leaves torch: what is written there later nobody could see."""
    for lets_out in (lambda p: p.data_ptr(), lambda p: torch.save(p, io.BytesIO())):
        p = weight()
        watch = Watched([p])
        lets_out(p)
        assert not watch.unchanged([p])


def test_another_tensor_with_the_same_memory_is_another() -> None:
    p = weight()
    watch = Watched([p])
    assert not watch.unchanged([p.detach()])


def test_a_numpy_view_from_before_is_seen_writing_and_after_its_end() -> None:
    t = torch.randn(50)
    array = t.numpy()
    watch = Watched([t])
    assert watch.unchanged([t])
    array[49] = 3
    assert not watch.unchanged([t])

    watch = Watched([t])
    array[48] = 4
    del array
    assert not watch.unchanged([t])

    watch = Watched([t])
    t.numpy()[47] = 5
    assert not watch.unchanged([t])


def test_what_nobody_else_holds_any_more_is_no_longer_read(monkeypatch: pytest.MonkeyPatch) -> None:
    t = torch.randn(50)
    array = t.numpy()
    watch = Watched([t])
    del array
    assert watch.unchanged([t])
    monkeypatch.setattr(watched, "_words", lambda t: pytest.fail("read"))
    assert watch.unchanged([t])
    t.mul_(2)
    assert not watch.unchanged([t])


def foreign() -> list[Tensor]:
    return [torch.from_numpy(np.ones((3, 3), "float32")), torch.randn(3, 3).share_memory_()]


@pytest.mark.parametrize("t", foreign(), ids=["NumPy's", "shared"])
def test_memory_that_is_not_torchs_is_compared(t: Tensor) -> None:
    watch = Watched([t])
    assert watch.unchanged([t])
    t[2, 2] += 1
    assert not watch.unchanged([t])


def test_two_tensors_of_one_memory_and_results_in_it_are_watched_without_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = torch.randn(4, 6)
    first, second, result = base[:2].detach(), base[2:].detach(), base.view(24).detach()
    del base
    monkeypatch.setattr(watched, "_words", lambda t: pytest.fail("read"))
    watch = Watched([first, second], [result])
    assert watch.unchanged([first, second])
    result[23] = 1
    assert not watch.unchanged([first, second])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64, torch.bool])
def test_other_dtypes_and_no_numbers(dtype: torch.dtype) -> None:
    for t in (torch.ones(3, dtype=dtype), torch.ones((), dtype=dtype), torch.ones(0, dtype=dtype)):
        alias = t.view(t.shape)
        watch = Watched([t])  # compared
        assert watch.unchanged([t])
        del alias
        assert watch.unchanged([t])  # cloned
        t.zero_()
        assert not watch.unchanged([t]) or t.numel() == 0


def test_tensors_made_in_inference_mode() -> None:
    with torch.inference_mode():
        t = torch.randn(5)
        watch = Watched([t])
        assert watch.unchanged([t])
        t[3] = 9
        assert not watch.unchanged([t])
