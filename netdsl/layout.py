"""Memory layout of a net's images on CPU: NHWC where its convolutions are wide enough to gain."""

from __future__ import annotations

import torch
from torch import Tensor

from netdsl.ir import Graph

WIDE = 16


def prefers_channels_last(graph: Graph) -> bool:
    """Whether most of the net's image convolutions have wide inputs."""
    widths = [op.type.shape[1] for op in graph.parameters if op.type.rank == 4]
    wide = [w for w in widths if isinstance(w, int) and w >= WIDE]
    return 2 * len(wide) > len(widths)


def channels_last(x: Tensor) -> Tensor:
    """Images as NHWC; any other tensor as it is."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
