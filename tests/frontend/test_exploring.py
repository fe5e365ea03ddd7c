"""Bodies that nothing uses are read for their names and arguments, and for nothing else."""

from __future__ import annotations

from textwrap import dedent

import pytest

from netdsl.errors import Source
from netdsl.front import check_sources
from netdsl.sources import collect


def found(text: str) -> list[str]:
    findings = check_sources(collect(Source("t.net", dedent(text)), "t.net", None))
    return [f"{d.code}:{d.span.line if d.span else 0}" for d in findings if d.is_error]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("return x -> rulu", "N101"),
        ("return y", "N101"),
        ("return x -> conv(w, 3, strid=2)", "N103"),
        ("return x -> conv(w)", "N105"),
        ("return if w > 3 then x -> rulu else x", "N101"),
        ("return if w > 3 then x else x -> rulu", "N101"),
        ("return x -> for i in range(w) { rulu }", "N101"),
        ("return x -> repeat w { rulu }", "N101"),
        ("return x -> (if w > 3 then rulu else relu)", "N101"),
        ("return average([x -> rulu for i in range(w)])", "N101"),
        ("return if w > 3 and v > 3 then x else x", "N101"),
        ("y = x", "N130"),
        ("recur t in 1..w { h[t] = x[t] -> rulu }\nreturn h", "N101"),
        ("return x -> dropout(2)", "N106"),
    ],
)
def test_a_block_that_nothing_uses_is_read(body: str, code: str) -> None:
    text = f"block B(x; w) {{\n{body}\n}}\nnet A(x: [N, 3]) {{ return x }}\n"
    assert [error.partition(":")[0] for error in found(text)] == [code]


@pytest.mark.parametrize(
    "body",
    [
        "return x -> (if w > 3 then relu as a else tanh as a)",
        "return if w > 3 then x -> relu as a else x -> tanh as a",
        "a, b = x\nreturn a + b",
        "return x.y + x.z",
        "return w(x)",
        "return x -> w(3, 4, k=2)",
        "let n = w[3]\nreturn x -> conv(n[0], n[1])",
        "require w > 3\nreturn x",
        "return x -> (if w then conv(4, 3) else identity)",
        "recur t in 1..w { h[0] = x  h[t] = h[t-1] + x[t] }\nreturn h",
        "return (x -> linear(4)) + (x -> linear(4))",
        "h, c = x -> B(w)\nreturn h",
    ],
)
def test_what_depends_on_the_use_is_no_error(body: str) -> None:
    text = f"block B(x; w) {{\n{body}\n}}\nnet A(x: [N, 3]) {{ return x }}\n"
    assert found(text) == []


def test_a_net_that_needs_hyper_parameters_is_read() -> None:
    text = "net A(x: [N, 3]; width) {\n  return x -> linear(width) -> rulu\n}\n"
    assert found(text) == ["N101:2"]


def test_a_branch_that_no_default_takes_is_read() -> None:
    text = "net A(x: [N, 3]; deep = false) {\n  return if deep then x -> rulu else x\n}\n"
    assert found(text) == ["N101:2"]


def test_a_line_that_has_an_error_has_it_once() -> None:
    text = """\
        block B(x; w) {
          return x -> conv(w, 3, strid=2) -> rulu
        }
        net A(x: [N, 3, H, W]) { return x -> B(8) }
    """
    assert found(text) == ["N103:2", "N101:2"]


def test_an_error_in_an_imported_file_has_the_way_to_it() -> None:
    text = (
        "from resnet import Bottleneck\nnet A(x: [N, C, H, W]) {\n  return x -> Bottleneck(64)\n}\n"
    )
    findings = check_sources(collect(Source("t.net", text), "t.net", None))
    first = findings[0]
    assert first.span is not None and first.span.source.name == "resnet.net"
    assert first.render().splitlines()[-1].strip() == "in Bottleneck, instantiated at t.net:3:15"
