"""The parser's tables: built by lark from grammar.lark once, kept as plain data in grammar.json.

Building takes 150 ms, loading 20. Tables of another grammar or another lark are not used. After a
change of the grammar: `python -m netdsl.parser.generate`.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

import lark
from lark.grammar import Rule
from lark.lexer import PatternStr, TerminalDef

from netdsl.parser.tree import TREE
from netdsl.pause import pause_collector

OPTIONS: dict[str, Any] = {
    "parser": "lalr",
    "lexer": "basic",  # the contextual lexer would take a keyword as a name
    "keep_all_tokens": True,  # a node's span runs from its first token to its last
    "maybe_placeholders": False,
}
_FOLDER = files("netdsl")


@cache
def load() -> lark.Lark:
    """The parser, from grammar.json where that is up to date, else from the grammar."""
    grammar = _FOLDER.joinpath("grammar.lark").read_text("utf-8")
    stored = _FOLDER.joinpath("grammar.json")
    if stored.is_file():
        with pause_collector():
            content = json.loads(stored.read_text("utf-8"))
            if content["key"] == key(grammar):
                return _restore(content["data"], content["memo"])
    return build(grammar)


@cache
def keywords() -> tuple[str, ...]:
    """The words of the grammar, none of which can be a name, in its order."""
    texts = [str(t.pattern.value) for t in load().terminals if isinstance(t.pattern, PatternStr)]
    return tuple(text for text in texts if text.isidentifier())


@cache
def pattern(terminal: str) -> str:
    """The regular expression of a terminal of the grammar."""
    return next(t.pattern.to_regexp() for t in load().terminals if t.name == terminal)


def key(grammar: str) -> str:
    """What stored tables must carry to be used."""
    return hashlib.sha256(f"lark {lark.__version__} {OPTIONS}\n{grammar}".encode()).hexdigest()


def dump(grammar: str) -> str:
    """The tables of a grammar as JSON."""
    data, memo = build(grammar, tree=False).memo_serialize([TerminalDef, Rule])
    data["parser"]["parser"] = _in_order(data["parser"]["parser"])
    content = {"key": key(grammar), "data": data, "memo": memo}
    return json.dumps(content, separators=(",", ":")) + "\n"


def _in_order(table: dict[str, Any]) -> dict[str, Any]:
    """The parser's table with states and terminals numbered by the grammar alone, not by where
    lark's objects happened to be in memory."""
    names = table["tokens"]
    ranks = {token: rank for rank, token in enumerate(sorted(names, key=names.__getitem__))}
    numbers: dict[Any, int] = {}
    pending = list(table["start_states"].values())
    while pending:
        state = pending.pop(0)
        if state not in numbers:
            numbers[state] = len(numbers)
            row = table["states"][state]
            pending += [row[t][1] for t in sorted(row, key=ranks.__getitem__) if row[t][0] == 0]

    def renumbered(row: dict[Any, Any]) -> dict[int, Any]:
        steps = sorted(row.items(), key=lambda step: ranks[step[0]])
        return {ranks[t]: (a, numbers[to] if a == 0 else to) for t, (a, to) in steps}

    ends = ("start_states", "end_states")
    return {
        "tokens": {rank: names[token] for token, rank in ranks.items()},
        "states": {n: renumbered(table["states"][state]) for state, n in numbers.items()},
        **{end: {name: numbers[state] for name, state in table[end].items()} for end in ends},
    }


def build(grammar: str, tree: bool = True) -> lark.Lark:
    """The parser of a grammar; without `tree` its rules build lark's own."""
    return lark.Lark(grammar, transformer=TREE if tree else None, **OPTIONS)


def _restore(data: dict[str, Any], memo: dict[str, Any]) -> lark.Lark:
    # JSON made strings of the numbers that were keys
    table = data["parser"]["parser"]
    table["tokens"] = _numbered(table["tokens"])
    table["states"] = _numbered({n: _numbered(row) for n, row in table["states"].items()})
    loaded: lark.Lark = lark.Lark._load_from_dict(  # type: ignore[no-untyped-call]
        data, _numbered(memo), transformer=TREE
    )
    return loaded


def _numbered(rows: dict[str, Any]) -> dict[int, Any]:
    return {int(n): row for n, row in rows.items()}
