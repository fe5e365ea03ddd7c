"""Text to syntax tree: spans, equality, and the files that are read."""

from __future__ import annotations

from importlib.resources import files

import pytest

from netdsl import syntax as s
from netdsl.errors import Diagnostics, NetError, Problem
from netdsl.parser import decode, from_text, parse
from netdsl.parser.outline import outline
from netdsl.parser.tables import build, dump
from netdsl.sources import models, shipped


def tree(text: str) -> s.File:
    found = Diagnostics()
    file = parse(from_text(text, "t.net"), found)
    found.raise_errors()
    return file


def value(text: str) -> s.Expression:
    """The expression that `let e = …` is given."""
    (item,) = tree(f"let e = {text}").items
    assert isinstance(item, s.Let)
    return item.value


def test_stored_tables_are_those_of_the_grammar() -> None:
    grammar = files("netdsl").joinpath("grammar.lark").read_text("utf-8")
    stored = files("netdsl").joinpath("grammar.json").read_text("utf-8")
    assert stored == dump(grammar), "python -m netdsl.parser.generate"


def test_stored_tables_parse_as_tables_built_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = [parse(shipped(name), Diagnostics()) for name in models()]
    fresh = build(files("netdsl").joinpath("grammar.lark").read_text("utf-8"))
    monkeypatch.setattr("netdsl.parser.load", lambda: fresh)
    assert [parse(shipped(name), Diagnostics()) for name in models()] == stored


@pytest.mark.parametrize("name", models())
def test_every_shipped_model_is_read(name: str) -> None:
    found = Diagnostics()
    file = parse(shipped(name), found)
    assert not found
    assert file.edition == 1


@pytest.mark.parametrize("name", models())
def test_the_outline_of_a_sound_file_is_its_tree(name: str) -> None:
    assert outline(shipped(name)) == parse(shipped(name), Diagnostics())


def test_the_outline_of_a_broken_file_has_what_can_be_read() -> None:
    text = "net A(x: [N, 4]) {\n  y = x ->\n  let n = f(\n  let m = 3\nblock B(x) { return x }\n"
    a, b = outline(from_text(text, "t.net")).items
    assert isinstance(a, s.Definition) and isinstance(b, s.Definition)
    assert (a.name.text, [type(statement) for statement in a.body]) == ("A", [s.Let])
    assert b == tree("block B(x) { return x }").items[0]


def test_every_node_says_where_it_stands() -> None:
    text = "net A(x: [N, 2*h]; k = 3) -> [N, k] {\n  return x -> conv(8, 3) as stem -> (relu)\n}"
    (net,) = tree(text).items
    assert isinstance(net, s.Definition)
    (statement,) = net.body
    assert isinstance(statement, s.Return)
    chain = statement.value
    assert isinstance(chain, s.Chain)
    shown = [n.span.text for n in (net, *net.tensors, *net.hypers, *net.outputs, statement, chain)]
    assert shown == [
        text,
        "x: [N, 2*h]",
        "k = 3",
        "[N, k]",
        "return x -> conv(8, 3) as stem -> (relu)",
        "x -> conv(8, 3) as stem -> (relu)",
    ]
    assert [stage.span.text for stage in chain.stages] == ["conv(8, 3) as stem", "(relu)"]


def test_trees_are_equal_when_they_say_the_same() -> None:
    assert value("[1, 2]") == value("[1,  # one\n 2]")
    assert value("(a + b) * c") != value("a + b * c")
    assert value("true") != value("1")


def test_operators_bind_as_in_mathematics() -> None:
    assert value("1 + 2 * 3 ^ 2 ^ 2") == value("1 + (2 * (3 ^ (2 ^ 2)))")
    assert value("-a ^ 2") == value("-(a ^ 2)")
    assert value("a - b - c") == value("(a - b) - c")
    assert value("not a == b and c or d") == value("((not (a == b)) and c) or d")


def test_a_parenthesised_operand_is_part_of_the_span() -> None:
    node = value("(a + b) * c")
    assert isinstance(node, s.Binary)
    assert node.left.span.text == "(a + b)"


def test_labels_keywords_and_fields_may_be_words_of_the_language() -> None:
    node = value("relu(x; in=3) as in")
    assert isinstance(node, s.Labelled)
    assert node.label.text == "in"
    assert isinstance(value("v.for"), s.Field)


def test_a_call_keeps_its_semicolon() -> None:
    plain, parted = value("f(x, 1)"), value("f(x; 1)")
    assert isinstance(plain, s.Call) and isinstance(parted, s.Call)
    assert (len(plain.before), plain.after) == (2, None)
    assert (len(parted.before), len(parted.after or ())) == (1, 1)


def test_nested_syntax_is_bounded_before_anything_recurses() -> None:
    for text in ("(" * 2000 + "1" + ")" * 2000, "+".join("1" * 2000), "-" * 2000 + "1"):
        with pytest.raises(NetError) as raised:
            tree(f"let e = {text}")
        assert raised.value.diagnostics[0].code == "N321"


def test_a_list_and_a_chain_may_be_long() -> None:
    items = value(f"[{', '.join(['1'] * 2000)}]")
    assert isinstance(items, s.Sequence) and len(items.items) == 2000
    chain = value(" -> ".join(["x"] * 2000))
    assert isinstance(chain, s.Chain) and len(chain.stages) == 1999


def test_crlf_and_a_byte_order_mark_are_read() -> None:
    source = decode("\ufeffnetdsl 1\r\nlet a = 3\r\n".encode(), "t.net")
    assert source.text.startswith("netdsl")
    assert len(parse(source, Diagnostics()).items) == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"let a\0 = 3", "t.net has a NUL byte at offset 5"),
        (b"let a = \xff", "t.net is not UTF-8: byte 0xff at offset 8"),
        (b"#" * 300_000, "t.net has 300000 bytes; a .net file has at most 262144"),
    ],
    ids=["nul", "utf-8", "size"],
)
def test_bytes_that_are_no_net_file_are_refused(content: bytes, problem: str) -> None:
    with pytest.raises(Problem, match=problem):
        decode(content, "t.net")


def test_an_empty_file_has_no_items() -> None:
    assert tree("").items == ()
    assert tree("# nothing yet").items == ()
