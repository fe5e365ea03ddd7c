"""The reference of the ops and the pages of networks say what the table and the nets say now."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from netdsl.ops import layers

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The script that writes them."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def test_every_generated_document_is_current(generate: ModuleType) -> None:
    stale = [path.name for path, text in generate.documents() if path.read_text("utf-8") != text]
    assert stale == [], "python docs/generate.py writes them anew"


def test_the_reference_has_every_layer(generate: ModuleType) -> None:
    named = re.findall(r"^(\w+)\(.*\)$", generate.ops(), re.M)
    assert sorted(named) == sorted(layers())


def test_every_page_has_a_figure_and_numbers_and_is_listed(generate: ModuleType) -> None:
    index = (DOCS / "networks/README.md").read_text("utf-8")
    assert re.findall(r"\((\w+)\.md\)", index) == list(generate.PAGES)
    for name in generate.PAGES:
        text = (DOCS / f"networks/{name}.md").read_text("utf-8")
        assert [mark[1] for mark in generate.SAID.findall(text)] == ["figure", "numbers"]


def test_the_nets_that_a_page_links_are_shipped(generate: ModuleType) -> None:
    for name in generate.PAGES:
        page = DOCS / f"networks/{name}.md"
        linked = re.findall(r"\]\((\.\./[^)]+)\)", page.read_text("utf-8"))
        assert linked and all((page.parent / path).is_file() for path in linked)
