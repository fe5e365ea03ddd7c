"""`netdsl check`: messages on stdout, the count on stderr, 1 where there is an error."""

from __future__ import annotations

import json
from pathlib import Path

from commands import Command

GOOD = """netdsl 1
net Good(x: [N, 4]) -> [N, 2] { return x -> linear(3) -> relu -> linear(2) }
"""
BAD = """netdsl 1
net Bad(x: [N, 4]) -> [N, 2] { return x -> linear(3) -> rulu -> linear(2) }
"""
MESSAGE = """\
error[N101]: there is no layer `rulu`
 --> bad.net:2:57
  |
2 | net Bad(x: [N, 4]) -> [N, 2] { return x -> linear(3) -> rulu -> linear(2) }
  |                                                         ^^^^
  = help: did you mean `relu`?

"""


def test_a_clean_file_is_said_to_be_clean(netdsl: Command) -> None:
    Path("good.net").write_text(GOOD)
    ran = netdsl("check", "good.net")
    assert (ran.code, ran.out, ran.err) == (0, "", "1 file: nothing found\n")


def test_an_error_is_shown_and_exits_with_1(netdsl: Command) -> None:
    Path("good.net").write_text(GOOD)
    Path("bad.net").write_text(BAD)
    ran = netdsl("check", "bad.net", "good.net", "lenet")
    assert (ran.code, ran.out, ran.err) == (1, MESSAGE, "3 files: 1 error, no warnings\n")


def test_findings_as_json_have_places(netdsl: Command) -> None:
    Path("bad.net").write_text(BAD)
    ran = netdsl("check", "bad.net", "--json")
    (finding,) = json.loads(ran.out)
    assert ran.code == 1
    assert (finding["code"], finding["severity"]) == ("N101", "error")
    assert (finding["place"]["file"], finding["place"]["line"]) == ("bad.net", 2)
    assert json.loads(netdsl("check", "lenet", "--format", "json").out) == []


def test_an_unknown_format_is_a_usage_error(netdsl: Command) -> None:
    ran = netdsl("check", "lenet", "--format", "xml")
    assert ran.code == 2
    assert "Error: Invalid value: the format is text or json, not `xml`\n" in ran.err


def test_a_file_that_is_not_there_is_a_finding(netdsl: Command) -> None:
    ran = netdsl("check", "lenett")
    assert ran.code == 1
    assert ran.out.startswith("error[N150]: there is no file and no shipped model `lenett`\n")
