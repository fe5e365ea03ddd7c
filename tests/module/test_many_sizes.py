"""A hundred sizes in bounded memory: what is kept is counted, programs, plans and caches."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch

import netdsl
from netdsl.called import TYPED_KEPT, Piece
from netdsl.executable import SIZES_KEPT
from netdsl.plan import Plan
from netdsl.program import PLANS_KEPT, Program

TEXT = """netdsl 1
extern same(x: [N, T, D]) -> [N, T, D]
net Steps(x: [N, T, 4]) {
  z = x -> linear(4) as first -> same
  recur t in 1..T {
    h[0]: [N, 4] = 0
    h[t] = concat(z[t], h[t-1]) -> linear(4) -> tanh
  }
  return h -> reshape([N, T * 4]) -> reshape([N, T, 4]) -> linear(3)
}
"""
# how many programs are for all sizes, and how many pieces have one for each
PROGRAMS = {"whole": (1, 0), "hooked": (3, 1), "extern": (3, 2)}


@pytest.mark.parametrize("how", PROGRAMS)
def test_a_hundred_sizes_keep_a_bounded_number_of_plans(how: str) -> None:
    text, ops = TEXT, {"same": lambda x: 1.0 * x}
    if how != "extern":
        text, ops = TEXT.replace(" -> same", "").replace(TEXT.splitlines()[1] + "\n", ""), {}
    model = netdsl.loads(text, ops=ops, seed=0)
    if how == "hooked":
        model.first.register_forward_hook(lambda m, xs, y: None)
    before = [counted(kind) for kind in (Program, Plan)]
    for i in range(100):
        model(torch.ones(1 + i % 10, 1 + i // 10, 4)).sum().backward()
    programs, plans = (counted(kind) - n for kind, n in zip((Program, Plan), before, strict=True))
    general, exact = PROGRAMS[how]
    assert programs <= general + exact * TYPED_KEPT
    assert plans <= 2 * general * PLANS_KEPT + exact * 4 * TYPED_KEPT
    assert len(model._executable.seen_sizes) <= SIZES_KEPT
    assert all(len(piece._typed) <= TYPED_KEPT for piece in alive(Piece))


def counted(kind: type) -> int:
    return len(alive(kind))


def alive(kind: type) -> list[Any]:
    gc.collect()
    return [found for found in gc.get_objects() if type(found) is kind]
