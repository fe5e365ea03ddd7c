"""Messages about text that is no .net file, and going on behind a mistake."""

from __future__ import annotations

import pytest
from nets import message

from netdsl.errors import Diagnostics
from netdsl.parser import from_text, parse


def codes(text: str) -> list[str]:
    found = Diagnostics()
    parse(from_text(text, "t.net"), found)
    return [f"{d.code}:{d.span.line if d.span else 0}" for d in found]


def test_a_missing_comma_is_named() -> None:
    assert message("net A(x: [N]) { return x -> norm(8 0) }") == (
        """\
error[N005]: missing `,` before `0`
 --> t.net:1:36
  |
1 | net A(x: [N]) { return x -> norm(8 0) }
  |                                    ^"""
    )


def test_a_keyword_is_no_name() -> None:
    assert message("net A(x: [N]) {\n  let in = 3\n  return x\n}") == (
        """\
error[N004]: `in` is a keyword and cannot be a name
 --> t.net:2:7
  |
2 |   let in = 3
  |       ^^
  = help: another name, `in_`, will do"""
    )


def test_a_statement_without_equals_is_named() -> None:
    assert message("net A(x: [N]) { x -> relu }") == (
        """\
error[N003]: a statement gives a value a name, and `=` is missing behind `x`
 --> t.net:1:17
  |
1 | net A(x: [N]) { x -> relu }
  |                 ^^^^ `name = …`, or `return …`
  = help: it ends the body: is it what the body returns, `return …`?"""
    )


def test_a_missing_arrow_is_named() -> None:
    assert message("net A(x: [N]) {\n  y = x -> norm(8, 0) relu\n  return y\n}") == (
        """\
error[N003]: `relu` stands where a new statement starts
 --> t.net:2:23
  |
2 |   y = x -> norm(8, 0) relu
  |                       ^^^^
  = help: as a further stage it needs an arrow: `-> relu`"""
    )


def test_an_unclosed_bracket_is_shown_where_it_opens() -> None:
    assert message("net A(x: [N]) {\n  return x -> norm(8, 0\n}\nnet B(x: [N]) { return x }") == (
        """\
error[N002]: this `(` is never closed
 --> t.net:2:19
  |
2 |   return x -> norm(8, 0
  |                   ^ `)` is missing
  = note: `}` stands here before its `)`
  = help: put the `)` behind `0` in line 2"""
    )


def test_an_unclosed_body_is_shown_where_it_opens() -> None:
    assert message("net A(x: [N]) {\n  return x") == (
        """\
error[N002]: this `{` is never closed
 --> t.net:1:15
  |
1 | net A(x: [N]) {
  |               ^ `}` is missing
  = help: put the `}` behind `x`"""
    )


def test_a_surplus_bracket_closes_nothing() -> None:
    assert message("net A(x: [N]) { return x } }") == (
        """\
error[N002]: this `}` closes nothing
 --> t.net:1:28
  |
1 | net A(x: [N]) { return x } }
  |                            ^
  = help: take it out"""
    )


def test_an_incomplete_statement_is_named() -> None:
    assert message("net A(x: [N]) {\n  y =\n  return y\n}") == (
        """\
error[N003]: the statement is not complete behind `=`
 --> t.net:2:5
  |
2 |   y =
  |     ^ expected a value"""
    )


def test_a_statement_at_the_top_is_pointed_into_a_net() -> None:
    assert message("relu -> x") == (
        """\
error[N006]: `relu` cannot start an item of a file
 --> t.net:1:1
  |
1 | relu -> x
  | ^^^^ expected net, block, let, default, from or extern
  = help: layers stand in the body of a net: `net Name(x: [N, 3, H, W]) { return x -> … }`"""
    )


def test_characters_of_other_languages_are_translated() -> None:
    assert message("net A(x: [N]) { return x → relu }") == (
        """\
error[N001]: `→` is no character of the language
 --> t.net:1:26
  |
1 | net A(x: [N]) { return x → relu }
  |                          ^
  = help: write `->`"""
    )


def test_an_unclosed_string_is_named() -> None:
    assert message('net A(x: [N]) { return x -> relu as "a }') == (
        """\
error[N001]: this string is never closed
 --> t.net:1:37
  |
1 | net A(x: [N]) { return x -> relu as "a }
  |                                     ^
  = help: a string ends on its line, with another `"`"""
    )


def test_several_mistakes_come_in_one_run() -> None:
    assert codes(
        """\
net A(x: [N]) {
  let in = 3
  y = x -> conv(8 3)
  z = x ->
  return y -> -> relu
}
block B(x) { return x + }
net C(x: [N]) { return x }
"""
    ) == ["N004:2", "N005:3", "N003:4", "N006:5", "N003:7"]


def test_arguments_on_the_next_line_are_no_statement() -> None:
    text = "net A(x: [N]) {\n  y = x -> conv(8 3,\n    pad=0)\n  z = = 1\n  return y\n}"
    assert codes(text) == ["N005:2", "N006:4"]


@pytest.mark.parametrize("text", ["1234567890123456789", "1e999", "a" * 129])
def test_numbers_and_names_are_bounded(text: str) -> None:
    assert codes(f"let e = {text}") == ["N322:1"]


def test_any_prefix_and_any_dropped_token_of_a_net_is_a_message_or_a_tree() -> None:
    text = """\
netdsl 1
default conv(bias=false)
let t = { 1: [(1, 2)], 2: [(2, 3)] }
block B(x: [N, C]; c, s = 1) -> (y: [N, c], train z: [N]) {
  y, z = if s == 1 and C == 4*c then x else x -> (for (i, j) in t[1] { f(i; j) as "a{i}" })
  recur k in 1..C { h[k-1]: [N] = -x.y ^ 2 }
}
net A = B(c=3)
"""
    for end in range(len(text)):
        codes(text[:end])
    words = text.split(" ")
    for i in range(len(words)):
        codes(" ".join(words[:i] + words[i + 1 :]))


def test_errors_behind_a_mistake_in_the_syntax_come_in_the_same_run() -> None:
    text = """\
        net A(x: [N, 3, H, W]) {
          a = x -> conv(8 3) -> relu
          b = a → max_pol(2)
          return b + c
        }
    """
    assert message(text) == (
        """\
error[N005]: missing `,` before `3`
 --> t.net:2:19
  |
2 |   a = x -> conv(8 3) -> relu
  |                   ^

error[N001]: `→` is no character of the language
 --> t.net:3:9
  |
3 |   b = a → max_pol(2)
  |         ^
  = help: write `->`

error[N101]: there is no layer `max_pol`
 --> t.net:3:11
  |
3 |   b = a → max_pol(2)
  |           ^^^^^^^
  = help: did you mean `max_pool`?

error[N101]: nothing here is called `c`
 --> t.net:4:14
  |
4 |   return b + c
  |              ^"""
    )
