"""Text to tokens. What is no token of the language is reported and left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lark import UnexpectedCharacters
from lark.parsers.lalr_interactive_parser import InteractiveParser

from netdsl.errors import Diagnostic, Diagnostics, Edit, Problem, Source, Span

DIGITS = 18
NAME_LENGTH = 128
CHARACTERS = 20  # reports of one file; more is no .net file


@dataclass(frozen=True, slots=True)
class Token:
    """One token: the name of its terminal, its text, its place. It is a leaf of the tree."""

    type: str
    text: str
    span: Span
    depth: int = 0


# what other languages write -> what it is here
SPELLINGS = {
    "→": "->",
    "⇒": "->",
    "|>": "->",
    "×": "*",
    "−": "-",
    "–": "-",
    "“": '"',
    "”": '"',
    "'": '"',
    "‘": '"',
    "’": '"',
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "!": "not",
    "&": "and",
    "|": "or",
}
# the terminals of those that stand for a token
TERMINALS = {
    "->": "ARROW",
    "*": "TIMES",
    "-": "MINUS",
    "<=": "COMPARE",
    ">=": "COMPARE",
    "!=": "COMPARE",
    "not": "NOT",
    "and": "AND",
    "or": "OR",
}


def read_tokens(
    parser: InteractiveParser, text: str, source: Source, found: Diagnostics, offset: int = 0
) -> list[Token]:
    """All tokens of the parser's text, the last one `$END`; it starts at the source's offset."""
    tokens: list[Token] = []
    lexer: Any = parser.lexer_thread
    unknown = 0
    while unknown < CHARACTERS:
        try:
            for token in lexer.lex(parser.parser_state):
                span = Span(source, offset + token.start_pos, offset + token.end_pos)
                tokens.append(Token(token.type, str(token), span))
                if len(token) > DIGITS and (problem := _too_long(tokens[-1])):
                    found.add(problem.at(span))
            break
        except UnexpectedCharacters:
            start: int = lexer.state.line_ctr.char_pos
            end = _end_of_run(text, start)
            lexer.state.line_ctr.feed(text[start:end])
            span = Span(source, offset + start, offset + end)
            found.add(_unknown(span))
            if (meant := SPELLINGS.get(span.text, "")) in TERMINALS:
                tokens.append(Token(TERMINALS[meant], meant, span))
            unknown += 1
    last = Span(source, offset + len(text), offset + len(text))
    return [*tokens, Token("$END", "", last)]


def _too_long(token: Token) -> Problem | None:
    """What is wrong with a long token, if anything."""
    if token.type in ("INT", "FLOAT"):
        mantissa = token.text.lower().partition("e")[0].replace(".", "").lstrip("0")
        if token.type == "FLOAT" and len(mantissa) <= DIGITS:
            return None
        return Problem("N322", f"this number has more than {DIGITS} digits")
    if token.type == "NAME" and len(token.text) > NAME_LENGTH:
        return Problem("N322", f"this name has more than {NAME_LENGTH} characters")
    return None


def _end_of_run(text: str, start: int) -> int:
    """Where the characters that belong to the first one end: those of a word, else it is alone."""
    if text[start : start + 2] in SPELLINGS:
        return start + 2
    end = start + 1
    while end < len(text) and text[start].isalpha() and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return end


def _unknown(span: Span) -> Diagnostic:
    text = span.text
    if text == '"':
        helps = ('a string ends on its line, with another `"`',)
        return Diagnostic("N001", "this string is never closed", span, helps=helps)
    if text in SPELLINGS:
        here = SPELLINGS[text]
        return Diagnostic(
            "N001",
            f"`{text}` is no character of the language",
            span,
            helps=(f"write `{here}`",),
            edits=(Edit(span, here),),
            sure=True,
        )
    if text[0].isalpha():
        message = f"the name `{text}` has letters beyond A-Z, a-z, 0-9 and _"
        return Diagnostic("N001", message, span)
    return Diagnostic("N001", f"`{text}` is no character of the language", span)
