"""The pygments lexer of .net files: `pygmentize -l netdsl my.net`, and code blocks in documents."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Whitespace, string_to_tokentype

from netdsl.editors.rules import LOOKS, Rule, rules


def _entry(rule: Rule) -> tuple[str, object]:
    kinds = [string_to_tokentype(LOOKS[c].token) if c else Whitespace for c in rule.classes]
    return rule.pattern, kinds[0] if len(kinds) == 1 else bygroups(*kinds)


class NetLexer(RegexLexer):  # type: ignore[misc]  # pygments has no types
    """Highlights .net files."""

    name = "netdsl"
    aliases: ClassVar[list[str]] = ["netdsl", "net"]
    filenames: ClassVar[list[str]] = ["*.net"]
    tokens: ClassVar[dict[str, list[tuple[str, object]]]] = {
        "root": [(r"\s+", Whitespace), *map(_entry, rules())]
    }
