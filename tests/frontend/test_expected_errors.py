"""Files that carry their errors, one a code family; and comparing a file with what it carries."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.errors import Source
from netdsl.expecting import differences, expected
from netdsl.explain import CODES
from netdsl.front import all_findings, check_sources
from netdsl.sources import collect, read

FILES = sorted((Path(__file__).parent / "errors").glob("*.net"))
ELSEWHERE = {  # they need other files, a call, the end of a file, or a text too long to look at
    *("N310",),
    *("N007", "N115", "N116", "N133", "N151", "N153", "N312", "N320", "N321", "N322", "N323"),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_has_the_findings_that_it_announces_and_no_others(path: Path) -> None:
    sources, _ = read(path)
    source = sources.files[sources.root]
    assert list(differences(source, all_findings(sources))) == []


def test_every_code_stands_in_a_file() -> None:
    announced = {e.code for path in FILES for e in expected(Source(path.name, path.read_text()))}
    assert announced | ELSEWHERE >= set(CODES)


def compared(text: str) -> list[str]:
    source = Source("t.net", text)
    return list(differences(source, check_sources(collect(source, "t.net", None))))


def test_an_expected_error_is_matched_by_code_line_and_text() -> None:
    text = "net A(x: [N]) {{\n  return x -> rulu  # error[{}]: {}\n}}\n"
    assert compared(text.format("N101", "no layer `rulu`")) == []
    assert compared(text.format("N101", "")) == []
    assert compared(text.format("N103", "rulu")) == [
        "t.net:2:15: not expected: error[N101]: there is no layer `rulu`",
        "t.net:2: expected and not found: error[N103]: rulu",
    ]
    assert compared(text.format("N101", "reelu")) == [
        "t.net:2:15: not expected: error[N101]: there is no layer `rulu`",
        "t.net:2: expected and not found: error[N101]: reelu",
    ]


def test_several_findings_of_one_line_stand_in_one_comment() -> None:
    text = (
        "net A(x: [N]) { return relu1 + tanh1 }  # error[N101]: `relu1`  # error[N101]: `tanh1`\n"
    )
    assert compared(text) == []


def test_a_text_in_quotes_announces_nothing() -> None:
    text = 'let a = "# error[N101]: x"\nnet A(x: [N]) { return x }\n'
    assert compared(text) == []
