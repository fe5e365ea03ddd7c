"""Every code has its row, its bad example has exactly this code, its good one nothing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import netdsl
from netdsl.explain import CODES, Code, findings, messages

MESSAGES = Path(__file__).parent / "messages"
ROWS = list(CODES.values())
CODE = re.compile(r"[NW]\d{3}")


def raised() -> set[str]:
    """Every string of the sources that is a code, the table itself left out."""
    root = Path(netdsl.__file__).parent
    files = [path for path in root.rglob("*.py") if path.parent.name != "explain"]
    trees = [ast.parse(path.read_text("utf-8")) for path in files]
    constants = [n.value for t in trees for n in ast.walk(t) if isinstance(n, ast.Constant)]
    return {v for v in constants if isinstance(v, str) and CODE.fullmatch(v)}


def test_every_code_that_is_raised_has_its_row_and_no_row_is_idle() -> None:
    assert raised() == set(CODES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_the_bad_example_has_this_code_and_its_whole_message(row: Code) -> None:
    found = messages(row)
    assert {diagnostic.code for diagnostic in found} == {row.code}
    told = "\n\n".join(diagnostic.render() for diagnostic in found) + "\n"
    assert told == (MESSAGES / f"{row.code}.txt").read_text("utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_the_good_example_is_without_a_finding(row: Code) -> None:
    assert findings(row, row.good) == ()


def test_every_stored_message_belongs_to_a_code() -> None:
    assert sorted(path.stem for path in MESSAGES.glob("*.txt")) == sorted(CODES)


def test_warnings_are_those_of_lints_and_unused_values() -> None:
    warnings = [row.code for row in ROWS if row.severity == "warning"]
    assert warnings == ["N122", "W401", "W402", "W403", "W404", "W405"]
    assert all(f.severity == row.severity for row in ROWS for f in messages(row))
