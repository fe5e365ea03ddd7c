"""The names that the language itself has: words for values, and those of other libraries."""

from __future__ import annotations

from functools import cache

from netdsl.elaborate.scope import Scope
from netdsl.initial import NAMED
from netdsl.op import OPS
from netdsl.spelling import WORDS
from netdsl.syntax import Name


@cache
def words() -> frozenset[str]:
    """Names that stand for values of hyper-parameters: `half`, `zeros`, `he`."""
    kinds = [f.metadata["kind"] for op in OPS.values() for f in op.schema().values()]
    return frozenset(NAMED).union(*(kind.words for kind in kinds))


def is_known(node: Name, scope: Scope) -> bool:
    """Whether a name means anything here, or does in another library."""
    known = (*words(), *WORDS, *OPS, "none")
    return node.text in known or scope.find(node.text) is not None
