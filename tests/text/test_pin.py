"""Names written out: which labels stages get, and which get none."""

from __future__ import annotations

import pytest

from netdsl.front import models, parse_text
from netdsl.parser import from_text
from netdsl.pin import Pinned, pin
from netdsl.sources import collect, read


def pinned(text: str) -> Pinned:
    """The text pinned; every net without required hyper-parameters is what it was."""
    found = pin(collect(from_text(text, "t.net"), "t.net", None))
    assert parse_text(found.text) == parse_text(text)
    return found


def body(statements: str) -> str:
    """The statements of a net, pinned."""
    head = "net A(x: [N, 4, 8, 8]; n = 3) {\n"
    text = pinned(f"{head}{statements}\n}}\n").text
    return text.removeprefix(head).removesuffix("\n}\n")


@pytest.mark.parametrize("name", models())
def test_every_shipped_model_can_be_pinned_once(name: str) -> None:
    sources, _ = read(name)
    text = pin(sources).text
    assert pin(collect(from_text(text, name), name, None)).labels == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return x -> conv(4, 3) -> relu", "return x -> conv(4, 3) as conv1 -> relu"),
        ("return x -> bn -> bn as b -> bn", "return x -> bn as bn1 -> bn as b -> bn as bn2"),
        ("return conv(x; 4, 3) + x", "return (conv(x; 4, 3) as conv1) + x"),
        ("return (conv(x; 4, 3)) + x", "return (conv(x; 4, 3) as conv1) + x"),
        ("return relu(conv(x; 4, 3))", "return relu(conv(x; 4, 3) as conv1)"),
        ("return -conv(x; 4, 3)", "return -(conv(x; 4, 3) as conv1)"),
        (
            "return x -> (bn -> relu -> bn) as g[]",
            "return x -> (bn as 0 -> relu -> bn as 2) as g[]",
        ),
        ("return x -> bn as g[]", "return x -> bn as g[]"),
        ("layer s = bn\nreturn x -> s -> s", "layer s = bn\nreturn x -> s -> s"),
        (
            "return x -> for i in range(n) { conv(4, 3) -> bn }",
            'return x -> for i in range(n) { conv(4, 3) as "conv{i + 1}" -> bn as "bn{i + 1}" }',
        ),
        (
            "return x -> for i in range(n) { bn -> bn }",
            'return x -> for i in range(n) { bn as "bn{2*i + 1}" -> bn as "bn{2*i + 2}" }',
        ),
        (
            "return x -> for i in [5, 7] { (bn -> relu) } as g[]",
            'return x -> for i in [5, 7] { (bn as "{i - 5}" -> relu) } as g[]',
        ),
        (
            "return x -> for i in [5, 7] { bn } as g[]",
            "return x -> for i in [5, 7] { bn } as g[]",
        ),
        (
            "return average([x -> conv(2, 1) for i in range(2)])",
            'return average([x -> conv(2, 1) as "conv{i + 1}" for i in range(2)])',
        ),
        ("return x -> bn  # why\n  -> bn", "return x -> bn as bn1  # why\n  -> bn as bn2"),
    ],
)
def test_a_stage_with_parameters_gets_the_name_it_has(before: str, after: str) -> None:
    assert body(before) == after


def test_what_has_several_names_is_left_and_so_is_its_kind_beside_it() -> None:
    text = """\
block Unit(x: [N, C, H, W]) { return x -> conv(C, 3) -> bn }
net A(x: [N, 4, 8, 8]) {
  return x -> conv(4, 3) -> repeat 2 { conv(4, 3) -> Unit } -> conv(4, 1) -> linear(2)
}
"""
    found = pinned(text.replace(" -> linear(2)", " -> flatten -> linear(2)"))
    assert "repeat 2 { conv(4, 3) -> Unit } -> conv(4, 1) -> flatten" in found.text
    assert "{ return x -> conv(C, 3) as conv1 -> bn as bn1 }" in found.text
    assert found.text.rstrip().endswith("linear(2) as linear1\n}")
    assert [(left.span.text, left.names) for left in found.left] == [
        ("conv(4, 3)", ("conv1",)),
        ("conv(4, 3)", ("conv2", "conv3")),
        ("Unit", ("Unit1", "Unit2")),
        ("conv(4, 1)", ("conv4",)),
    ]
    assert [left.reason for left in found.left] == [
        "a label would change the numbers of others of its kind",
        "no one label says that",
        "no one label says that",
        "a label would change the numbers of others of its kind",
    ]


def test_names_of_all_nets_of_a_file_count() -> None:
    text = """\
block Wide(x) { return x -> linear(8) }
block Deep(x) { return x -> linear(4) -> linear(8) }
net A(x: [N, 4]; deep = false) {
  let Unit = if deep then Deep else Wide
  return x -> Unit -> linear(2)
}
net B = A(deep=true)
"""
    found = pinned(text)
    assert "return x -> Unit -> linear(2) as linear1" in found.text
    assert [left.names for left in found.left] == [("Wide1", "Deep1")]


def test_a_file_in_the_style_stays_in_it() -> None:
    stages = " -> ".join(f"linear({i + 10})" for i in range(6))
    text = f"net A(x: [N, 4]) {{\n  return x -> {stages}\n}}\n"
    assert max(map(len, pinned(text).text.splitlines())) <= 100


def test_recurrences_and_externs_are_pinned() -> None:
    text = """\
extern f(x: [N, D]) -> [N, D]
net A(x: [N, T, 4]) -> [N, T, 3] {
  recur t in 1..T {
    h[0]: [N, 3] = 0
    h[t] = tanh(concat(x[t], h[t-1]) -> linear(3) -> f)
  }
  return h
}
"""
    assert "-> linear(3) as linear1 -> f)" in pinned(text).text
