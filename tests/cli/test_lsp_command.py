"""`netdsl lsp` without its packages; tests/editors drives it with them."""

from __future__ import annotations

import sys

import pytest
from commands import Command


def test_a_missing_package_is_said_with_the_line_that_installs_it(
    netdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("pygls", "netdsl.editors"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pygls", None)
    ran = netdsl("lsp")
    assert ran.code == 3
    assert ran.err == "error: `netdsl lsp` needs the package pygls: pip install pygls\n"
    assert ran.out == ""
