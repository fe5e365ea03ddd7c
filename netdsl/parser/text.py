"""Bytes to the text of a .net file: UTF-8 without NUL, at most 256 kB; a BOM is dropped."""

from __future__ import annotations

from netdsl.errors import Problem, Source

FILE_LIMIT = 256 * 1024


def decode(content: bytes, name: str) -> Source:
    """The source that a file's bytes are; raises `Problem` N001 or N320 where they are none."""
    if len(content) > FILE_LIMIT:
        raise Problem(
            "N320",
            f"{name} has {len(content)} bytes; a .net file has at most {FILE_LIMIT}",
            helps=("split it into files that import each other",),
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem(
            "N001", f"{name} is not UTF-8: byte {content[error.start]:#04x} at offset {error.start}"
        ) from None
    nul = content.find(b"\0")
    if nul >= 0:
        raise Problem("N001", f"{name} has a NUL byte at offset {nul}")
    return Source(name, text.removeprefix("\ufeff"))


def from_text(text: str, name: str) -> Source:
    """The source that a string is, under the same rules."""
    return decode(text.encode("utf-8", "replace"), name)
