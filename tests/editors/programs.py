"""Texts with marks, for the tests of what editors ask."""

from __future__ import annotations

from textwrap import dedent

from netdsl import front
from netdsl.editors.links import Files
from netdsl.editors.names import Names, Occurrence
from netdsl.editors.resolve import names
from netdsl.front import Analysis, Sources
from netdsl.parser import from_text
from netdsl.parser.outline import outline


def marked(text: str) -> tuple[str, int]:
    """The text without its mark `|`, and where that stands."""
    text = dedent(text)
    offset = text.index("|")
    return text[:offset] + text[offset + 1 :], offset


def named(text: str) -> Names:
    return names(outline(from_text(text, "t.net")))


def at(text: str) -> tuple[Names, Occurrence]:
    """The names of a text, and what stands at its mark."""
    text, offset = marked(text)
    found = named(text)
    occurrence = found.at(offset)
    assert occurrence is not None
    return found, occurrence


def linked(**texts: str) -> Files:
    """Files `name.net` in one folder."""
    return {f"{name}.net": named(dedent(text)) for name, text in texts.items()}


def analysis(text: str) -> tuple[Analysis, Names]:
    """What is known of a file and its names."""
    sources = Sources("t.net", {"t.net": from_text(dedent(text), "t.net")})
    program = front.outlined(sources)
    return front.analyse(sources, program), names(program.files["t.net"])
