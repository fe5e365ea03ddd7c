"""What docs/editors.md tells people to write names what there is."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

from netdsl.cli import COMMANDS
from netdsl.editors.textmate import FILE, SCOPE

TEXT = (Path(__file__).parents[2] / "docs" / "editors.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.M | re.S)
    return str(found)


def test_the_extension_of_vs_code_names_the_grammar() -> None:
    contributes = json.loads(block("json"))["contributes"]
    (grammar,) = contributes["grammars"]
    assert grammar == {"language": "netdsl", "scopeName": SCOPE, "path": f"./{FILE}"}
    assert contributes["languages"] == [{"id": "netdsl", "extensions": [".net"]}]


def test_the_grammar_stands_where_the_command_says() -> None:
    assert (files("netdsl.editors") / FILE).is_file()
    assert f"files('netdsl.editors') / '{FILE}'" in block("sh")


def test_every_editor_starts_the_server_by_its_command() -> None:
    helix = tomllib.loads(block("toml"))
    assert helix["language-server"]["netdsl"] == {"command": "netdsl", "args": ["lsp"]}
    assert '{ "netdsl", "lsp" }' in block("lua")
    assert '("netdsl" "lsp")' in block("elisp")
    assert 'command: "netdsl", args: ["lsp"]' in block("js")
    assert "lsp" in COMMANDS
