"""From a layer graph to what runs: mode, gradient, passes, cut, fusion, in that order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from netdsl import passes
from netdsl.cut import forward_backward, prelude_main
from netdsl.differentiate import differentiate
from netdsl.ir import Builder, Graph
from netdsl.modes import specialise
from netdsl.passes import CLEAN, FUSE, Seen


NOTHING = Builder("prelude").build(())


@dataclass(frozen=True)
class Lowered:
    """The graphs of one mode.

    prelude    what depends on parameters alone (folded weights); its outputs are saved
    forward    inputs, parameters and the prelude's saved -> outputs, updates, saved
    backward   sources, saved and cotangents -> gradients; None where none is wanted
    """

    prelude: Graph
    forward: Graph
    backward: Graph | None


def lower(
    graph: Graph,
    *,
    training: Collection[str] = (),
    wanted: Collection[str] = (),
    off: Collection[str] = (),
    seen: Seen | None = None,
) -> Lowered:
    """The layer graph lowered for a mode.

    training  paths of the modules in training mode
    wanted    keys of the inputs and parameters that need a gradient
    off       names of passes to leave out
    seen      told every stage: (name, graph)
    """

    def tell(name: str, stage: Graph) -> Graph:
        if seen:
            seen(name, stage)
        return stage

    def fused(part: str, stage: Graph) -> Graph:
        named = (lambda name, g: tell(f"{name}:{part}", g)) if seen else None
        return passes.run(FUSE, stage, gradients=bool(wanted), off=off, seen=named)

    moded = tell("specialise", specialise(tell("elaborate", graph), training))
    if wanted:
        joint = tell("differentiate", differentiate(moded, wanted))
        joint = passes.run(CLEAN, joint, gradients=True, off=off, seen=seen)
        forward, backward = forward_backward(joint)
        return Lowered(NOTHING, fused("forward", forward), fused("backward", backward))
    clean = passes.run(CLEAN, moded, gradients=False, off=off, seen=seen)
    prelude, main = prelude_main(clean)
    return Lowered(prelude, fused("forward", main), None)

