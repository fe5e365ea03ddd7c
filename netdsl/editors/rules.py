"""Highlighting as one table, from which the TextMate grammar and the pygments lexer are made.

Keywords, names and numbers are the grammar's, layers are the op table's. A token never leaves its
line, so each rule is one pattern, in the regular expressions that Python and Oniguruma share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from netdsl.editors.vocabulary import NOTHING, functions
from netdsl.elaborate.binding import DTYPES
from netdsl.parser.tables import keywords, pattern


@dataclass(frozen=True)
class Look:
    """How a class of text is called: the scope of a TextMate grammar, the token of pygments."""

    scope: str
    token: str


LOOKS: dict[str, Look] = {
    "comment": Look("comment.line.number-sign", "Comment.Single"),
    "string": Look("string.quoted.double", "String.Double"),
    "number": Look("constant.numeric", "Number"),
    "declaration": Look("keyword.other", "Keyword.Declaration"),
    "control": Look("keyword.control", "Keyword"),
    "logic": Look("keyword.operator.word", "Operator.Word"),
    "constant": Look("constant.language", "Keyword.Constant"),
    "label": Look("entity.name.label", "Name.Label"),
    "field": Look("variable.other.member", "Name.Attribute"),
    "definition": Look("entity.name.function", "Name.Class"),
    "given": Look("variable.parameter", "Name.Variable"),
    "type": Look("storage.type", "Keyword.Type"),
    "layer": Look("support.function", "Name.Builtin"),
    "call": Look("entity.name.function.call", "Name.Function"),
    "name": Look("variable.other", "Name"),
    "operator": Look("keyword.operator", "Operator"),
    "punctuation": Look("punctuation", "Punctuation"),
}

# keywords that declare nothing
CONTROL = ("return", "repeat", "recur", "for", "in", "if", "then", "else")
LOGIC = ("and", "or", "not")
CONSTANT = ("true", "false")


@dataclass(frozen=True)
class Rule:
    """Text of one class; with several classes, the n-th is that of the n-th group."""

    pattern: str
    classes: tuple[str, ...]


def rules() -> tuple[Rule, ...]:
    """In order: where several match, the first counts. What none matches is space or no token."""
    name = pattern("NAME")
    special = {*CONTROL, *LOGIC, *CONSTANT}
    declarations = [word for word in keywords() if word not in special]
    return (
        Rule("#.*", ("comment",)),
        Rule(pattern("STRING"), ("string",)),
        Rule(rf"{pattern('FLOAT')}|{pattern('INT')}", ("number",)),
        Rule(rf"(\bas\b)(\s+)({name}|{pattern('INT')})", ("declaration", "", "label")),
        Rule(rf"(\b(?:net|block|extern)\b)(\s+)({name})", ("declaration", "", "definition")),
        Rule(pattern("DOTDOT"), ("operator",)),
        Rule(rf"(\.)(\s*)({name})", ("punctuation", "", "field")),
        Rule(rf"\b{name}(?=\s*=(?!=))", ("given",)),  # before keywords: `in=3` is an argument
        Rule(_words(CONTROL), ("control",)),
        Rule(_words(LOGIC), ("logic",)),
        Rule(_words((*CONSTANT, NOTHING)), ("constant",)),
        Rule(_words(declarations), ("declaration",)),
        Rule(rf"{_words(DTYPES)}(?=\[)", ("type",)),
        Rule(_words(functions()), ("layer",)),
        Rule(rf"\b{name}(?=\s*\()", ("call",)),
        Rule(rf"\b{name}", ("name",)),
        Rule(_operators(), ("operator",)),
        Rule(r"[,:;(){}\[\].]", ("punctuation",)),
    )


def _words(words: Iterable[str]) -> str:
    return rf"\b(?:{'|'.join(words)})\b"


def _operators() -> str:
    terminals = ("ARROW", "COMPARE", "EQUAL", "TIMES", "PLUS", "MINUS", "CARET")
    return "|".join(pattern(terminal) for terminal in terminals)
