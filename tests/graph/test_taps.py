"""Taps: stages asked for by path."""

from __future__ import annotations

import textwrap

import pytest
from graphs import numbers, run
from tolerances import assert_exact

from netdsl.errors import NetError
from netdsl.front import parse_text
from netdsl.taps import stages, tap

BACKBONE = """
    block Unit(x: [N, D]) { return x -> linear(3, bias=false) -> relu }
    net Backbone(x: [N, 3]) {
      return x -> Unit as first -> (Unit -> Unit) as rest[] -> linear(2, bias=false) as head
    }
"""


def test_every_stage_has_a_path_and_a_scope_has_its_last_stages_value() -> None:
    found = {path: value.node for path, value in stages(parse_text(BACKBONE)).items()}
    assert found == {
        "first": 3,
        "first.linear1": 2,
        "first.relu1": 3,
        "rest": 9,
        "rest.0": 6,
        "rest.0.linear1": 5,
        "rest.0.relu1": 6,
        "rest.1": 9,
        "rest.1.linear1": 8,
        "rest.1.relu1": 9,
        "head": 11,
    }


def test_taps_are_the_outputs_in_the_order_asked_and_nothing_else_is_kept() -> None:
    whole = parse_text(BACKBONE)
    tapped = tap(whole, ["rest.0", "first"])
    expected = """
        graph Backbone {
          %0 = input x: [N, 3]
          %1 = parameter first.linear1.weight: [3, 3]
          %2 = linear(%0, %1; d=3, bias=false) -> [N, 3]  # first.linear1
          %3 = relu(%2) -> [N, 3]  # first.relu1
          %4 = parameter rest.0.linear1.weight: [3, 3]
          %5 = linear(%3, %4; d=3, bias=false) -> [N, 3]  # rest.0.linear1
          %6 = relu(%5) -> [N, 3]  # rest.0.relu1
          tap rest.0 = %6
          tap first = %3
        }
    """
    assert tapped.text() == textwrap.dedent(expected).strip()
    given = numbers(whole)
    found = run(tapped, given)
    assert_exact(found["tap", "first"], (given["x"] @ given["first.linear1.weight"].t()).relu())


def test_a_path_that_no_stage_has_is_answered_with_those_that_are_near() -> None:
    with pytest.raises(NetError) as caught:
        tap(parse_text(BACKBONE), ["rest.0.relu"])
    assert str(caught.value) == (
        "error[N115]: `Backbone` has no stage `rest.0.relu`\n"
        "  = help: did you mean `rest.0.relu1` or `rest.1.relu1` or `first.relu1`?"
    )
