"""Messages about nets that do not fit together: place, sentence, both shapes, a fix."""

from __future__ import annotations

import pytest
from nets import body_message, message, summary


def test_a_skip_that_does_not_fit_is_shown_with_both_shapes() -> None:
    assert message(
        """\
        block Bottleneck(x: [N, C, H, W]; w) {
          f = x -> conv(4*w, 1)
          return f + x -> relu
        }
        net A(x: [N, 64, 56, 56]) {
          return x -> Bottleneck(64)
        }
        """
    ) == (
        """\
error[N206]: cannot combine [N, 256, 56, 56] and [N, 64, 56, 56]
 --> t.net:3:10
  |
3 |   return f + x -> relu
  |          ^^^^^ axis 1: 256 and 64
  = note: left  `f` is [N, 256, 56, 56]
  = note: right `x` is [N, 64, 56, 56]
  = help: project the skip with a 1x1 convolution: `x -> conv(4*w, 1)`
  in Bottleneck, instantiated at t.net:6:15"""
    )


def test_a_halving_that_is_not_exact_is_explained() -> None:
    text = body_message("d = x -> max_pool(2) -> up_conv(3, 2, stride=2)\nreturn x + d")
    assert text.splitlines()[-1] == (
        "  = help: H = 2*floor(H/2) does not hold for every size; `2*h` and `2*w` instead of `H` "
        "and `W` in the signature make the division exact"
    )


def test_a_skip_beside_a_pooled_branch_is_pooled_as_well() -> None:
    text = body_message("d = x -> max_pool(2)\nreturn x + d")
    assert text.splitlines()[-1] == "  = help: pool the skip as well: `x -> avg_pool(2)`"


def test_names_of_other_libraries_are_known() -> None:
    assert body_message("return x -> Conv2d(8, 3, strides=2)") == (
        """\
error[N101]: `Conv2d` is called `conv` here
 --> t.net:2:13
  |
2 | return x -> Conv2d(8, 3, strides=2)
  |             ^^^^^^

error[N103]: `conv` has no hyper-parameter `strides`
 --> t.net:2:26
  |
2 | return x -> Conv2d(8, 3, strides=2)
  |                          ^^^^^^^^^
  = note: the signature is `conv(c, k, stride=1, pad=half, dilation=1, groups=1, bias=true, \
mode=zeros, init=torch, bias_init=none)`
  = help: it is called `stride` here"""
    )
    assert body_message("return x -> dropout(rate=0.1)") == (
        """\
error[N103]: `dropout` has no hyper-parameter `rate`
 --> t.net:2:21
  |
2 | return x -> dropout(rate=0.1)
  |                     ^^^^^^^^
  = note: the signature is `dropout(p=0.5, shared=false)`
  = help: it is called `p` here"""
    )


def test_misspelled_names_are_guessed() -> None:
    assert body_message("feature = x -> relu\nreturn featur -> rellu") == (
        """\
error[N101]: nothing here is called `featur`
 --> t.net:3:8
  |
3 | return featur -> rellu
  |        ^^^^^^
  = help: did you mean `feature`?

error[N101]: there is no layer `rellu`
 --> t.net:3:18
  |
3 | return featur -> rellu
  |                  ^^^^^
  = help: did you mean `relu`?"""
    )


def test_the_words_of_a_hyper_parameter_are_said() -> None:
    assert body_message("return x -> gelu(approx=quick)") == (
        """\
error[N101]: nothing here is called `quick`
 --> t.net:2:25
  |
2 | return x -> gelu(approx=quick)
  |                         ^^^^^
  = help: `approx` is one of none, tanh"""
    )


def test_a_layer_without_a_tensor_is_no_tensor() -> None:
    assert body_message("return relu + x") == (
        """\
error[N111]: `relu` is a layer, not a tensor
 --> t.net:2:8
  |
2 | return relu + x
  |        ^^^^
  = help: apply it: `x -> relu`"""
    )


def test_hyper_parameters_behind_a_comma_get_their_semicolon() -> None:
    assert body_message("return conv(x, 64, 3)") == (
        """\
error[N113]: `conv` takes its tensors before a `;` and its hyper-parameters behind it
 --> t.net:2:8
  |
2 | return conv(x, 64, 3)
  |        ^^^^^^^^^^^^^^ the number 64 is no tensor
  = help: write `conv(x; 64, 3)`"""
    )


def test_a_value_out_of_range_is_shown_where_it_stands() -> None:
    assert body_message("return x -> conv(8, 3) -> dropout(p=2)") == (
        """\
error[N106]: `p` is a probability, 0 <= p < 1, not 2
 --> t.net:2:35
  |
2 | return x -> conv(8, 3) -> dropout(p=2)
  |                                   ^^^"""
    )


def test_a_value_of_another_kind_is_shown_where_it_stands() -> None:
    text = "block B(x; s = 1) { return x }\nnet A(x: [N]) { return x -> B(s=true) }"
    assert message(text) == (
        """\
error[N106]: `s` is a number, not true
 --> t.net:2:31
  |
2 | net A(x: [N]) { return x -> B(s=true) }
  |                               ^^^^^^
  = note: its default is 1"""
    )


def test_a_name_is_given_once() -> None:
    assert body_message("y = x -> relu\ny = y -> relu\nreturn y") == (
        """\
error[N120]: `y` is defined twice
 --> t.net:3:1
  |
3 | y = y -> relu
  | ^
 ::: t.net:2:1
  |
2 | y = x -> relu
  | ^ first defined here
  = help: a name keeps its value: take another one"""
    )


