"""Sizes of signatures: binding, divisibility, conditions, declared outputs."""

from __future__ import annotations

import pytest
from nets import body, body_message, graph, message, shape

BLOCK = "block Half(x: [N, C, 2*h, 2*w]) -> [N, C, h, w] { return x -> max_pool(2) }\n"


def test_a_net_binds_symbolic_sizes() -> None:
    g = graph("net A(x: [N, 3, 16*h, W]) { return x -> max_pool(2) -> conv(8, 3, stride=2) }")
    assert shape(g) == "[N, 8, 4*h, floor((W + 2)/4)]"


def test_a_block_binds_the_sizes_it_is_given() -> None:
    assert shape(graph(BLOCK + "net A(x: [N, 3, 8*h, 32]) { return x -> Half -> Half }")) == (
        "[N, 3, 2*h, 8]"
    )


def test_a_size_that_is_no_multiple_is_an_error_at_the_call() -> None:
    assert message(BLOCK + "net A(x: [N, 3, 33, 32]) { return x -> Half }") == (
        """\
error[N203]: `x` of `Half` is [N, C, 2*h, 2*w], but this is [N, 3, 33, 32]
 --> t.net:2:40
  |
2 | net A(x: [N, 3, 33, 32]) { return x -> Half }
  |                                        ^^^^ axis 2: 33 is not of the form 2*h
 ::: t.net:1:15
  |
1 | block Half(x: [N, C, 2*h, 2*w]) -> [N, C, h, w] { return x -> max_pool(2) }
  |               ^^^^^^^^^^^^^^^^ declared here"""
    )


def test_a_symbolic_size_must_be_a_multiple_for_every_value() -> None:
    text = message(BLOCK + "net A(x: [N, 3, H, 32]) { return x -> Half }")
    assert "axis 2: H is not of the form 2*h" in text


def test_a_repeated_name_demands_equal_sizes() -> None:
    text = "block B(x: [N, C, S, S]) { return x }\nnet A(x: [N, 3, 8, 9]) { return x -> B }"
    assert "error[N202]: `x` of `B` is [N, C, S, S], but this is [N, 3, 8, 9]" in message(text)
    assert "axis 3: 8 and 9" in message(text)


def test_a_size_may_use_one_that_comes_later() -> None:
    text = (
        "block B(x: [N, 2*d], y: [N, d]) { return y -> linear(d) }\n"
        "net A(x: [N, 8], y: [N, 4]) { return x -> B(y) }"
    )
    assert shape(graph(text)) == "[N, 4]"


def test_hyper_parameters_and_numbers_of_the_file_are_values_in_signatures() -> None:
    text = "let D = 8\nblock B(x: [N, D, k]; k) { return x }\n"
    assert shape(graph(text + "net A(x: [N, 8, 4]) { return x -> B(4) }")) == "[N, 8, 4]"
    assert "axis 1: 8 and 9" in message(text + "net A(x: [N, 9, 4]) { return x -> B(4) }")
    assert "axis 2: 5 and 4" in message(text + "net A(x: [N, 8, 4]) { return x -> B(5) }")


def test_sizes_are_numbers_in_the_body() -> None:
    text = """\
        block B(x: [N, C, H, W]) {
          let c = if C == 3 and H != W then 2*C else 1
          return x -> conv(c, 1)
        }
        net A(x: [N, 3, 8, 9]) { return x -> B }
    """
    assert shape(graph(text)) == "[N, 6, 8, 9]"


def test_a_condition_on_an_unknown_size_is_undecidable() -> None:
    assert body_message("return if H > 3 then x else x -> relu") == (
        """\
error[N211]: whether H > 3 cannot be decided at compile time
 --> t.net:2:11
  |
2 | return if H > 3 then x else x -> relu
  |           ^^^^^
  = help: write a number for the size in the signature, or make it a hyper-parameter"""
    )


def test_equal_polynomials_are_equal() -> None:
    g = body("return if (H + 1) * (H - 1) == H^2 - 1 then x -> max_pool(2) else x")
    assert shape(g) == "[N, 3, floor(H/2), floor(W/2)]"


def test_a_declared_output_is_checked() -> None:
    text = "net A(x: [N, 8]; classes = 10) -> [N, classes] {\n  return x -> linear(9)\n}"
    assert message(text) == (
        """\
error[N202]: the output is [N, classes], but this is [N, 9]
 --> t.net:2:10
  |
2 |   return x -> linear(9)
  |          ^^^^^^^^^^^^^^ axis 1: 10 and 9
 ::: t.net:1:35
  |
1 | net A(x: [N, 8]; classes = 10) -> [N, classes] {
  |                                   ^^^^^^^^^^^^ declared here
  = help: is `linear(classes)` meant?"""
    )


