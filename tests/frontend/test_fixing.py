"""`check --fix`: what is sure is applied, again and again, and never makes a file worse."""

from __future__ import annotations

from textwrap import dedent

import pytest

from netdsl.edits import apply, disjoint
from netdsl.errors import Edit, Source, Span
from netdsl.fixing import Fixed, fix


def fixed(text: str) -> Fixed:
    return fix(Source("t.net", dedent(text)), None)


def body(text: str) -> str:
    """The body of a net with one input x, fixed."""
    found = fixed(f"net A(x: [N, 3, H, W]) {{\n{text}\n}}\n")
    assert not [d for d in found.left if d.is_error], found.left
    return "\n".join(found.text.splitlines()[1:-1])


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (
            "return x -> nn.Conv2d(3, 8, kernel_size=3, padding=1)",
            "return x -> conv(8, k=3, pad=1)",
        ),
        ("return x -> conv(3, 5, kernel_size=3)", "return x -> conv(5, k=3)"),
        ("return x -> Conv2D(8, 3, use_bias=False)", "return x -> conv(8, 3, bias=false)"),
        ('return x -> conv(8, 3, activation="relu")', "return x -> conv(8, 3) -> relu"),
        ("return x -> conv(8, 3, input_shape=3)", "return x -> conv(8, 3)"),
        ("return F.relu(x)", "return relu(x)"),
        ("return torch.nn.functional.relu(x)", "return relu(x)"),
        ("return x.relu()", "return x -> relu()"),
        (
            "y = x -> global_avg_pool\nreturn Dense(10)(y)",
            "y = x -> global_avg_pool\nreturn y -> linear(10)",
        ),
        ("return conv(x, 8, 3)", "return conv(x; 8, 3)"),
        ("return x -> relu + x", "return (x -> relu) + x"),
        ('return x -> Conv2D(8, 3, activation="relu")', "return x -> conv(8, 3) -> relu"),
        ("return x ** 2", "return x ^ 2"),
        ("return x => relu", "return x -> relu"),
        ("return x |> relu", "return x -> relu"),
        ("return x → relu", "return x -> relu"),
        ("return x -> conv(8 3)", "return x -> conv(8, 3)"),
        ("return x -> conv(8, 3 -> relu", "return x -> conv(8, 3) -> relu"),
        ("return x -> conv 8, 3)", "return x -> conv(8, 3)"),
        ("y x -> relu\nreturn y", "y = x -> relu\nreturn y"),
        ("return x\n  -> conv(8, 3)\n  relu", "return x\n  -> conv(8, 3)\n  -> relu"),
        ("return x -> for i in 3 { relu }", "return x -> for i in range(3) { relu }"),
        ("return x -> for i range(3) { relu }", "return x -> for i in range(3) { relu }"),
        ("return if 1 = 1 then x else x", "return if 1 == 1 then x else x"),
        ("return relu -> x", "return x -> relu"),
        ("return x -> relu // a comment", "return x -> relu # a comment"),
        ("return x -> conv(8, 3) -> bn", "return x -> conv(8, 3, bias=false) -> bn"),
        ("let n = 3\nreturn x", "return x"),
        ("layer a = relu\nreturn x", "return x"),
    ],
)
def test_what_is_sure_is_applied(wrong: str, right: str) -> None:
    assert body(wrong) == right


def test_a_guess_is_left_to_the_author() -> None:
    text = "net A(x: [N, 3, H, W]) {\n  return x -> rellu -> conv(8)\n}\n"
    found = fixed(text)
    assert (found.text, found.fixes) == (text, ())
    assert [d.code for d in found.left] == ["N101", "N105"]


def test_fixes_that_bring_others_to_light_are_followed_by_these() -> None:
    found = fixed(
        """\
        net A(x: [N, 3, H, W]; classes = 10) -> [N, classes] {
          y = x → nn.Conv2d(3, 16, kernel_size=3, padding=1 bias=True) -> BatchNorm2d
          return y -> conv(16 3) -> bn -> ReLU -> global_avg_pool -> Linear(classes
        }
        """
    )
    assert found.left == ()
    assert found.text == dedent(
        """\
        net A(x: [N, 3, H, W]; classes = 10) -> [N, classes] {
          y = x -> conv(16, k=3, pad=1, bias=false) -> bn
          return y -> conv(16, 3, bias=false) -> bn -> relu -> global_avg_pool -> linear(classes)
        }
        """
    )
    assert fix(Source("t.net", found.text), None).fixes == ()


def test_a_fix_that_would_not_help_is_not_kept() -> None:
    text = "net A(x: [N, 3, H, W]) {\n  return conv(x, 8, 4)\n}\n"
    found = fixed(text)  # `conv(x; 8, 4)` lacks its padding: as many errors as before
    assert (found.text, found.fixes) == (text, ())
    assert [d.code for d in found.left] == ["N113"]
    assert found.left[0].sure


def test_edits_that_overlap_an_earlier_one_are_left_out() -> None:
    source = Source("t.net", "abcdef")
    edits = [
        Edit(Span(source, 2, 4), "X"),
        Edit(Span(source, 3, 5), "Y"),
        Edit(Span(source, 0, 0), "<"),
        Edit(Span(source, 0, 0), "["),
        Edit(Span(source, 4, 6), "Z"),
    ]
    assert [e.text for e in disjoint(edits)] == ["<", "X", "Z"]
    assert apply(source, disjoint(edits)) == "<abXZ"


def test_edits_of_another_file_change_nothing() -> None:
    source, other = Source("a.net", "abc"), Source("b.net", "abc")
    assert apply(source, [Edit(Span(other, 0, 3), "")]) == "abc"
