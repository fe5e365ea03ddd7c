"""Whatever a .net file has for bytes: a graph or a `NetError`, soon, and never another exception.

`NETDSL_MUTATIONS=20000` asks for more than the run of every day.
"""

from __future__ import annotations

import json
import os
import time

import pytest
from mutations import mutation

from netdsl import sources
from netdsl.errors import NetError, Problem
from netdsl.front import build, check_sources
from netdsl.parser import decode

COUNT = int(os.environ.get("NETDSL_MUTATIONS", "1000"))
CHUNK = 250
SECONDS = 2.0  # of CPU time, each


@pytest.mark.parametrize("first", range(0, COUNT, CHUNK))
def test_a_mutated_file_is_a_net_or_an_error(first: int) -> None:
    slow = []
    for seed in range(first, min(first + CHUNK, COUNT)):
        content = mutation(seed)
        start = time.process_time()
        try:
            _outcome(content)
        except Exception as error:
            raise AssertionError(f"mutation({seed}) raises {type(error).__name__}") from error
        seconds = time.process_time() - start
        if seconds > SECONDS:
            slow.append((seed, seconds))
    assert slow == []


def _outcome(content: bytes) -> None:
    """Check all nets of the file, show what is found, and build the graph where there is one."""
    sources.parsed.cache_clear()
    try:
        read = sources.collect(decode(content, "m.net"), "m.net", None)
        found = check_sources(read)
        for diagnostic in found:
            assert len(diagnostic.render().encode()) <= 2048
            json.dumps(diagnostic.as_json())
        if not any(d.is_error for d in found):
            build(read)
    except NetError as error:
        assert error.diagnostics and str(error)
    except Problem as problem:  # of the bytes: there is no text yet that has places
        assert problem.diagnostic.code in ("N001", "N320")


# Found by mutations: each was another exception once.
BROKE = {
    "an output declared without axes": (
        "net A(x: [N, 3]) -> [] { return x -> linear(3) }",
        ["N201"],
    ),
    "a table as a size": (
        "block B(x: [N, {1: C}]) { return x }\nnet A(x: [N, 3]) { return x -> B }",
        ["N203"],
    ),
    "results whose first is unknown, as a layer": (
        "block B(x) -> (y: [N], z: [N]) { y = x -> nothing  z = x }\n"
        "net A(x: [N]) { v = x -> B  return x -> v }",
        ["N101", "N112"],
    ),
}


@pytest.mark.parametrize("name", BROKE)
def test_what_broke_once_is_an_error(name: str) -> None:
    text, codes = BROKE[name]
    found = check_sources(sources.collect(decode(text.encode(), "t.net"), "t.net", None))
    assert [d.code for d in found if d.is_error] == codes
