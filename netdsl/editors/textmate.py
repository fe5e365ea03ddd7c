"""The TextMate grammar of .net files, which VS Code and many other editors highlight by."""

from __future__ import annotations

import json

from netdsl.editors.rules import LOOKS, Rule, rules

FILE = "net.tmLanguage.json"
SCOPE = "source.net"
INSERTED = r"\{[^{}]*\}"  # `as "denselayer{i}"`


def grammar() -> str:
    """The grammar as JSON."""
    content = {
        "name": "netdsl",
        "scopeName": SCOPE,
        "fileTypes": ["net"],
        "patterns": [_pattern(rule) for rule in rules()],
    }
    return json.dumps(content, indent=2) + "\n"


def _pattern(rule: Rule) -> dict[str, object]:
    if rule.classes == ("string",):
        inserted = {"match": INSERTED, "name": _scope("name")}
        whole = {"name": _scope("string"), "patterns": [inserted]}
        return {"match": rule.pattern, "captures": {"0": whole}}
    if len(rule.classes) == 1:
        return {"match": rule.pattern, "name": _scope(rule.classes[0])}
    named = {str(n): {"name": _scope(c)} for n, c in enumerate(rule.classes, 1) if c}
    return {"match": rule.pattern, "captures": named}


def _scope(kind: str) -> str:
    return f"{LOOKS[kind].scope}.net"
