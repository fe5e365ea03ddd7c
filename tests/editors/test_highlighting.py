"""Highlighting: both grammars say of every token what our own lexer and parser say of it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
from pygments.lexer import RegexLexer
from pygments.token import string_to_tokentype

from netdsl.editors.highlight import NetLexer
from netdsl.editors.rules import LOOKS, rules
from netdsl.editors.textmate import FILE, grammar
from netdsl.errors import Diagnostics
from netdsl.parser import from_text
from netdsl.parser.tables import keywords, load
from netdsl.parser.tokens import Token, read_tokens
from netdsl.sources import models, shipped

ROOT = Path(__file__).parents[2]

# text that no shipped model has, but the language
CORNERS = """\
netdsl 1
from blocks.more import Conv  # comment with "a string" -> and 1
extern deform(x: [N, C, H, W]; k = 3) -> [N, C, H, W]
net A(x: int[N, 2*h]; s = 1e-3, p = .5) -> (y: [N, 16], train aux: [N, 2]) {
  require h % 2 == 0 and not (p >= 0.5 or s != 1), "odd # not a comment"
  param W: [16, 16] = orthogonal
  layer enc = (linear(16) -> relu) as encoder[]
  let sum = max(1, 2) // 1 ^ 2
  recur t in 1..h { g[t] = f(x; in=3, as=4, axis = -1) @ W }
  y = x -> (if true then relu else for i in range(3) { enc }) as "block{i}.0" -> conv(8, 3) as net
  z = x -> repeat 2 { relu } as 0 -> linear(2) as for[]
  aux = if x.for == none then z.net else y
}
"""
TEXTS = {**{name: shipped(name).text for name in models()}, "corners": CORNERS}

Classes = list[tuple[str, int, int]]  # class of `rules`, start, end


def by_pygments(text: str) -> Classes:
    classes = {string_to_tokentype(look.token): name for name, look in LOOKS.items()}
    found: Classes = []
    for start, kind, value in NetLexer().get_tokens_unprocessed(text):
        if value.strip():
            found.append((classes[kind], start, start + len(value)))
    return found


def by_textmate(text: str) -> Classes:
    """As an editor does it: line by line, the leftmost match counts, then the first pattern."""
    classes = {f"{look.scope}.net": name for name, look in LOOKS.items()}
    patterns = [(re.compile(p["match"]), p) for p in json.loads(grammar())["patterns"]]
    found: Classes = []
    offset = 0
    for line in text.splitlines(keepends=True):
        position = 0
        while matches := [
            (match.start(), n, match, p)
            for n, (pattern, p) in enumerate(patterns)
            if (match := pattern.search(line, position))
        ]:
            start, _, match, rule = min(matches, key=lambda m: m[:2])
            skipped = line[position:start]
            assert not skipped.strip(), f"no pattern takes {skipped!r}"
            captures = rule.get("captures", {"0": rule})
            for group, capture in captures.items():
                span = match.span(int(group))
                found.append((classes[capture["name"]], offset + span[0], offset + span[1]))
            position = match.end()
        offset += len(line)
    return found


def by_the_parser(text: str) -> Iterator[tuple[Token, bool]]:
    """Every token, and whether it stands where any word may: a label, an argument, a field."""
    source = from_text(text, "t.net")
    tokens = read_tokens(load().parse_interactive(text), text, source, Diagnostics())[:-1]
    parser = load().parse_interactive(text)
    for token, behind in pairwise([*tokens, None]):
        accepts = parser.accepts()
        parser.feed_token(token)
        word = {"THEN", "IN", "IMPORT"} <= accepts  # no keyword could stand here as such
        argument = "LPAR" in accepts  # but the arguments of a call may be values too
        yield token, word and (not argument or (behind is not None and behind.type == "EQUAL"))


KINDS = {"INT": "number", "FLOAT": "number", "STRING": "string", "NAME": "name"}
NAMES = ("field", "definition", "given", "type", "layer", "call", "name", "label", "constant")
WORDS = ("declaration", "control", "logic", "constant")


def agrees(token: Token, word: bool, kind: str) -> bool:
    if word and token.type != "STRING":
        return kind in ("label", "given", "field")
    if token.text in keywords():
        return kind in WORDS
    if token.type == "NAME":
        return kind in NAMES and (kind != "constant" or token.text == "none")
    return kind == KINDS.get(token.type, kind) and (
        token.type in KINDS or kind in ("operator", "punctuation")
    )


@pytest.mark.parametrize("classify", [by_pygments, by_textmate])
@pytest.mark.parametrize("name", TEXTS)
def test_highlighting_agrees_with_the_parser(name: str, classify: Callable[[str], Classes]) -> None:
    text = TEXTS[name]
    found = classify(text)
    comments = [(start, end) for kind, start, end in found if kind == "comment"]
    classes = {(start, end): kind for kind, start, end in found if kind != "comment"}
    told = list(by_the_parser(text))
    covered: set[tuple[int, int]] = set()
    for token, word in told:
        place = token.span.start, token.span.end
        parts = [p for p in classes if place[0] <= p[0] and p[1] <= place[1]]  # `[]` is two
        assert "".join(text[a:b] for a, b in sorted(parts)) == token.text, token.span
        for part in parts:
            assert agrees(token, word, classes[part]), (token.text, classes[part], str(token.span))
        covered.update(parts)
    assert set(classes) == covered
    left = list(text)
    for start, end in (*covered, *comments):
        left[start:end] = " " * (end - start)
    assert not "".join(left).strip()
    assert [text[a:b] for a, b in comments] == re.findall(r"#.*", _without_strings(text))


def _without_strings(text: str) -> str:
    return re.sub(r'(?m)^([^#\n]*?)"[^"\n]*"', lambda m: m[0].replace("#", " "), text)


@pytest.mark.parametrize("classify", [by_pygments, by_textmate])
def test_labels_arguments_and_fields_may_be_keywords(
    classify: Callable[[str], Classes],
) -> None:
    text = "y = x -> conv(8, in=3) as for[] -> relu as 0\nz = y.then"
    found = {text[start:end]: kind for kind, start, end in classify(text)}
    assert found["in"] == "given"
    assert found["for"] == "label"
    assert found["0"] == "label"
    assert found["then"] == "field"
    assert found["as"] == "declaration"
    assert found["conv"] == "layer"


def test_each_class_of_a_rule_has_its_group() -> None:
    several = [rule for rule in rules() if len(rule.classes) > 1]
    assert [re.compile(rule.pattern).groups for rule in several] == [
        len(rule.classes) for rule in several
    ]
    assert {c for rule in rules() for c in rule.classes if c} == set(LOOKS)


def test_the_stored_textmate_grammar_is_that_of_the_language() -> None:
    stored = files("netdsl.editors").joinpath(FILE).read_text("utf-8")
    assert stored == grammar(), "python -m netdsl.editors.generate"


def test_a_part_in_braces_of_a_string_is_highlighted_apart() -> None:
    (string,) = [
        p for p in json.loads(grammar())["patterns"] if "captures" in p and '"' in p["match"]
    ]
    (inserted,) = string["captures"]["0"]["patterns"]
    assert re.findall(inserted["match"], '"denselayer{i}.norm{j}"') == ["{i}", "{j}"]


def test_pygments_finds_the_lexer_by_the_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, name = project["entry-points"]["pygments.lexers"]["netdsl"].partition(":")
    lexer = getattr(import_module(module), name)
    assert issubclass(lexer, RegexLexer)
    assert (lexer.name, lexer.aliases, lexer.filenames) == ("netdsl", ["netdsl", "net"], ["*.net"])


def test_the_keywords_are_those_of_the_grammar() -> None:
    text = files("netdsl").joinpath("grammar.lark").read_text("utf-8")
    assert keywords() == tuple(re.findall(r'^[A-Z]+: "([a-z]+)"$', text, re.M))
