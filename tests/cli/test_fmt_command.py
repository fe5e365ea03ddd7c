"""`netdsl fmt`: files in the one style, in place, as a diff, or only compared."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from commands import Command

from netdsl import front

GOOD = """netdsl 1
net Good(x: [N, 4]) -> [N, 2] { return x -> linear(3) -> relu -> linear(2) }
"""
UGLY = """netdsl 1
net  Good( x : [N,4] )->[N, 2] {return x->linear( 3 ) -> relu->linear(2)}
"""
BROKEN = """net Bad(x: [N, 4]) { return x -> norm(3 1) }
"""


def test_a_file_is_written_in_the_style(netdsl: Command) -> None:
    Path("ugly.net").write_text(UGLY)
    Path("good.net").write_text(GOOD)
    ran = netdsl("fmt", "ugly.net", "good.net")
    assert (ran.code, ran.out, ran.err) == (0, "", "ugly.net changed\n")
    assert Path("ugly.net").read_text() == GOOD
    assert sorted(os.listdir()) == ["good.net", "ugly.net"]


def test_check_writes_nothing_and_exits_with_1(netdsl: Command) -> None:
    Path("ugly.net").write_text(UGLY)
    ran = netdsl("fmt", "--check", "ugly.net")
    assert (ran.code, ran.out, ran.err) == (1, "", "ugly.net would change\n")
    assert Path("ugly.net").read_text() == UGLY
    Path("ugly.net").write_text(GOOD)
    assert netdsl("fmt", "--check", "ugly.net").code == 0


def test_a_diff_is_printed_and_nothing_is_written(netdsl: Command) -> None:
    Path("ugly.net").write_text(UGLY)
    ran = netdsl("fmt", "--diff", "ugly.net")
    assert (ran.code, ran.err) == (0, "ugly.net would change\n")
    assert ran.out == (
        "--- ugly.net\n+++ ugly.net (changed)\n@@ -1,2 +1,2 @@\n netdsl 1\n"
        f"-{UGLY.splitlines()[1]}\n+{GOOD.splitlines()[1]}\n"
    )
    assert Path("ugly.net").read_text() == UGLY


def test_stdin_goes_to_stdout(netdsl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for given, code in ((UGLY, 0), (GOOD, 0)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        ran = netdsl("fmt", "-")
        assert (ran.code, ran.out, ran.err) == (code, GOOD, "")


def test_a_file_with_a_syntax_error_is_left_alone(netdsl: Command) -> None:
    Path("broken.net").write_text(BROKEN)
    Path("ugly.net").write_text(UGLY)
    ran = netdsl("fmt", "broken.net", "ugly.net")
    assert (ran.code, ran.out) == (1, "")
    (finding,) = front.check("broken.net")
    assert finding.message == "missing `,` before `1`"
    assert ran.err == f"{finding.render()}\n\nugly.net changed\n"
    assert Path("broken.net").read_text() == BROKEN


def test_crlf_and_a_bom_become_plain_lines(netdsl: Command) -> None:
    Path("dos.net").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert netdsl("fmt", "--check", "dos.net").code == 1
    assert netdsl("fmt", "dos.net").code == 0
    assert Path("dos.net").read_bytes() == GOOD.encode()


def test_a_link_stays_a_link_and_a_file_keeps_its_rights(netdsl: Command) -> None:
    Path("ugly.net").write_text(UGLY)
    Path("ugly.net").chmod(0o640)
    Path("link.net").symlink_to("ugly.net")
    assert netdsl("fmt", "link.net").code == 0
    assert Path("link.net").is_symlink()
    assert Path("ugly.net").read_text() == GOOD
    assert Path("ugly.net").stat().st_mode & 0o777 == 0o640


def test_a_shipped_model_is_no_file_to_format(netdsl: Command) -> None:
    ran = netdsl("fmt", "lenet")
    assert (ran.code, ran.err) == (2, "error: No such file or directory: lenet\n")
