"""The graphs of a net as a stream, and the nets that are none."""

from __future__ import annotations

import pytest

import netdsl
from netdsl.errors import Problem
from netdsl.front import parse, parse_text
from netdsl.streaming import Stream, streamed


def stream(body: str, takes: str = "x: [N, T, 8]", gives: str = "[N, T, 8]") -> Stream:
    return streamed(parse_text(f"net A({takes}) -> {gives} {{\n{body}\n}}"))


CELL = """recur t in 1..T {
  h[0]: [N, 8] = 0
  h[t] = tanh(x[t] + h[t-1])
}
"""


def test_a_step_is_the_equation_without_a_loop() -> None:
    found = stream(CELL + "return h")
    assert (
        found.step.text()
        == """\
graph A {
  %0 = input x: [N, 8]
  %1 = input state[recur1.y0]: [N, 8]
  %2 = add(%0, %1) -> [N, 8]  # add1
  %3 = tanh(%2) -> [N, 8]  # tanh1
  output return = %3
  output state[recur1.y0] = %3
}"""
    )
    assert (
        found.start.text()
        == """\
graph A {
  %0 = constant 0.0
  %1 = expand(%0; shape=[N, 8]) -> [N, 8]
  %2 = input #sizes: [N]
  %3 = identity(%2) -> [N]
  output state[recur1.y0] = %1
  output #sizes = %3
}"""
    )


def test_a_step_that_another_loop_reads_late_is_kept() -> None:
    body = CELL.replace("}", "  y[t] = h[t] - h[t-1]\n}") + "return y"
    found = stream(body)
    assert [(kept.name, str(kept.type)) for kept in found.state] == [
        ("recur1.y0", "[N, 8]"),
        ("concat1.x", "[N, 1, 8]"),
    ]
    kinds = [node.op.name for _, node in found.step.items if found.step.operands(_)]
    assert "concat" not in kinds and "slice" not in kinds


def test_two_loops_of_one_name_keep_two_states() -> None:
    text = """net A(x: [N, T, 3]) -> [N, T, 3] {
      layer cell = lstm(3)
      y = x -> cell
      return y -> cell
    }"""
    names = [kept.name for kept in streamed(parse_text(text)).state]
    assert names == ["cell.h", "cell.c", "cell.h#2", "cell.c#2"]


def test_what_parameters_alone_decide_is_no_state() -> None:
    body = "param g: [8] = 1\n" + CELL.replace("x[t]", "x[t] * exp(g)") + "return h"
    found = stream(body)
    assert [kept.name for kept in found.state] == ["recur1.y0"]
    assert "exp" in [node.op.name for _, node in found.step.items]


def test_an_encoder_runs_at_the_start_only() -> None:
    found = streamed(parse("seq2seq"))
    assert found.sequences == ("before",)
    assert [op.key for op in found.start.inputs] == ["source", "#sizes"]
    assert not [op for op in found.step.parameters if op.key.startswith(("encoder", "source"))]
    assert not [op for op in found.start.parameters if op.key.startswith("target")]


REFUSED: dict[str, tuple[str, str, str]] = {
    "backward": (
        CELL.replace("h[0]", "h[T+1]").replace("t-1", "t+1") + "return h",
        "the recurrence runs from the last step to the first",
        "in the stage `recur1`",
    ),
    "ahead": (
        "recur t in 1..T-1 {\n  h[0]: [N, 8] = 0\n  h[t] = x[t+1] + h[t-1]\n}\nreturn h[T-1]",
        "the recurrence has T - 1 steps, the sequence T",
        "in the stage `recur1`",
    ),
    "both": (
        "y, h = x -> gru(8, both=true)\nreturn y",
        "`gru` runs in both directions",
        "in the stage `gru1`",
    ),
    "mean": (
        "return x -> mean(axis=1)",
        "`mean` takes several steps of [N, T, 8] together",
        "in the stage `mean1`",
    ),
    "softmax": (
        "return x -> softmax(axis=1)",
        "`softmax` takes several steps of [N, T, 8] together",
        "in the stage `softmax1`",
    ),
    "conv": (
        "return x -> transpose([0, 2, 1]) -> conv1d(8, 3)",
        "`conv1d` takes several steps of [N, 8, T] together",
        "in the stage `conv1d1`",
    ),
    "attention": (
        "return attend(x, x, x)",
        "`attend` takes several steps of [N, T, 8] together",
        "in the stage `attend1`",
    ),
    "whole in every step": (
        CELL.replace("x[t]", "sum(x; axis=1)") + "return h",
        "`sum` takes several steps of [N, T, 8] together",
        "in the stage `sum1`",
    ),
    "attention inside": (
        CELL.replace("x[t]", "sum(softmax(x; axis=1) * x; axis=1)") + "return h",
        "`softmax` takes several steps of [N, T, 8] together",
        "in the stage `softmax1`",
    ),
    "whole sequence inside": (
        CELL.replace("x[t]", "sum(x * reshape(h[t-1]; [N, 1, 8]); axis=1)") + "return h",
        "every step of the recurrence reads all of [N, T, 8]",
        "in the stage `recur1`",
    ),
    "the end everywhere": (
        CELL + "return h + reshape(h[T]; [N, 1, 8])",
        "a last step, known at the end only, meets every step",
        "in the stage `add2`",
    ),
    "the first step": (
        CELL + "return h[1]",
        "`slice` takes several steps of [N, T, 8] together",
        "in the stage `slice1`",
    ),
    "started by the end": (
        "y, h = x -> gru(8)\nz, g = gru(x, h; hidden=8)\nreturn z",
        "a start value follows from the sequence",
        "in the stage `gru2`",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_net_that_does_not_run_step_by_step_says_where(case: str) -> None:
    body, why, stage = REFUSED[case]
    with pytest.raises(Problem) as raised:
        streamed(parse_text(f"net A(x: [N, T, 8]) {{\n{body}\n}}"))
    said = raised.value.diagnostic
    assert (said.code, said.notes) == ("N310", (stage,))
    assert said.message == f"this net does not run step by step: {why}"
    assert said.span is not None and said.helps


@pytest.mark.parametrize("takes", ["x: [N, 28, 8]", "x: [N, 8]", "x: [N, 2*K, 8]"])
def test_a_net_without_a_sequence_of_any_length_is_no_stream(takes: str) -> None:
    with pytest.raises(Problem, match="it takes no sequence of any length"):
        stream("return x", takes, takes.partition(": ")[2])


def test_a_length_that_only_a_whole_input_has_is_not_time() -> None:
    body = "y, h = x -> gru(8)\nreturn y * reshape(mean(z; axis=1); [N, 1, 8])"
    found = stream(body, "z: [N, S, 8], x: [N, T, 8]")
    assert (found.sequences, found.state[-1].name) == (("x",), "reshape1")


def test_the_error_of_a_module_is_a_net_error() -> None:
    model = netdsl.load("lstm:Classifier", hyper={"D": 2})
    with pytest.raises(netdsl.NetError, match=r"N310[^$]*BiRNN1\.recur2"):
        model.start(3)
