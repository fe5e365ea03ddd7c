"""A layer graph as .net text, which parses back to the identical graph.

print(to_text(parse("resnet")))     # blocks inlined, loops unrolled, every path as a label

Every stage is one statement, in the order of the graph: `v3 = conv(v2; 64, 3) as "layer1.0.conv1"`.
"""

from __future__ import annotations

from netdsl.fmt import format
from netdsl.ir import Graph
from netdsl.text.net import net_text

__all__ = ["to_text"]


def to_text(graph: Graph) -> str:
    """The net in the language, in the style of `netdsl.format`.

    Raises `ValueError` for what no .net file says: internal ops, outputs picked by path, nodes
    without a path, different ops under one path.
    """
    return format(f"netdsl 1\n{net_text(graph)}")
