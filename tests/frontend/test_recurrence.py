"""`recur`: what its equations become, and what is said where they do not go together."""

from __future__ import annotations

import pytest
from nets import body, body_message, graph, keys, message, shape, summary

from netdsl.front import check_sources
from netdsl.ir import Graph
from netdsl.loop import At, Carried
from netdsl.recur import Recur
from netdsl.sources import given

RNN = "recur t in 1..T {\n  h[0]: [N, 4] = 0\n  h[t] = tanh(concat(x[t], h[t-1]) -> linear(4))\n}\n"


def seq(text: str, x: str = "[N, T, 3]") -> Graph:
    return body(text, x)


def loops(g: Graph) -> list[Recur]:
    return [node.op for _, node in g.items if isinstance(node.op, Recur)]


def steps(g: Graph) -> list[list[str]]:
    """The ops of every loop's body."""
    return [
        [node.op.name for _, node in loop.body.items if node.op.name not in ("input", "constant")]
        for loop in loops(g)
    ]


def test_a_state_becomes_a_sequence() -> None:
    g = seq(RNN + "return h")
    assert (shape(g), keys(g)) == ("[N, T, 4]", ["linear1.weight", "linear1.bias"])
    assert steps(g) == [["concat", "linear", "tanh"]]


def test_the_last_and_the_first_step_are_taken_behind_the_recurrence() -> None:
    g = seq(RNN + "return concat(h[T], h[1])")
    assert shape(g) == "[N, 8]"


def test_a_step_that_closes_no_cycle_is_a_loop_of_its_own() -> None:
    g = seq(RNN.replace("}\n", "  y[t] = h[t] -> linear(2)\n}\n") + "return y")
    assert steps(g) == [["concat", "linear", "tanh"], ["linear"]]
    assert shape(g) == "[N, T, 2]"


def test_states_that_need_each_other_share_a_loop() -> None:
    g = seq(
        """\
        recur t in 1..T {
          a[0]: [N, 3] = 0
          b[0]: [N, 3] = 1
          a[t] = x[t] + b[t-1]
          b[t] = a[t] * a[t-1]
        }
        return b
        """
    )
    assert [len(loop.body.outputs) for loop in loops(g)] == [2]


def test_each_direction_is_a_loop() -> None:
    g = seq(
        """\
        recur t in 1..T {
          f[0]: [N, 3] = 0
          b[T+1]: [N, 3] = 0
          f[t] = x[t] + f[t-1]
          b[t] = x[t] * b[t+1]
        }
        return f + b
        """
    )
    assert [loop.backward for loop in loops(g)] == [False, True]


def test_what_two_loops_need_is_computed_in_the_first() -> None:
    g = seq(
        """\
        recur t in 1..T {
          h[0]: [N, 3] = 0
          z = dropout(x[t])
          h[t] = z + h[t-1]
          y[t] = z * h[t]
        }
        return y
        """
    )
    assert steps(g) == [["dropout", "add"], ["mul"]]


def test_what_depends_on_no_step_is_computed_once() -> None:
    g = seq(
        """\
        w = x -> linear(4) -> mean(axis=1)
        recur t in 1..T {
          h[0]: [N, 4] = 0
          h[t] = tanh(h[t-1]) + sigmoid(w)
        }
        return h[T]
        """
    )
    assert steps(g) == [["tanh", "add"]]
    assert [n.op.name for _, n in g.items].count("sigmoid") == 1


def test_a_lag_of_two_has_two_start_values() -> None:
    g = seq(
        """\
        recur t in 1..T {
          h[0]: [N, 3] = 0
          h[-1]: [N, 3] = 1
          h[t] = h[t-2] + x[t] * h[t-1]
        }
        return h
        """
    )
    (loop,) = loops(g)
    assert [feed.lag for feed in loop.feeds if isinstance(feed, Carried)] == [1, 2]
    assert len(loop.starts[0]) == 2


def test_a_later_range_reads_earlier_steps_of_a_sequence() -> None:
    g = seq("recur t in 3..T { y[t] = x[t] - x[t-2] }\nreturn y")
    assert shape(g) == "[N, T - 2, 3]"
    assert [feed.shift for feed in loops(g)[0].feeds if isinstance(feed, At)] == [2, 0]


def test_a_range_of_numbers_iterates_with_tied_weights() -> None:
    g = body(
        """\
        recur k in 1..8 {
          h[0] = x
          h[k] = h[k-1] -> conv(3, 3) -> relu
        }
        return h[8]
        """
    )
    assert (shape(g), len(keys(g))) == ("[N, 3, H, W]", 2)
    assert loops(g)[0].steps == 8


