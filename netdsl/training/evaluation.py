"""Batches of examples, and the loss and metric over those that are held out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from netdsl.datasets import Dataset
from netdsl.training import processes
from netdsl.training.measures import Measure

TEST_BATCH = 256


def batches(count: int, batch: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
    """The examples of one epoch in their order, which depends on nothing but the arguments.

    A last batch of one joins the one before: batch normalisation cannot train on one value.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    parts = list(torch.split(torch.randperm(count, generator=generator), batch))
    if len(parts) > 1 and len(parts[-1]) == 1:
        last = parts.pop()
        parts[-1] = torch.cat([parts[-1], last])
    return tuple(parts)


def outputs(result: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """The main output of a call and all outputs by name."""
    if isinstance(result, Tensor):
        return result, {}
    names = getattr(result, "_fields", tuple(map(str, range(len(result)))))
    named = dict(zip(names, result, strict=True))
    return next(iter(named.values())), named


def evaluate(
    model: nn.Module, dataset: Dataset, loss: Measure, metric: Measure, *, amp: str = ""
) -> tuple[float, float]:
    """Mean loss and metric over the test examples, of which each process of a group measures a
    part, in eval mode; the model's mode is put back."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    count, sums = len(dataset.x_test), torch.zeros(2, dtype=torch.float64)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        first, step = TEST_BATCH * processes.rank(), TEST_BATCH * processes.size()
        for start in range(first, count, step):
            part = slice(start, start + TEST_BATCH)
            arrays = (*dataset.test, dataset.y_test)
            *inputs, y = (torch.from_numpy(a[part]).to(device) for a in arrays)
            with torch.autocast(device.type, torch.bfloat16, enabled=amp == "bf16"):
                result, _ = outputs(model(*inputs))
            result = result.float() if amp else result
            sums += len(y) * torch.stack([loss(result, y), metric(result, y)]).cpu().double()
    processes.summed(sums)
    for module, mode in modes:  # parents first: train() reaches everything below
        module.train(mode)
    return float(sums[0] / count), float(sums[1] / count)
