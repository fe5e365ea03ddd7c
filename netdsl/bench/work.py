"""What one call of a net computes, at the sizes of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netdsl import compiler
from netdsl.bench.job import Job
from netdsl.ir import Source
from netdsl.rewrite import reachable, with_sizes
from netdsl.show.cost import cost
from netdsl.signature import bind
from netdsl.verify.inputs import random_inputs

if TYPE_CHECKING:
    from torch import Tensor

STEP = 3  # forward, and the two products of each in backward


@dataclass(frozen=True)
class Work:
    net: str
    inputs: Mapping[str, Tensor]
    flops: int


def work(job: Job) -> Work:
    """The net's name, random inputs, and floating-point operations: two for every
    multiply-accumulate, three times as many in a training step."""
    graph = compiler.load(job.target, hyper=dict(job.hyper), seed=job.seed).graph
    inputs = random_inputs(graph, job.batch, job.sizes, job.seed)
    graph = with_sizes(graph, bind(graph, list(inputs.values())))
    outputs = tuple(o for o in graph.outputs if job.train or o.role != "train")
    computed = [n for n in reachable(graph, outputs) if not isinstance(graph.node(n).op, Source)]
    macs = cost(graph, computed).macs
    assert isinstance(macs, int)
    return Work(graph.name, inputs, 2 * macs * (STEP if job.train else 1))
