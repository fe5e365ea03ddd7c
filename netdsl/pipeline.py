"""From a layer graph to what runs: mode, autocast, gradient, passes, cut, fusion, in that order;
without gradients autocast comes after the passes, so that weights are folded in full precision.

The passes are one ordered table: `CLEAN` runs on the whole, `FUSE` on each part after the cut.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from netdsl.cut import forward_backward, prelude_main
from netdsl.differentiate import differentiate
from netdsl.fusions.conv_sum import fuse_conv_sum
from netdsl.fusions.pointwise import fuse_pointwise
from netdsl.ir import Builder, Graph
from netdsl.modes import specialise
from netdsl.ops.cast import Autocast
from netdsl.passes.autocast import autocast
from netdsl.passes.cse import share_equal
from netdsl.passes.fold_bn import fold_bn
from netdsl.passes.fold_constants import fold_constants
from netdsl.passes.hoist import hoist
from netdsl.passes.join_pieces import join_pieces
from netdsl.passes.join_siblings import join_siblings
from netdsl.passes.recompute import recompute
from netdsl.passes.sink import sink
from netdsl.passes.split_concat import split_concat
from netdsl.passes.through_time import through_time
from netdsl.passes.unused import drop_unused

Pass: TypeAlias = Callable[[Graph], Graph]
Seen: TypeAlias = Callable[[str, Graph], None]


@dataclass(frozen=True)
class Entry:
    """A row of the pipeline: `inference` passes run only where no gradient is wanted."""

    run: Pass
    doc: str
    inference: bool = False


LOOPS: dict[str, Entry] = {
    "split-concat": Entry(split_concat, "a product of joined operands becomes a sum of products"),
    "join-siblings": Entry(join_siblings, "products of one value in a step become one product"),
    "join-pieces": Entry(join_pieces, "functions of pieces become one function of them all"),
    "hoist": Entry(hoist, "what no earlier step changes leaves a recurrence: all steps at once"),
}
CLEAN: dict[str, Entry] = {
    "through-time": Entry(through_time, "the gradient of a recurrence is one the other way"),
    "hoist": Entry(hoist, "what no earlier step changes leaves a recurrence: all steps at once"),
    "sink": Entry(sink, "what no later step reads leaves a recurrence: all steps at once"),
    "drop-unused": Entry(drop_unused, "nodes that no output depends on are dropped"),
    "fold-constants": Entry(fold_constants, "arithmetic on constants is done; x * 1 is x"),
    "cse": Entry(share_equal, "equal ops on equal operands are computed once"),
    "fold-bn": Entry(fold_bn, "bn in eval moves into the weights before it", inference=True),
    "recompute": Entry(recompute, "backward makes again what is cheap, rather than have it saved"),
}
FUSE: dict[str, Entry] = {
    "fuse-conv-sum": Entry(
        fuse_conv_sum, "a convolution adds the shortcut to its result", inference=True
    ),
    "fuse-pointwise": Entry(fuse_pointwise, "chains of pointwise ops become one region"),
}
PASSES = {**LOOPS, **CLEAN, **FUSE}

NOTHING = Builder("prelude").build(())


@dataclass(frozen=True)
class Lowered:
    """The graphs of one mode.

    prelude    what depends on parameters alone (folded weights); its outputs are saved
    forward    inputs, parameters and the prelude's saved -> outputs, updates, saved
    backward   sources, saved and cotangents -> gradients; no outputs where there are none
    """

    prelude: Graph
    forward: Graph
    backward: Graph


def _nobody(name: str, graph: Graph) -> None:
    """Nobody looks at the stages."""


def lower(
    graph: Graph,
    *,
    training: Collection[str] = (),
    wanted: Collection[str] = (),
    off: Collection[str] = (),
    synced: str | None = None,
    mixed: Autocast | None = None,
    streams: Sequence[int] = (),
    seen: Seen = _nobody,
) -> Lowered:
    """The layer graph lowered for a mode.

    training  paths of the modules in training mode
    wanted    keys of the inputs and parameters that need a gradient
    off       names of passes to leave out
    synced    the process group of bn's statistics, see `specialise`
    mixed     the state of torch.autocast where it is on
    streams   of the layers that draw numbers, see `specialise`
    seen      told every stage: (name, graph)
    """

    def tell(name: str, stage: Graph) -> Graph:
        seen(name, stage)
        return stage

    def fused(part: str, stage: Graph) -> Graph:
        def named(name: str, fused: Graph) -> None:
            seen(f"{name}:{part}", fused)

        return _run(FUSE, stage, gradients=bool(wanted), off=off, seen=named)

    def casted(stage: Graph) -> Graph:
        return stage if mixed is None else tell("autocast", autocast(stage, mixed))

    moded = tell("specialise", specialise(tell("elaborate", graph), training, synced, streams))
    kept = (*off, *(() if mixed is None else ("split-concat",)))  # a sum would be rounded once more
    moded = _run(LOOPS, moded, gradients=bool(wanted), off=kept, seen=seen)
    if wanted:
        joint = tell("differentiate", differentiate(casted(moded), wanted))
        joint = _run(CLEAN, joint, gradients=True, off=off, seen=seen)
        forward, backward = forward_backward(joint)
        return Lowered(NOTHING, fused("forward", forward), fused("backward", backward))
    clean = casted(_run(CLEAN, moded, gradients=False, off=off, seen=seen))
    prelude, main = prelude_main(clean)
    return Lowered(prelude, fused("forward", main), NOTHING)


def _run(
    table: dict[str, Entry],
    graph: Graph,
    *,
    gradients: bool,
    off: Collection[str],
    seen: Seen,
) -> Graph:
    """The graph after every pass of the table; `seen` is told each stage by the pass's name."""
    for name, entry in table.items():
        if name in off or (entry.inference and gradients):
            continue
        graph = entry.run(graph)
        seen(name, graph)
    return graph
