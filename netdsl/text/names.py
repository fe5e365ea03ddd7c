"""Names for values that no input, size, layer or word of the language has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import count

from netdsl.elaborate.builtins import BUILTINS
from netdsl.initial import NAMED
from netdsl.ir import Graph
from netdsl.op import OPS, layers
from netdsl.parser.tables import keywords
from netdsl.recur import every_node
from netdsl.sizes import names as names_of
from netdsl.supplied import Supplied

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]{0,127}")


class Names:
    """The names of one net. `own` are those that its signature takes: what else is called so is
    given another name before the net, `let v7 = relu`, and kept in `lets`. `kept` can be given to
    nothing in the net, `taken` to no new value."""

    def __init__(self, graph: Graph) -> None:
        sizes = {name for op in graph.inputs for size in op.type.shape for name in names_of(size)}
        self.own = sizes | {op.key for op in graph.inputs}
        self.kept = self.own | _words() | _externs(graph)
        self.taken = self.kept | {out.name for out in graph.outputs}
        self.lets: dict[str, str] = {}
        self._numbers = {prefix: count(1) for prefix in "vs"}

    def fresh(self, prefix: str = "v") -> str:
        """A new name: v1, v2 … for tensors, s1, s2 … for shared layers."""
        return next(
            name for n in self._numbers[prefix] if (name := f"{prefix}{n}") not in self.taken
        )

    def word(self, text: str) -> str:
        """A layer, or a value that begins with a word of the language."""
        match = IDENTIFIER.match(text)
        if match is None or match[0] not in self.own:
            return text
        if text not in self.lets:
            self.lets[text] = self.fresh()
        return self.lets[text]

    def free(self, name: str) -> bool:
        """Whether the name can be given to something in the net."""
        return bool(IDENTIFIER.fullmatch(name)) and name not in self.kept


def _externs(graph: Graph) -> set[str]:
    found = {node.op.extern for node in every_node(graph) if isinstance(node.op, Supplied)}
    for name in found & OPS.keys():
        raise ValueError(f"the extern `{name}` has the name of a layer")
    return found


def _words() -> set[str]:
    kinds: Iterable[tuple[str, ...]] = (
        f.metadata["kind"].words for op in layers().values() for f in op.schema().values()
    )
    return {*OPS, *BUILTINS, *NAMED, "none", *keywords()}.union(*kinds)
