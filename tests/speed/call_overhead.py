"""What a call costs beside its kernels: ResNet-50 without gradients, with a plan that computes
nothing.

    OMP_NUM_THREADS=1 python tests/speed/call_overhead.py
"""

from __future__ import annotations

import time

import torch

import netdsl
from netdsl.module import NetModule
from netdsl.plan import Plan

CALLS, ROUNDS = 300, 15


def overhead(model: NetModule) -> float:
    """Microseconds of CPU time of a call: the least of the rounds."""
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        y = model(x)
        real = Plan.__call__
        Plan.__call__ = lambda *_: [y]  # type: ignore[assignment, method-assign]
        try:
            return 1e6 * min(_round(model, x) for _ in range(ROUNDS))
        finally:
            Plan.__call__ = real  # type: ignore[method-assign]


def _round(model: NetModule, x: torch.Tensor) -> float:
    start = time.process_time()
    for _ in range(CALLS):
        model(x)
    return (time.process_time() - start) / CALLS


def main() -> None:
    torch.set_num_threads(1)
    model = netdsl.load("resnet", hyper={"depth": 50}).eval()
    print(f"ResNet-50, eval: {overhead(model):.0f} µs a call")
    print(f"ResNet-50, frozen: {overhead(model.freeze()):.0f} µs a call")


if __name__ == "__main__":
    main()
