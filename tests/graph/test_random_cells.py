"""Random cells are loops of torch: every output alone, every gradient, at 1e-9."""

from __future__ import annotations

import torch
from examples import examples
from hypothesis import given, note
from hypothesis import strategies as st
from random_cells import RandomNet, random_nets
from recurrences import assert_is_loop


@given(random_nets(), st.integers(1, 5), st.integers(1, 3))
@examples(40)
def test_a_random_cell_is_its_loop(net: RandomNet, steps: int, batch: int) -> None:
    note(net.text())
    torch.manual_seed(0)
    x, s = torch.randn(batch, steps, 3).double(), torch.randn(batch, 3).double()
    assert_is_loop(net.text(), net.loop, (x, s), backends=("auto",))
