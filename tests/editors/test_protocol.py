"""Places in the protocol's coordinates: lines and columns from 0, in units that clients choose."""

from __future__ import annotations

import pytest
from lsprotocol import types as lsp
from pygls.workspace import PositionCodec

from netdsl.editors.protocol import offset, position
from netdsl.parser import from_text

TEXT = 'require a, "😀é" # 中\r\nlet b = 3\n\n\u2028let c = 4'
SIZES = {"utf-8": 1, "utf-16-le": 2, "utf-32-le": 4}


@pytest.mark.parametrize("encoding", SIZES)
def test_every_place_is_found_again(encoding: str) -> None:
    codec = PositionCodec(encoding.removesuffix("-le"))
    source = from_text(TEXT, "t.net")
    for at in range(len(TEXT) + 1):
        if TEXT[at - 1 : at] == "\r":
            continue  # between the two characters that end a line
        found = position(source, at, codec)
        line = TEXT[:at].rpartition("\n")[2]
        assert found.line == TEXT[:at].count("\n")
        assert found.character == len(line.encode(encoding)) // SIZES[encoding]
        assert offset(source, found, codec) == at


@pytest.mark.parametrize(
    ("line", "character", "behind"),
    [(0, 99, "\r\nlet b"), (1, 99, "\n\n\u2028let c"), (9, 0, ""), (3, 99, "")],
)
def test_a_place_that_is_not_there_is_the_nearest(line: int, character: int, behind: str) -> None:
    source, codec = from_text(TEXT, "t.net"), PositionCodec()
    at = offset(source, lsp.Position(line, character), codec)
    assert TEXT[at:].startswith(behind)
    assert behind or at == len(TEXT)
