"""Nets as text, graphs of one mode, and numbers for them: what the pass tests have in common."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping

import torch
from tolerances import NET, assert_close
from torch import Tensor

from netdsl.front import parse_text
from netdsl.interpreter import interpret
from netdsl.ir import Graph, Input, Parameter
from netdsl.modes import specialise
from netdsl.rewrite import with_sizes

SIZES = {"N": 3, "H": 5, "W": 4, "T": 2}
DTYPES = {"float": torch.float64, "int": torch.int64, "bool": torch.bool}


def graph(text: str, training: tuple[str, ...] = ()) -> Graph:
    """A net's graph in one mode: in eval, but for the paths in training mode."""
    return specialise(parse_text(text), training)


def numbers(graph: Graph) -> dict[str, Tensor]:
    """A random tensor for every input, parameter and buffer; buffers are positive."""
    generator = torch.Generator().manual_seed(0)
    given = {}
    for _, node in with_sizes(graph, SIZES).items:
        op = node.op
        if isinstance(op, (Input, Parameter)):
            x = torch.randn(op.type.shape, generator=generator, dtype=torch.float64)
            positive = isinstance(op, Parameter) and op.buffer
            given[op.key] = (x.abs() + 0.5 if positive else x).to(DTYPES[op.type.dtype])
    return given


def run(graph: Graph, given: Mapping[str, Tensor]) -> dict[tuple[str, str], Tensor]:
    """The outputs by role and name."""
    concrete = with_sizes(graph, SIZES)
    roles = [(o.role, o.name) for o in graph.outputs]
    return dict(zip(roles, interpret(concrete, given), strict=True))


def rewritten(rewrite: Callable[[Graph], Graph], before: Graph, expected: str) -> Graph:
    """The graph after a pass: its whole text is the expected one, its numbers those of before."""
    after = rewrite(before)
    assert after.text() == textwrap.dedent(expected).strip()
    given = numbers(before)
    references, found = run(before, given), run(after, given)
    assert list(found) == list(references)
    for name, reference in references.items():
        assert_close(found[name], reference, NET, name)
    return after
