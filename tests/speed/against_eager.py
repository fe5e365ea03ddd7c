"""Our modules beside torch eager in its best setting: one-thread CPU time, interleaved, as ratios.

    OMP_NUM_THREADS=1 python tests/speed/against_eager.py [lenet] [resnet18]

Every round runs each contender in turn; the table has the medians of the rounds and the ratio of
ours to the best eager setting (below 1: ours is faster). A training step is zero_grad, forward,
loss, backward and a fused SGD step.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

import netdsl

ROUNDS = 9
SECONDS = 0.4  # of CPU time a contender and round


def lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )


def resnet18() -> nn.Module:
    library = torch.library.Library("torchvision", "FRAGMENT")  # its C++ operators are not needed
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision.models import resnet18

    return resnet18()


# name -> (eager twin, target, hyper-parameters, shape of one example, classes, batches)
NETS = {
    "lenet": (lenet, "lenet", {}, (1, 32, 32), 10, (1, 16, 64, 256)),
    "resnet18": (resnet18, "resnet", {"depth": 18}, (3, 224, 224), 1000, (1, 8)),
}


def inference(model: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    model.eval()

    def call() -> None:
        with torch.no_grad():
            model(x)

    return call


def training(model: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimiser.step()

    return step


def compare(calls: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Median seconds of CPU time of each call, the contenders in turn within a round."""
    repeats = {}
    for name, call in calls.items():
        call()
        start = time.process_time()
        call()
        repeats[name] = max(1, int(SECONDS / max(time.process_time() - start, 1e-5)))
    seen: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                call()
            seen[name].append((time.process_time() - start) / repeats[name])
    return {name: statistics.median(times) for name, times in seen.items()}


def rows(net: str) -> Iterator[str]:
    twin, target, hyper, shape, classes, batches = NETS[net]
    for batch in batches:
        x = torch.randn(batch, *shape)
        nhwc = x.contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, classes, (batch,))
        inputs = {"eager": x, "eager channels_last": nhwc, "netdsl": x}
        for mode in ("inference", "training"):
            models = {
                "eager": twin(),
                "eager channels_last": twin().to(memory_format=torch.channels_last),
                "netdsl": netdsl.load(target, hyper=hyper),
            }
            calls = {
                name: inference(models[name], inputs[name])
                if mode == "inference"
                else training(models[name], inputs[name], labels)
                for name in models
            }
            found = compare(calls)
            best = min(found["eager"], found["eager channels_last"])
            times = " | ".join(f"{1e3 * found[name]:.3f}" for name in models)
            yield f"| {net} | {mode} | {batch} | {times} | {found['netdsl'] / best:.2f} |"


def main() -> None:
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.machine()}, 1 thread, fp32")
    print("| net | mode | batch | eager ms | channels_last ms | netdsl ms | ratio to the best |")
    print("|---|---|---|---|---|---|---|")
    for net in sys.argv[1:] or NETS:
        for row in rows(net):
            print(row, flush=True)


if __name__ == "__main__":
    main()
