"""What people write in their first hour, what they read then, and that the fix is one."""

from __future__ import annotations

import pytest
from nets import message, summary

from netdsl.edits import apply
from netdsl.errors import NetError, Source
from netdsl.front import parse_text


def repaired(text: str) -> str:
    """The text after the edits of its only error; it must be a net then."""
    with pytest.raises(NetError) as raised:
        parse_text(text)
    (found,) = raised.value.diagnostics
    better = apply(Source("<text>", text), found.edits)
    parse_text(better)
    return better


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("return x -> conv(3, 3) + x", "return (x -> conv(3, 3)) + x"),
        ("return relu(x -> conv(3, 3) * 2)", "return relu((x -> conv(3, 3)) * 2)"),
        ("return if true then x -> relu - x else x", "return if true then (x -> relu) - x else x"),
        ("return x\n  -> relu\n  -> tanh\n  + x", "return (x\n  -> relu\n  -> tanh)\n  + x"),
        (
            "return x -> (if true then relu) -> tanh",
            "return x -> (if true then relu else identity) -> tanh",
        ),
        (
            "return x -> repeat 3 as i { conv(2^i, 3) }",
            "return x -> for i in range(3) { conv(2^i, 3) }",
        ),
        ("return x -> transpose(0, 2, 3, 1)", "return x -> transpose([0, 2, 3, 1])"),
        ("return x -> reshape(N, 3*H*W)", "return x -> reshape([N, 3*H*W])"),
    ],
)
def test_the_fix_of_a_first_mistake_makes_a_net(wrong: str, right: str) -> None:
    frame = "net A(x: [N, 3, H, W]) {{\n  {}\n}}"
    assert repaired(frame.format(wrong)) == frame.format(right)


def test_a_choice_of_stages_says_both() -> None:
    text = "net A(x: [N]; deep = true) { return x -> (if deep then relu) -> tanh }"
    assert message(text) == (
        """\
error[N006]: a choice of stages says both
 --> t.net:1:42
  |
1 | net A(x: [N]; deep = true) { return x -> (if deep then relu) -> tanh }
  |                                          ^^^^^^^^^^^^^^^^^^^
  = help: `identity` does nothing: `… else identity`"""
    )


def test_an_output_and_a_parameter_need_their_types() -> None:
    assert message("net A(x: [N]) -> (y: [N], mu) { y = x  mu = x }") == (
        """\
error[N006]: the output `mu` needs its type
 --> t.net:1:27
  |
1 | net A(x: [N]) -> (y: [N], mu) { y = x  mu = x }
  |                           ^^
  = help: as in `mu: [N, 8]`"""
    )
    assert message("net A(x: [N]) { param w = 3  return x }") == (
        """\
error[N006]: the parameter `w` needs its type
 --> t.net:1:23
  |
1 | net A(x: [N]) { param w = 3  return x }
  |                       ^
  = help: as in `param w: [8] = 0`"""
    )


@pytest.mark.parametrize("word", ["for i in range(3)", "repeat 3", "if true"])
def test_loops_and_choices_are_no_statements(word: str) -> None:
    name = word.partition(" ")[0]
    text = f"net A(x: [N]) {{\n  {word} {{ y = x -> relu }}\n  return x\n}}"
    first = message(text).partition("\n")[0]
    assert first == f"error[N006]: `{name}` starts no statement: each gives a value a name"


def test_a_sequence_in_an_equation_is_read_step_by_step() -> None:
    text = (
        "net A(x: [N, T, 8]) {\n"
        "  recur t in 1..T { h[0]: [N, 8] = 0  h[t] = tanh(x + h[t-1]) }\n"
        "  return h[T]\n"
        "}"
    )
    assert message(text).endswith("= help: `x` is the whole sequence here: `x[t]` is its step")
    assert "tanh(x[t] + h[t-1])" in repaired(text)
    joined = text.replace("x + h[t-1]", "concat(x, h[t-1]) -> linear(8)")
    assert "concat(x[t], h[t-1])" in repaired(joined)


def test_a_step_stands_inside_the_recurrence_only() -> None:
    text = "recur t in 1..T { h[0]: [N, 8] = 0  h[t] = tanh(x[t] + h[t-1]) }\nreturn h[t]"
    assert summary(text, "[N, T, 8]") == ["N302 `h[t]` stands inside `recur` only"]
