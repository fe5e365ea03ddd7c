"""`netdsl explain`: a code with its examples and the message that is computed from them."""

from __future__ import annotations

import json

from commands import Command

from netdsl.explain import CODES


def test_a_code_is_explained_with_its_computed_message(netdsl: Command) -> None:
    ran = netdsl("explain", "n005")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        """\
error N005: something is missing between two words

One more token makes the text readable: a comma between arguments, an arrow between
stages, the `in` of a loop.

Wrong:
    net A(x: [N, 3, H, W]) {
      return x -> conv(8 3)
    }

    error[N005]: missing `,` before `3`
     --> example.net:2:22
      |
    2 |   return x -> conv(8 3)
      |                      ^

Right:
    net A(x: [N, 3, H, W]) {
      return x -> conv(8, 3)
    }
"""
    )


def test_all_codes_are_listed(netdsl: Command) -> None:
    lines = netdsl("explain").out.splitlines()
    assert [line.split()[0] for line in lines] == list(CODES)
    assert lines[0] == "N001  error    a character that the language does not have"


def test_an_unknown_code_is_a_usage_error_with_a_guess(netdsl: Command) -> None:
    ran = netdsl("explain", "N20")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: there is no code N20: did you mean N320? (`netdsl explain` lists them all)\n"
    )


def test_a_code_as_json_has_its_findings(netdsl: Command) -> None:
    found = json.loads(netdsl("explain", "N206", "--json").out)
    assert (found["code"], found["severity"]) == ("N206", "error")
    assert [f["code"] for f in found["findings"]] == ["N206"]
    assert len(json.loads(netdsl("explain", "--json").out)) == len(CODES)


def test_a_long_example_is_shortened(netdsl: Command) -> None:
    assert len(netdsl("explain", "N320").out) < 2000