def test_recurrences_stand_in_each_other() -> None:
    g = seq(
        """\
        recur t in 1..T {
          h[0]: [N, 3] = 0
          recur k in 1..4 {
            r[0] = h[t-1]
            r[k] = tanh(r[k-1] + x[t])
          }
          h[t] = r[4]
        }
        return h
        """
    )
    (outer,) = loops(g)
    assert [loop.steps for loop in loops(outer.body)] == [4]


def test_integers_are_read_step_by_step() -> None:
    g = body("recur t in 1..T { y[t] = where(x[t], 1.0, 2.0) + 0 }\nreturn y", "bool[N, T]")
    assert shape(g) == "[N, T]"


def test_an_equation_is_read_before_it_is_written() -> None:
    text = """\
    recur t in 1..T {
      h[0]: [N, 3] = 0
      c[0]: [N, 3] = 0
      h[t] = tanh(c[t])
      c[t] = c[t-1] + h[t-1] * x[t]
    }
    return h"""
    assert body_message(text, "[N, T, 3]") == (
        """\
error[N301]: `c[t]` is read before its equation
 --> t.net:5:15
  |
5 |   h[t] = tanh(c[t])
  |               ^^^^ an instantaneous loop, if it is not only a matter of order
 ::: t.net:6:3
  |
6 |   c[t] = c[t-1] + h[t-1] * x[t]
  |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ its equation
  = help: use `c[t-1]`, the step before, or move the equation up"""
    )


def test_both_directions_on_one_cycle_cannot_start() -> None:
    text = """\
    recur t in 1..T {
      a[0]: [N, 3] = 0
      b[T+1]: [N, 3] = 0
      a[t] = x[t] + a[t-1]*b[t+1]
      b[t] = x[t] * a[t]
    }
    return a"""
    assert body_message(text, "[N, T, 3]") == (
        """\
error[N306]: `a[t-1]` and `b[t+1]` need each other: neither direction can start
 --> t.net:5:17
  |
5 |   a[t] = x[t] + a[t-1]*b[t+1]
  |                 ^^^^^^ needs the steps before
 ::: t.net:5:24
  |
5 |   a[t] = x[t] + a[t-1]*b[t+1]
  |                        ^^^^^^ needs the steps behind
  = help: two states, one for each direction, can be joined behind them: `concat(f, b)`"""
    )


def test_a_state_keeps_its_shape() -> None:
    text = """\
    recur t in 1..T {
      h[0]: [N, 4] = 0
      h[t] = concat(x[t], h[t-1]) -> linear(5)
    }
    return h"""
    assert body_message(text, "[N, T, 3]") == (
        """\
error[N303]: `h` is [N, 4] at its start and [N, 5] here
 --> t.net:4:10
  |
4 |   h[t] = concat(x[t], h[t-1]) -> linear(5)
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ axis 1: 4 and 5
 ::: t.net:3:3
  |
3 |   h[0]: [N, 4] = 0
  |   ^^^^^^^^^^^^^^^^ [N, 4]
  = help: a state keeps its shape from step to step"""
    )


def test_a_missing_start_value_is_asked_for() -> None:
    assert body_message("recur t in 1..T { h[t] = x[t] + h[t-1] }\nreturn h", "[N, T, 3]") == (
        """\
error[N304]: `h[t-1]` needs a start value at the first step
 --> t.net:2:33
  |
2 | recur t in 1..T { h[t] = x[t] + h[t-1] }
  |                                 ^^^^^^ `h[0]` is missing
  = help: write it first: `h[0]: [N, d] = 0`, of the shape that a step has"""
    )


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        ("h[t] = x[t-1]", "N305 `x[t-1]` reads before the first step of `x`"),
        ("h[t] = x[t+1]", "N305 `x[t+1]` reads up to step T + 1, but [N, T, 3] has T steps"),
        ("h[t] = x[2]", "N302 a tensor has indices inside `recur` only"),
        ("h[t] = x[t*2]", "N302 `t` is a step of `recur`, no number"),
        ("h[t+1] = x[t]", "N302 an equation defines `h[t]`, not `h[t+1]`"),
        ("h[1] = x[t]", "N302 `h[1]` is no start value and no step"),
        ("h[0] = 0", "N304 the start value `h[0] = 0` needs its type"),
        ("h[0]: [N, 3] = 0", "N308 `h` has a start value but no equation"),
        ("h[0]: [N, 3] = 0  h[0]: [N, 3] = 1  h[t] = x[t]", "N120 `h[0]` is defined twice"),
        ("h[t] = x[t]  h[t] = x[t]", "N120 `h` has two equations"),
        ("h[t] = h + x[t]", "N302 `h` has a value at each step, and this reads it whole"),
        ("h[t] = x[t] -> bn", "N307 `bn` inside `recur` would mix the statistics of all steps"),
        (
            "h[t] = x[t]  return h",
            "N302 `return` stands behind `recur`, where the sequences are whole",
        ),
        ("h[t] = 3", "N113 a step is a tensor, not the number 3"),
        ("h[t] = x[t] + t", "N302 `t` is a step of `recur`, no number"),
        ("h[t]: [N, 4] = x[t]", "N303 `h` is [N, 4] at each step, but this is [N, 3]"),
    ],
)
def test_each_mistake_in_a_recurrence_is_one_error(inside: str, found: str) -> None:
    assert summary(f"recur t in 1..T {{ {inside} }}\nreturn h[T]", "[N, T, 3]") == [found]


