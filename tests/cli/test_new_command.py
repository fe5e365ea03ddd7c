"""`netdsl new`: files to start from, which check."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command

from netdsl import front
from netdsl.fmt import format


def test_a_first_net_is_named_after_its_file_and_checks(netdsl: Command) -> None:
    ran = netdsl("new", "my-first.net")
    assert (ran.code, ran.err) == (0, "my-first.net written. Next:\n")
    assert ran.out == (
        "netdsl check my-first.net\nnetdsl show my-first.net\n"
        "netdsl train my-first.net --data mnist5k -o my-first.netc\n"
    )
    text = Path("my-first.net").read_text()
    assert text.splitlines()[2].startswith("net MyFirst(x: ")
    assert format(text) == text
    assert netdsl("check", "my-first.net").err == "1 file: nothing found\n"


@pytest.mark.parametrize("model", [name.removesuffix(".net") for name in front.models()])
def test_a_copy_of_a_model_checks_and_says_where_it_comes_from(netdsl: Command, model: str) -> None:
    assert netdsl("new", "copy.net", "--from", model).code == 0
    second = Path("copy.net").read_text().splitlines()[1]
    assert second == f"# A copy of `{model}`, which comes with netdsl."
    assert netdsl("check", "copy.net").code == 0
    assert [net.name for net in front.nets("copy.net")] == [net.name for net in front.nets(model)]


def test_a_file_that_is_there_is_left_alone(netdsl: Command) -> None:
    Path("my.net").write_text("mine")
    ran = netdsl("new", "my.net")
    assert (ran.code, ran.err) == (
        2,
        "error: my.net is there already; take another name, or remove it\n",
    )
    assert Path("my.net").read_text() == "mine"


def test_a_name_can_be_given(netdsl: Command) -> None:
    assert netdsl("new", "my.net", "--net", "Digits").code == 0
    assert [net.name for net in front.nets("my.net")] == ["Digits"]
    assert netdsl("new", "2nd.net").code == 0
    assert [net.name for net in front.nets("2nd.net")] == ["Net2nd"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["my.txt"], "the file of a net ends in .net, not `my.txt`"),
        (["my.net", "--net", "net"], "`net` is no name for a net"),
        (["my.net", "--net", "A", "--from", "lenet"], "--net names a first net"),
    ],
)
def test_what_cannot_be_written_is_a_usage_error(
    netdsl: Command, arguments: list[str], message: str
) -> None:
    ran = netdsl("new", *arguments)
    assert ran.code == 2
    assert message in ran.err.replace("\n", " ")
    assert not Path("my.net").exists()


def test_an_unknown_model_proposes_the_nearest(netdsl: Command) -> None:
    ran = netdsl("new", "my.net", "--from", "lenett")
    assert ran.code == 1
    assert "did you mean `lenet`?" in ran.err
    assert not Path("my.net").exists()
