"""N30x: recurrences, `recur t in 1..T { … }`."""

from netdsl.errors import Problem
from netdsl.explain.code import Code
from netdsl.ir import Graph
from netdsl.streaming import streamed

_GOOD = """\
net A(x: [N, T, 8]) {
  recur t in 1..T {
    h[0]: [N, 8] = 0
    h[t] = tanh(concat(x[t], h[t-1]) -> linear(8))
  }
  return h
}
"""


def _bad(old: str, new: str) -> str:
    assert old in _GOOD
    return _GOOD.replace(old, new)


def _no_steps(graph: Graph) -> Problem:
    try:
        streamed(graph)
    except Problem as problem:
        return problem
    raise AssertionError(f"{graph.name} runs step by step")


RECURRENCES = (
    Code(
        "N301",
        "an instantaneous loop",
        "An equation reads a step that is not known yet: its own, or that of an equation "
        "further down. "
        "Read the step before, or put the equations in the order in which they count.",
        _bad("h[t-1]", "h[t]"),
        _GOOD,
    ),
    Code(
        "N302",
        "an index that cannot stand here",
        "Inside `recur t` a sequence is read at `t`, `t-1`, `t+1` …; behind it at its first "
        "and its last "
        "step. Any other part of a tensor is `slice`.",
        _bad("x[t]", "x[2*t]"),
        _GOOD,
    ),
    Code(
        "N303",
        "a state that changes its shape",
        "A state has the type of its start value at every step.",
        _bad("linear(8)", "linear(9)"),
        _GOOD,
    ),
    Code(
        "N304",
        "a start value is missing",
        "What an equation reads before the first step is said: `h[0]: [N, 8] = 0`, `h[0] = "
        "h0`, and `h[-1]` "
        "too where it reads `h[t-2]`; a backward state starts at `h[T+1]`.",
        _bad("    h[0]: [N, 8] = 0\n", ""),
        _GOOD,
    ),
    Code(
        "N305",
        "a step that does not exist",
        "Time is axis 1 of [N, T, …], its steps are 1 to T. A sequence is not read before its "
        "first step or "
        "behind its last.",
        _bad("x[t]", "x[t+1]"),
        _GOOD,
    ),
    Code(
        "N306",
        "both directions on one cycle",
        "States that need each other run in one direction, all forward or all backward: "
        "neither could "
        "start.",
        """\
net A(x: [N, T, 8]) {
  recur t in 1..T {
    a[0]: [N, 8] = 0
    b[T+1]: [N, 8] = 0
    a[t] = x[t] + a[t-1] + b[t+1]
    b[t] = x[t] + b[t+1] + a[t-1]
  }
  return a + b
}
""",
        """\
net A(x: [N, T, 8]) {
  recur t in 1..T {
    a[0]: [N, 8] = 0
    b[T+1]: [N, 8] = 0
    a[t] = x[t] + a[t-1]
    b[t] = x[t] + b[t+1]
  }
  return a + b
}
""",
    ),
    Code(
        "N307",
        "`bn` inside a recurrence",
        "Its statistics would mix all steps. `ln` normalises each example on its own.",
        _bad("linear(8)", "linear(8) -> bn"),
        _bad("linear(8)", "linear(8) -> ln"),
    ),
    Code(
        "N308",
        "a start value without an equation",
        "A name with a start value has an equation that says what each step is.",
        _bad("    h[t] = tanh(concat(x[t], h[t-1]) -> linear(8))\n", ""),
        _GOOD,
    ),
    Code(
        "N310",
        "a net that does not run step by step",
        "`model.step` and `model.chunk` take a sequence as it comes, so that a step may read "
        "those before it and none behind: no backward recurrence, and no layer that takes "
        "several steps together. `h[T]` is the answer as of now. What is no sequence of that "
        "length (an encoder's input) is given whole, to `model.start`.",
        _bad("return h", "return h -> mean(axis=1)"),
        _bad("return h", "return h[T]"),
        runs=_no_steps,
    ),
)