COUNTS = "`recur` counts from a number up to a number, size or lengths"


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("1..0", "N305 `1..0` has 0 steps, and a recurrence has at least 1"),
        ("1..2.5", f"N305 {COUNTS}, not the number 2.5"),
        ("T..1", f"N305 {COUNTS}, not the size T"),
        ("1..3000000000", "N305 `1..3000000000` has more than 2^31 - 1 steps"),
    ],
)
def test_a_range_counts_up(head: str, found: str) -> None:
    text = f"recur t in {head} {{ h[0]: [N, 3] = 0  h[t] = h[t-1] }}\nreturn h"
    assert summary(text, "[N, T, 3]") == [found]


def test_a_step_in_the_middle_is_no_index_behind_a_recurrence() -> None:
    assert summary(RNN + "return h[2]", "[N, T, 3]") == [
        "N302 `h[2]`: behind `recur` a sequence has its first step, `[1]`, and its last, `[T]`"
    ]


def test_lengths_of_two_sequences_must_be_one_name() -> None:
    text = (
        "net A(x: [N, T, 3], y: [N, S, 3]) {\n"
        "  recur t in 1..T { h[t] = x[t] + y[t] }\n  return h\n}"
    )
    assert message(text).splitlines()[0] == (
        "error[N305]: `y[t]` reads up to step T, but [N, S, 3] has S steps"
    )


def test_an_error_inside_hides_what_follows_from_it() -> None:
    text = "recur t in 1..T { h[0]: [N, 3] = 0  h[t] = h[t-1] -> nothing }\nreturn h -> linear(2)"
    assert summary(text, "[N, T, 3]") == ["N101 there is no layer `nothing`"]


def test_a_layer_outside_is_shared_by_all_steps() -> None:
    g = graph(
        """\
        net A(x: [N, T, 3]) {
          layer cell = linear(3)
          recur t in 1..T {
            h[0]: [N, 3] = 0
            h[t] = cell(h[t-1]) + x[t]
          }
          return h[T] -> cell
        }
        """
    )
    assert keys(g) == ["cell.weight", "cell.bias"]


def test_a_start_value_is_read_behind_the_recurrence_where_it_stands() -> None:
    g = seq(RNN + "return concat(h[0], h[T])")
    assert shape(g) == "[N, 8]"
    assert [node.op.name for _, node in g.items].count("expand") == 1
    g = seq(RNN.replace("h[0]", "h[T+1]").replace("t-1", "t+1") + "return h[T+1] + h[1]")
    assert shape(g) == "[N, 4]"


def test_a_label_makes_one_loop_of_its_name_and_opens_no_scope() -> None:
    equations = RNN.replace("}\n", "  y[t] = h[t] -> linear(2)\n} as cell\n")
    g = seq(equations + "return y")
    assert steps(g) == [["concat", "linear", "tanh", "linear"]]
    assert [node.path for _, node in g.items if isinstance(node.op, Recur)] == ["cell"]
    assert keys(g)[::2] == ["linear1.weight", "linear2.weight"]


def test_a_label_of_a_recurrence_is_one_name() -> None:
    text = RNN.replace("}\n", "} as cell[]\n") + "return h"
    assert summary(text, "[N, T, 3]") == ["N123 `[]` numbers stages; a recurrence is one loop"]
    text = RNN.replace("}\n", "} as linear1\n") + "return h"
    assert summary(text, "[N, T, 3]") == ["N121 two instances are called `linear1`"]


def test_a_start_value_that_is_wrong_is_said_once() -> None:
    text = RNN.replace("h[0]: [N, 4] = 0", "h[0] = y") + "return h"
    assert summary(text, "[N, T, 3]") == ["N101 nothing here is called `y`"]


def test_states_may_read_each_other_before_their_starts_are_written() -> None:
    text = """net A(x: [N, 8, 3]) {
      recur t in 1..8 {
        a[0]: [N, 3] = 0
        a[t] = b[t-1]
        b[0]: [N, 3] = 0
        b[t] = a[t-1]
      }
      return a + b
    }"""
    assert check_sources(given(text, "t.net")) == ()
