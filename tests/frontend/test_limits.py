"""What would grow without end is refused at once, with the line."""

from __future__ import annotations

import threading
import time

import pytest
from nets import body, body_message, graph, message, summary

from netdsl.errors import NetError
from netdsl.front import build, parse_text
from netdsl.parser import from_text
from netdsl.sources import collect


def test_a_loop_beyond_the_limit_is_refused_before_it_runs() -> None:
    assert body_message("return x -> repeat 1000000000 { relu }") == (
        """\
error[N323]: the net grows beyond 100,000 nodes here
 --> t.net:2:13
  |
2 | return x -> repeat 1000000000 { relu }
  |             ^^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: `limit=` of netdsl.parse raises the limit"""
    )


BOMBS = {
    "loops in loops": "net A(x: [N]) {"
    "return x -> repeat 999 { repeat 999 { repeat 999 { relu } } } }",
    "blocks of blocks": "block B0(x) { return x -> relu }\n"
    + "".join(f"block B{i + 1}(x) {{ return x -> B{i} -> B{i} }}\n" for i in range(40))
    + "net A(x: [N]) { return x -> B40 }",
    "a comprehension": "net A(x: [N]) { let n = [i for i in range(99999999)]  return x }",
    "a range": "net A(x: [N]) { return x -> for i in range(999999999) { relu } }",
    "recursion": "block B(x; n) { return if n == 0 then x else x -> B(n-1) -> B(n-1) }\n"
    "net A(x: [N]) { return x -> B(50) }",
    "endless recursion": "block B(x) { return x -> B }\nnet A(x: [N]) { return x -> B }",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_quickly(name: str) -> None:
    before = time.process_time()
    with pytest.raises(NetError) as raised:
        graph(BOMBS[name])
    assert raised.value.diagnostics[0].code in ("N312", "N323")
    assert time.process_time() - before < 5  # the largest takes 1.5 s


def test_a_block_without_end_says_what_it_lacks() -> None:
    text = message("block B(x) { return x -> B }\nnet A(x: [N]) { return x -> B }")
    assert text.startswith(
        """\
error[N312]: blocks are nested more than 64 deep here
 --> t.net:1:26
  |
1 | block B(x) { return x -> B }
  |                          ^
  = help: a block that uses itself needs an end: `if depth == 0 then x else …`
  in B, instantiated at t.net:1:26"""
    )
    assert text.endswith("  … 57 more\n  in B, instantiated at t.net:2:29")


def test_blocks_and_syntax_may_be_deep_together_in_any_thread() -> None:
    depth = 62
    text = "block B0(x) { return x -> relu }\n"
    for i in range(depth):
        inner = "relu(" * 60 + f"B{i}(x)" + ")" * 60
        text += f"block B{i + 1}(x) {{ return {inner} }}\n"
    text += f"net A(x: [N]) {{ return x -> B{depth} }}"
    found: list[int] = []
    before = threading.stack_size(512 * 1024)
    threads = [threading.Thread(target=lambda: found.append(len(graph(text)))) for _ in range(2)]
    threading.stack_size(before)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2 + 60 * depth] * 2


def test_the_limit_can_be_raised() -> None:
    sources = collect(from_text("net A(x: [N]) { return x -> repeat 20 { relu } }", "t"), "t", None)
    assert len(build(sources)) == 21
    with pytest.raises(NetError, match="N323"):
        build(sources, limit=10)


def test_at_most_twenty_errors_come_in_one_run() -> None:
    assert len(summary("\n".join(f"y{i} = x -> nothing" for i in range(30)))) == 20


def test_a_label_or_a_size_may_be_a_long_expression_and_stays_bounded() -> None:
    with pytest.raises(NetError, match=r"N143.*too long an expression"):
        parse_text("net A(x: [A, B, C, D]) { let n = (A + B + C + D + 1)^8  return x }")
    body('return x -> relu as "a{1 + 2}"')
