"""`netdsl pin`: what it writes, what it says, when it writes nothing."""

from __future__ import annotations

from pathlib import Path

from commands import Command

NET = """netdsl 1
net Two(x: [N, 4]) -> [N, 2] {
  return x -> linear(3) -> relu -> linear(2)  # logits
}
"""
PINNED = """netdsl 1
net Two(x: [N, 4]) -> [N, 2] {
  return x -> linear(3) as linear1 -> relu -> linear(2) as linear2  # logits
}
"""
LOOP = """netdsl 1
net Deep(x: [N, 4]) -> [N, 4] { return x -> repeat 6 { linear(4) -> relu } }
"""


def test_names_are_written_into_the_file_once(netdsl: Command) -> None:
    Path("two.net").write_text(NET)
    ran = netdsl("pin", "two.net")
    assert (ran.code, ran.out, ran.err) == (0, "", "two.net changed\n")
    assert Path("two.net").read_text() == PINNED
    ran = netdsl("pin", "two.net")
    assert (ran.code, ran.err) == (0, "two.net: every name that can be written out is\n")


def test_check_and_diff_write_nothing(netdsl: Command) -> None:
    Path("two.net").write_text(NET)
    assert netdsl("pin", "two.net", "--check").code == 1
    ran = netdsl("pin", "two.net", "--diff")
    assert ran.code == 0
    assert f"+{PINNED.splitlines()[2]}\n" in ran.out
    assert Path("two.net").read_text() == NET


def test_what_cannot_have_a_label_is_said(netdsl: Command) -> None:
    Path("deep.net").write_text(LOOP)
    ran = netdsl("pin", "deep.net")
    assert ran.code == 0
    assert ran.err == (
        "left as it is: deep.net:2:56: `linear(4)` is linear1, linear2, linear3, …, linear6: "
        "no one label says that\n"
        "deep.net: every name that can be written out is\n"
    )
    assert Path("deep.net").read_text() == LOOP


def test_a_file_with_errors_is_left_alone(netdsl: Command) -> None:
    Path("bad.net").write_text(NET.replace("relu", "rulu"))
    ran = netdsl("pin", "bad.net")
    assert ran.code == 1
    assert "error[N101]: there is no layer `rulu`" in ran.err
    assert Path("bad.net").read_text() == NET.replace("relu", "rulu")
