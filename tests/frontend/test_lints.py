"""Lints: where they speak, and where they are silent."""

from __future__ import annotations

from textwrap import dedent

import pytest

from netdsl.edits import apply
from netdsl.errors import Diagnostic, Source
from netdsl.front import check, check_sources, models
from netdsl.sources import collect


def warnings(text: str) -> tuple[Diagnostic, ...]:
    found = check_sources(collect(Source("t.net", dedent(text)), "t.net", None))
    assert not [d for d in found if d.is_error]
    return found


def codes(body: str, signature: str = "x: [N, 3, H, W]") -> list[str]:
    return [d.code for d in warnings(f"net A({signature}) {{\n{body}\n}}\n")]


@pytest.mark.parametrize("name", models())
def test_shipped_models_are_free_of_warnings(name: str) -> None:
    assert check(name.removesuffix(".net")) == ()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("return x -> conv(8, 3) -> bn", ["W401"]),
        ("return x -> conv(8, 3, bias=true) -> bn", ["W401"]),
        ("return x -> conv(8, 3, bias=false) -> bn", []),
        ("default conv(bias=false)\nreturn x -> conv(8, 3) -> bn", []),
        ("y = x -> conv(8, 3)\nreturn (y -> bn) + y", []),  # y is seen with its bias
        ("y = x -> conv(8, 3)\nz = y -> bn\nreturn z", ["W401"]),
        ("return x -> conv(8, 3) -> relu -> bn", []),
        ("return x -> for i in range(2) { conv(8, 3) -> (if i == 0 then bn else relu) }", []),
        ("return x -> global_avg_pool -> linear(3) -> bn", ["W401"]),
        ("return x -> global_avg_pool -> softmax", ["W402"]),
        ("return (x -> global_avg_pool -> softmax) * 2", []),
        ("return x -> softmax", []),  # of an image: no loss takes it for logits
        ("y = x -> relu\nreturn x + y -> conv(3, 3) -> relu", ["W405"]),
        ("y = x -> relu\nreturn (x + y) -> conv(3, 3) -> relu", []),
        ("y = x -> relu\nreturn x + (y -> conv(3, 3) -> relu)", []),
        ("y = x -> relu\nreturn x + y -> relu", []),  # a residual block
        ("y = x -> relu\nreturn x + y -> conv(3, 3)", []),
        ("layer a = conv(3, 3)\nreturn x", ["W403"]),
        ("layer a = conv(3, 3)\nreturn x -> a", []),
        ("y = x -> relu\nreturn x", ["N122"]),
        ("_y = x -> relu\nreturn x", []),
        ("let n = 3\nreturn x", ["N122"]),
        ('return x -> for i in range(2) { relu as "r{i}" }', []),
        ('let n = 1\nreturn x -> relu as "r{n}"', []),
        ("let stride = 2\nreturn x -> conv(8, 3, stride=2)", ["N122"]),  # an argument's name
        ("y = x -> relu  # allow N122\nreturn x", []),
        ("return x -> conv(8, 3) -> bn  # allow W401", []),
        ("return x -> conv(8, 3) -> bn  # allow W402", ["W401"]),
    ],
)
def test_a_lint_speaks_where_it_should(body: str, found: list[str]) -> None:
    assert codes(body) == found


def test_every_instance_must_lead_into_a_norm() -> None:
    text = """\
        net A(x: [N, 3, H, W]; norm = false) {
          return x -> conv(8, 3) -> (if norm then bn else relu)
        }
        net B = A(norm=true)
    """
    assert warnings(text) == ()


def test_a_default_that_is_in_force_is_named() -> None:
    (found,) = warnings(
        """\
        default conv(init=he)
        net A(x: [N, 3, H, W]) { return x -> conv(8, 3) -> bn }
        """
    )
    assert found.notes == (
        "`default conv(init=he)` is in force here: `bias=false` there says it for all",
    )


def test_every_lint_has_an_edit_that_silences_it() -> None:
    text = """\
        from resnet import Basic
        net A(x: [N, 3, H, W], v: [N, T, 3]) {
          let n = 3
          layer a = relu
          y = x -> conv(3, 3) -> bn
          z = x -> relu
          recur t in 1..T {
            s[T+1]: [N, 3] = 0
            s[t] = v[t] + s[t+1]
          }
          p = x + y -> conv(3, 3) -> global_avg_pool
          return p + s[T] -> softmax
        }
    """
    found = warnings(text)
    assert sorted({d.code for d in found}) == ["N122", "W401", "W402", "W403", "W404", "W405"]
    assert all(d.edits for d in found)
    source = found[0].edits[0].span.source
    assert warnings(apply(source, [edit for d in found for edit in d.edits])) == ()


def test_errors_come_without_warnings() -> None:
    text = "net A(x: [N, 3, H, W]) {\n  let n = 3\n  return x -> rulu\n}\n"
    found = check_sources(collect(Source("t.net", text), "t.net", None))
    assert [d.code for d in found] == ["N101"]
