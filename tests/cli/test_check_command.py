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


PYTORCH = """\
net A(x: [N, 3, H, W]) {\r
  return x -> nn.Conv2d(3, 8, 3, bias=False) -> rellu\r
}\r
"""


def test_fix_writes_what_is_sure_and_says_what_is_left(netdsl: Command) -> None:
    path = Path("a.net")
    path.write_text(PYTORCH, newline="")
    ran = netdsl("check", "a.net", "--fix")
    assert ran.code == 1
    assert ran.out.startswith("error[N101]: there is no layer `rellu`\n")
    assert ran.err == (
        "a.net:2:15: fixed [N006]: `nn.` is not needed: `nn.Conv2d` is called `conv` here\n"
        "a.net:2:34: fixed [N208]: `conv` with an even window must say its padding\n"
        "a.net:2:39: fixed [N101]: `False` is called `false` here\n"
        "1 file: 1 error, no warnings\n"
    )
    wanted = PYTORCH.replace("nn.Conv2d(3, 8, 3, bias=False)", "conv(8, 3, bias=false)")
    assert path.read_bytes().decode() == wanted


def test_diff_shows_what_fix_would_do_and_changes_nothing(netdsl: Command) -> None:
    path = Path("a.net")
    path.write_text("net A(x: [N]) {\n  return F.relu(x)\n}")
    ran = netdsl("check", "a.net", "--diff")
    assert (ran.code, ran.out) == (
        0,
        "--- a.net\n+++ a.net (fixed)\n@@ -1,3 +1,3 @@\n net A(x: [N]) {\n"
        "-  return F.relu(x)\n+  return relu(x)\n }\n\\ No newline at end of file\n",
    )
    assert ran.err.startswith("a.net:2:10: would fix [N006]: ")
    assert path.read_text() == "net A(x: [N]) {\n  return F.relu(x)\n}"


def test_fix_is_for_files(netdsl: Command) -> None:
    ran = netdsl("check", "lenet", "--fix")
    assert (ran.code, ran.err) == (2, "error: lenet is no file here, and --fix changes files\n")


def test_a_file_without_a_fix_is_not_written(netdsl: Command) -> None:
    path = Path("good.net")
    path.write_text(GOOD)
    before = path.stat()
    assert netdsl("check", "good.net", "--fix").code == 0
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_warnings_alone_are_no_failure(netdsl: Command) -> None:
    Path("a.net").write_text("net A(x: [N]) {\n  let n = 3\n  return x\n}\n")
    ran = netdsl("check", "a.net")
    assert ran.code == 0
    assert ran.out.startswith("warning[N122]: `n` is never used\n")
    assert ran.err == "1 file: no errors, 1 warning\n"


def test_expected_errors_are_compared(netdsl: Command) -> None:
    text = "net A(x: [N]) {{\n  return x -> rulu  # error[N101]: {}\n}}\n"
    Path("a.net").write_text(text.format("no layer"))
    Path("b.net").write_text(text.format("no such layer"))
    ran = netdsl("check", "--expect", "a.net")
    assert (ran.code, ran.out, ran.err) == (0, "", "1 file: no differences\n")
    ran = netdsl("check", "--expect", "a.net", "b.net")
    assert (ran.code, ran.err) == (1, "2 files: 2 differences\n")
    assert ran.out == (
        "b.net:2:15: not expected: error[N101]: there is no layer `rulu`\n"
        "b.net:2: expected and not found: error[N101]: no such layer\n"
    )
    assert netdsl("check", "--expect", "--fix", "a.net").code == 2
