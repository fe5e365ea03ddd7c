"""The one style: what `format` makes of texts, and what it leaves as the author has it."""

from __future__ import annotations

import pytest

import netdsl
from netdsl.errors import NetError
from netdsl.fmt import format
from netdsl.front import models
from netdsl.sources import shipped


def becomes(before: str, after: str) -> None:
    """`before` is laid out as `after`, which stays as it is."""
    assert format(before) == after
    assert format(after) == after


@pytest.mark.parametrize("name", models())
def test_shipped_models_are_in_the_style(name: str) -> None:
    text = shipped(name).text
    assert format(text) == text


def test_the_public_name_is_format() -> None:
    assert netdsl.format("let  a=1") == "let a = 1\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("let a=[1,2 , 3]", "let a = [1, 2, 3]"),
        ("let a={1:2,3 : []}", "let a = { 1: 2, 3: [] }"),
        ("let a = f( 1 ) [0]", "let a = f(1)[0]"),
        ("let a = 4 * w*h + C*w - 2 * 3", "let a = 4*w*h + C * w - 2*3"),
        ("let a = n/2*c // 3", "let a = n / 2 * c // 3"),
        ("let a = - x - -1", "let a = -x - -1"),
        ("let a = 2 ^ n", "let a = 2^n"),
        ("let a = x [ t - 1 ] + x[2*t-1]", "let a = x[t-1] + x[2*t - 1]"),
        ("let a = not b and c==d", "let a = not b and c == d"),
        ("let a = if b then(1)else(2)", "let a = if b then (1) else (2)"),
        ("let a = v . in [0]", "let a = v.in[0]"),
        ("let a = (1,)", "let a = (1,)"),
        ("default conv( bias = false )", "default conv(bias=false)"),
        ("from a . b import C ,D", "from a.b import C, D"),
        ("net A = B( depth = 3 )", "net A = B(depth=3)"),
        ("extern f(x:int [N] ;k=3)->[N]", "extern f(x: int[N]; k = 3) -> [N]"),
        ("net A(x:[],y){}", "net A(x: [], y) {}"),
        ("block B(x){return x->f as g []}", "block B(x) { return x -> f as g[] }"),
        ("block B(x){return x->repeat 2{f}}", "block B(x) { return x -> repeat 2 { f } }"),
        ("block B(x){return f(x ;1,in= 2)}", "block B(x) { return f(x; 1, in=2) }"),
        ("block B(x){return [a for(i , j)in c]}", "block B(x) { return [a for (i, j) in c] }"),
        (
            "block B(x){param W:[3]=he as  w}",
            "block B(x) { param W: [3] = he as w }",
        ),
    ],
)
def test_spaces_stand_by_one_rule(before: str, after: str) -> None:
    becomes(before, f"{after}\n")


def test_statements_stand_on_lines_of_their_own() -> None:
    becomes(
        "netdsl 1 let a = 1 block B(x) { y = f(x) recur t in 1..3 { h[0]=y\n\n\n h[t]=f(h[t - 1]) }"
        " as loop return h }",
        """\
netdsl 1
let a = 1
block B(x) {
  y = f(x)
  recur t in 1..3 {
    h[0] = y

    h[t] = f(h[t-1])
  } as loop
  return h
}
""",
    )


def test_a_body_of_one_statement_may_stand_on_its_line() -> None:
    becomes("block B(x) {  return x }", "block B(x) { return x }\n")
    becomes("block B(x) {\nreturn x }", "block B(x) {\n  return x\n}\n")


def test_empty_lines_are_single_and_none_stand_at_the_ends() -> None:
    becomes(
        "\n\n# first\n\n\n\nlet a = 1\n\n\nblock B(x) {\n\n  return x\n\n}\n\n\n",
        "# first\n\nlet a = 1\n\nblock B(x) {\n  return x\n}\n",
    )


def test_broken_chains_start_lines_with_their_arrow() -> None:
    becomes(
        "block B(x) {\n return x ->\n f -> g ->\n h\n}",
        "block B(x) {\n  return x\n    -> f -> g\n    -> h\n}\n",
    )


def test_arrows_under_the_first_arrow_stay_there() -> None:
    becomes(
        "block B(x) {\nreturn x -> f -> g\n         -> h\n}",
        "block B(x) {\n  return x -> f -> g\n           -> h\n}\n",
    )
    becomes(
        "block B(x) {\nreturn x -> f -> g\n      -> h\n}",
        "block B(x) {\n  return x -> f -> g\n    -> h\n}\n",
    )


