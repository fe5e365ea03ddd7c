"""What would grow without end is refused at once, with the line."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from nets import body, body_message, graph, message, summary

from netdsl.errors import NetError, Problem
from netdsl.front import build, parse, parse_text
from netdsl.parser import decode, from_text
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


@pytest.mark.parametrize(
    "name",
    [
        "class",
        "forward",
        "training",
        "__class__",
        "state_dict",
        "parameters",
        "T",
        "register_buffer",
    ],
)
def test_any_name_is_safe_in_the_module(name: str) -> None:
    """As a layer's name, a label, an input, an output, a hyper-parameter and a block."""
    import torch

    from netdsl import loads

    model = loads(
        f"""
        block {name}(x; {name} = 4) {{ return x -> linear({name}) as {name} }}
        net A(input: [N, 3]) -> ({name}: [N, 4], other: [N, 4]) {{
            other = input -> {name} as "{name}.{name}"
            layer shared = linear(4) as {name}2
            {name} = input -> shared
        }}
        net B({name}: [N, 3]) {{ return {name} }}
    """,
        net="A",
    )
    assert sorted(model.state_dict()) == [
        *(f"{name}.{name}.{name}.bias", f"{name}.{name}.{name}.weight"),
        *(f"{name}2.bias", f"{name}2.weight"),
    ]
    outputs = model.train().eval().double()(torch.zeros(2, 3).double())
    assert [tuple(y.shape) for y in outputs] == [(2, 4), (2, 4)]


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ("linear(2147483647)", "[2147483647, 2147483647] has more than 2^40 elements"),
        ("concat(x)", "a size is at most 2^31 - 1, and here it would be 4294967294"),
        ("stack(axis=0)" + " -> stack(axis=0)" * 8, "a tensor has at most 8 axes"),
    ],
)
def test_a_tensor_that_cannot_be_is_refused_before_anything_is_made(
    layers: str, problem: str
) -> None:
    text = body_message(f"return x -> {layers}", "[N, 2147483647]")
    assert problem in text
    assert "--> t.net:2:" in text


def test_a_message_has_two_thousand_bytes_at_most_whatever_its_letters() -> None:
    with pytest.raises(NetError) as raised:
        graph('net A(x: [N]) { require false, "' + "𝄞" * 5000 + '"  return x }')
    assert 1990 <= len(str(raised.value).encode()) <= 2000


def test_control_characters_are_escaped() -> None:
    text = message("net A(x: [N]) { return x -> \x1b[2J }")
    assert "\\x1b" in text and "\x1b" not in text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_lines_may_end_in_any_way(end: str) -> None:
    lines = ["\ufeffnet A(x: [N]) {", "  return x -> relu", "}"]
    assert len(graph(end.join(lines) + end)) == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"net A\0(x)", "t.net has a NUL byte at offset 5"),
        (b"net \xff", "t.net is not UTF-8: byte 0xff at offset 4"),
        (b"#" * (256 * 1024 + 1), "t.net has 262145 bytes; a .net file has at most 262144"),
    ],
)
def test_bytes_that_are_no_text_are_refused_with_their_place(content: bytes, problem: str) -> None:
    with pytest.raises(Problem) as raised:
        decode(content, "t.net")
    assert str(raised.value) == problem


def test_a_text_that_is_too_long_is_a_net_error() -> None:
    with pytest.raises(NetError, match="N320"):
        parse_text("#" * (256 * 1024 + 1))


def test_a_number_of_200_000_digits_is_told_as_too_long() -> None:
    assert summary("let n = " + "1" * 200_000)[0] == "N322 this number has more than 18 digits"


def test_labels_and_paths_have_a_length() -> None:
    assert summary(f'return x -> relu as "{"a" * 129}"') == [
        "N322 a name in this label has more than 128 characters"
    ]
    deep = "relu"
    for _ in range(9):
        deep = f"({deep}) as {'a' * 120}"
    assert "N322 the path of this instance has more than 1024 characters" in summary(
        f"return x -> {deep}"
    )


def test_a_file_has_a_hundred_nets_at_most() -> None:
    text = "net A(x: [N]; n = 1) { return x }\n" + "".join(
        f"net B{i} = A(n={i})\n" for i in range(100)
    )
    assert message(text, "A").splitlines()[:2] == [
        "error[N320]: a file has at most 100 nets",
        "   --> t.net:101:1",
    ]


def test_the_files_of_a_net_are_bounded_together(tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / f"m{i}.net").write_text(f"from m{i + 1} import B\n" + "#" * 250_000)
    with pytest.raises(NetError, match="a net has at most 256 files, and 1,048,576 characters"):
        parse(tmp_path / "m0.net")


def test_a_target_that_no_file_system_takes_is_a_net_error() -> None:
    with pytest.raises(NetError, match="N150"):
        parse("x" * 5000)