def test_a_requirement_speaks_in_the_authors_words() -> None:
    text = (
        'net A(x: [N, 3]; depth = 21) {\n  require depth % 6 == 2, "depth is 6n+2"\n  return x\n}'
    )
    assert message(text) == (
        """\
error[N140]: depth is 6n+2
 --> t.net:2:3
  |
2 |   require depth % 6 == 2, "depth is 6n+2"
  |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ required here
  = note: depth = 21
  = help: it would hold for depth = 20"""
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("return x -> conv(8)", "N105 `conv` needs `k`"),
        ("return x -> relu(3)", "N104 `relu` has 0 hyper-parameters; `3` is one more"),
        ("return x -> conv(8, 3, c=4)", "N104 `c` of `conv` is given twice"),
        ("return x -> relu(x)", "N110 `relu` takes 1 tensor (x), not 2: the pipe brings the first"),
        ("return x -> add", "N110 `add` takes 2 tensors (x, y), not 1"),
        ("return conv(64, 3)", "N111 `conv` is a layer, not a tensor"),
        ("return relu -> tanh", "N111 `relu` is a layer, not a tensor"),
        ("return x -> (x -> relu)", "N112 `x` is a tensor [N, 3, H, W], not a layer"),
        ("y = relu\nreturn x", "N112 `relu` is a layer, and `=` names a tensor"),
        (
            "let y = x\nreturn x",
            "N112 `let` names a value of compile time, but this is a tensor [N, 3, H, W]",
        ),
        ("return 3", "N112 the output is a tensor, not the number 3"),
        ("return 3 -> relu", "N113 a pipe carries a tensor, not the number 3"),
        ("a, b = x -> relu\nreturn a", "N114 2 names for 1 results"),
        ("return x.y", "N115 a tensor [N, 3, H, W] has no outputs by name, so no `y`"),
        ("y = x", "N130 `A` returns nothing"),
        ("return x\nreturn x", "N120 a body returns once"),
        ("return if x then x else x", None),
        ("let t = {1: 2}\nreturn x -> conv(t[3], 1)", "N141 the table has no entry 3"),
        ("let t = [1]\nreturn x -> conv(t[1], 1)", "N142 the list has no element 1"),
        ("return x[0]", "N302 a tensor has indices inside `recur` only"),
        ("return x -> for i in 3 { relu }", "N143 a loop runs over a list, not over the number 3"),
        ("return x -> conv(8, 4)", "N208 `conv` with an even window must say its padding"),
        ("return x -> conv(8, 3, pad=same)", None),
        ("return x -> conv(8, 3, groups=2)", None),
        ("return x < 3", "N211 `<` is decided at compile time"),
        ("return x % 3", "N143 `%` is of two numbers, not of tensors"),
        (
            "default conv(3)\nreturn x",
            "N104 `default` gives hyper-parameters by name: `name=value`",
        ),
        ("default conv(strid=3)\nreturn x", "N103 `conv` has no hyper-parameter `strid`"),
        ("h[0] = x\nreturn x", "N302 `h[0] = …` stands inside `recur` only"),
    ],
)
def test_each_mistake_is_one_error(text: str, found: str | None) -> None:
    errors = summary(text)
    assert len(errors) == 1
    assert found is None or errors == [found]


def test_an_error_hides_what_follows_from_it() -> None:
    text = "y = x -> nothing -> conv(8, 3)\nz = concat(y, y) + y * 2\nreturn z -> linear(3)"
    assert summary(text) == ["N101 there is no layer `nothing`"]


def test_independent_errors_come_in_one_run_in_the_order_of_the_text() -> None:
    text = "y = x -> conv(0, 3)\nz = x -> relu6x -> conv(8, 4)\nreturn w"
    assert [error[:4] for error in summary(text)] == ["N106", "N101", "N208", "N101"]


def test_an_error_in_a_block_is_told_once_with_its_first_instantiation() -> None:
    assert (
        message(
            """\
        block B(x) { return x -> conv(8) }
        net A(x: [N, 3, H, W]) { return x -> B -> B }
        """
        ).count("error[")
        == 1
    )


def test_a_shared_layer_keeps_its_width() -> None:
    text = """\
        net A(a: [N, 8], b: [N, 9]) {
          layer enc = linear(4)
          return (a -> enc) + (b -> enc)
        }
    """
    assert message(text).startswith(
        "error[N205]: the shared parameter `enc.weight` is [4, 8] and would be [4, 9] here"
    )


def test_a_block_whose_first_output_is_wrong_is_told_once_wherever_it_is_used() -> None:
    text = message("""
        block B(x) -> (a: [N, 3], b: [N, 3]) {
          a = x -> nothing
          b = x
        }
        net A(x: [N, 8, 3], y: [N, 3]) {
          v = y -> B
          recur t in 1..8 {
            h[0]: [N, 3] = 0
            h[t] = B(x[t])
          }
          return relu(v) + h[8]
        }""")
    assert text.count("error[") == 1
    assert text.startswith("error[N101]: there is no layer `nothing`")


def test_a_block_may_have_the_name_of_a_layer_with_other_hyper_parameters() -> None:
    text = message("""
        block conv(x; c) { return x -> linear(c) }
        net A(x: [N, 3]) { return x -> conv(8, 3) }""")
    assert text.startswith("error[N104]: `conv` has 1 hyper-parameter; `3` is one more")