def test_a_parameter_has_no_symbolic_size() -> None:
    assert body_message("return x -> linear(3)").startswith(
        "error[N210]: the weight of `linear` would have the symbolic size [3, W]"
    )
    assert body_message("param w: [W, 3]\nreturn x @ w").startswith(
        "error[N210]: the parameter `w` would have the symbolic size W"
    )


def test_division_of_a_size_is_exact_or_rounds_down_explicitly() -> None:
    assert body_message("let h = H / 2\nreturn x").startswith(
        "error[N203]: H / 2 is not a whole number for every size"
    )
    assert (
        shape(graph("net A(x: [N, 4*h]) { return reshape(x; [N, 4*h / 2, 2]) }")) == "[N, 2*h, 2]"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6 / 3", "2"),
        ("7 / 2", "3.5"),
        ("7 // 2 + 7 % 2", "4"),
        ("-2 ^ 2", "-4"),
        ("2 ^ 10", "1024"),
        ("len(range(2, 9, 3)) + max(1, 2) + min([3, 4]) + sum([1, 2])", "11"),
        ("[1, 2, 3][-1] + {1: 5}[1]", "8"),
    ],
)
def test_compile_time_arithmetic_is_exact(text: str, value: str) -> None:
    message = body_message(f"require ({text}) == 0\nreturn x")
    assert message.startswith(f"error[N140]: `({text}) == 0` does not hold")
    body(f"require ({text}) == {value}\nreturn x")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0 ^ -1", "division by zero"),
        ("10 ^ 19", "the result is larger than 10^18 or smaller than 10^-18"),
        ("999999999999999999 * 9", "the result is larger than 10^18"),
        ("true + 1", "`+` is of two numbers, not of true and the number 1"),
        ("range(1.5)", "`range` takes whole numbers, not the number 1.5"),
    ],
)
def test_arithmetic_without_a_result_is_an_error(text: str, problem: str) -> None:
    assert body_message(f"let n = {text}\nreturn x").startswith(f"error[N143]: {problem}")


def test_a_requirement_adds_a_fact_that_holds_in_the_whole_net() -> None:
    text = """\
        net A(x: [N, S, 3], y: [N, T, 3]) {
          z = x + y
          require S == T
          return z
        }
    """
    g = graph(text)
    assert [str(i.type) for i in g.inputs] == ["[N, S, 3]", "[N, S, 3]"]


@pytest.mark.parametrize(
    ("requirement", "type"),
    [
        ("H % 2 == 0", "[N, 3, 2*h, W]"),
        ("H % 4 == 1 and W % 4 == 3", "[N, 3, 4*h + 1, 4*w + 3]"),
        ("H % 2 == 0 and H % 3 == 0", "[N, 3, 6*h_, W]"),
        ("(2*H + 1) % 3 == 0", "[N, 3, 3*h + 1, W]"),
        ("H == W", "[N, 3, H, H]"),
        ("H == 2*W + 1", "[N, 3, 2*W + 1, W]"),
        ("H == 32", "[N, 3, 32, W]"),
        ("H // 2 * 2 == H", "[N, 3, 2*h, W]"),
    ],
)
def test_an_equation_of_sizes_is_solved_for_a_name(requirement: str, type: str) -> None:
    g = body(f"require {requirement}\nreturn x")
    assert str(g.inputs[0].type) == type


def test_a_fact_of_a_block_reaches_the_signature_of_the_net() -> None:
    text = """\
        block Half(x: [N, C, H, W]) {
          require H % 2 == 0 and W % 2 == 0, "the halving must be exact"
          return x -> max_pool(2)
        }
        net A(x: [N, 3, H, W]) { return x -> Half -> Half }
    """
    g = graph(text)
    assert (str(g.inputs[0].type), shape(g)) == ("[N, 3, 4*h_, 4*w_]", "[N, 3, h_, w_]")


def test_what_holds_for_no_size_is_said() -> None:
    for requirement in ("2*H % 4 == 1", "(4*H + 1) % 6 == 2"):
        assert "error[N140]: this holds for no size" in body_message(
            f"require {requirement}\nreturn x"
        )