def test_groups_and_loops_indent_their_stages() -> None:
    becomes(
        """\
block B(x) {
  return x
  -> (f -> g
  -> h) as features[]
  -> for i in range(3) {
  f
  -> g }
  -> h
}
""",
        """\
block B(x) {
  return x
    -> (f -> g
     -> h) as features[]
    -> for i in range(3) {
         f
         -> g
       }
    -> h
}
""",
    )


def test_lists_stay_broken_where_they_are_under_their_first_element() -> None:
    becomes(
        "let a = [1, 2\n,3,\n 4]\nlet b = f(\n1,\n2)",
        "let a = [1, 2,\n         3,\n         4]\nlet b = f(\n  1,\n  2\n)\n",
    )


def test_no_line_is_broken_between_a_last_comma_and_its_bracket() -> None:
    numbers = ", ".join(["1"] * 30)
    becomes(
        f"let a = [{numbers}, 22, 33,]",
        f"let a = [{numbers},\n         22, 33,]\n",
    )


def test_long_lines_are_broken_at_their_outermost_construct() -> None:
    stages = " -> ".join(["conv(64, 3)"] * 8)
    becomes(
        f"block B(x) {{\n  return x -> {stages}\n}}\n",
        f"""\
block B(x) {{
  return x -> {" -> ".join(["conv(64, 3)"] * 6)}
           -> {" -> ".join(["conv(64, 3)"] * 2)}
}}
""",
    )
    names = ", ".join(f"width{i} = {i}" for i in range(6))
    becomes(
        f"net A(x: [N, 3, H, W]; {names}) -> (y: [N, 4], z: [N, 5]) {{ return x }}\n",
        f"net A(x: [N, 3, H, W]; {names})\n    -> (y: [N, 4], z: [N, 5]) {{\n  return x\n}}\n",
    )
    inner = "conv(width, 3, stride=if i == 0 then 2 else 1) -> bn -> relu"
    becomes(
        f"block B(x) {{\n  return x\n    -> for (c, s) in [(16, 1), (32, 2)] {{ {inner} }}\n}}\n",
        f"block B(x) {{\n  return x\n    -> for (c, s) in [(16, 1), (32, 2)] {{\n"
        f"         {inner}\n       }}\n}}\n",
    )


def test_no_line_of_code_is_longer_than_100_columns_where_it_can_be_broken() -> None:
    call = "f(" + ", ".join(f"argument{i}=[{i}, {i}, {i}]" for i in range(40)) + ")"
    text = format(f"let a = if b then {call} else g({call} + {call})")
    assert max(map(len, text.split("\n"))) <= 100
    assert format(text) == text


def test_comments_keep_their_place_and_their_column() -> None:
    becomes(
        """\
   # about the file
let a = 1 # one
block B(x) {          # a block
      # first
  y = x -> f          # then f
        -> g          # then g

     # last
  return concat(x, # the input
    # and
    y)
      # end
}
  # over
""",
        """\
# about the file
let a = 1  # one
block B(x) {          # a block
  # first
  y = x -> f          # then f
        -> g          # then g

  # last
  return concat(x,  # the input
                # and
                y)
  # end
}
# over
""",
    )


def test_comments_that_share_a_column_are_moved_together() -> None:
    becomes(
        "let a = 1 # x\nlet bb=22 # y\n",
        "let a = 1   # x\nlet bb = 22 # y\n",
    )


def test_a_comment_behind_an_arrow_or_before_a_comma_goes_to_the_lines_end() -> None:
    becomes(
        "block B(x) {\n  return x -> # why\n  f(1 # one\n  , 2)\n}",
        "block B(x) {\n  return x    # why\n    -> f(1,  # one\n         2)\n}\n",
    )


def test_columns_that_line_up_stay_lined_up() -> None:
    text = """\
block B(x) {
  return x -> conv(6, 5)  -> f( 64,  9)
           -> conv(16, 5) -> f(128, 10)
}
"""
    becomes(text, text)
    becomes(
        text.replace("f(128", "fff(128"),
        text.replace("f(128", "fff(128").replace("f( 64,  9)", "f(64, 9)"),
    )


def test_crlf_tabs_and_a_bom_are_normalised() -> None:
    becomes("\ufefflet a = 1\t# x\r\n\r\n\r\nlet b = 2\r\n", "let a = 1  # x\n\nlet b = 2\n")


def test_a_file_of_comments_or_of_nothing_stays_one() -> None:
    becomes("", "")
    becomes("  # a\n\n\n# b", "# a\n\n# b\n")


def test_a_syntax_error_is_raised_as_check_has_it() -> None:
    with pytest.raises(NetError) as raised:
        format("net A(x: [N]) { return x -> }")
    assert [d.code[:3] for d in raised.value.diagnostics] == ["N00"]
