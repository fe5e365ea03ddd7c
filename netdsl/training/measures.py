"""Losses and metrics by name, or by `package:function`; each takes (output, target) -> a scalar."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from netdsl.datasets.errors import did_you_mean

Measure: TypeAlias = Callable[[Tensor, Tensor], Tensor]


class TrainingError(ValueError):
    """A request that cannot be trained, with the fix in its message."""


def mse(y: Tensor, target: Tensor) -> Tensor:
    """Mean of (y - t)²; a class number is met as a one-hot vector."""
    return F.mse_loss(y, as_values(y, target))


def l1(y: Tensor, target: Tensor) -> Tensor:
    """Mean of |y - t|; a class number is met as a one-hot vector."""
    return F.l1_loss(y, as_values(y, target))


def cross_entropy(y: Tensor, target: Tensor) -> Tensor:
    """Mean of -log softmax(y) at the class, of logits."""
    return F.cross_entropy(classes_second(y, target), target)


def nll(y: Tensor, target: Tensor) -> Tensor:
    """Mean of -y at the class, of log-probabilities."""
    return F.nll_loss(classes_second(y, target), target)


def accuracy(y: Tensor, target: Tensor) -> Tensor:
    """The share of examples, or of their steps or pixels, whose largest output is their class."""
    return (classes_second(y, target).argmax(1) == target).float().mean()


def top5(y: Tensor, target: Tensor) -> Tensor:
    """The share whose class is among the five largest outputs."""
    y = classes_second(y, target)
    best = y.topk(min(5, y.shape[1]), dim=1).indices
    return (best == target[:, None]).any(1).float().mean()


def classes_second(y: Tensor, target: Tensor) -> Tensor:
    """Outputs of sequences `[N, T, classes]`, targets being `[N, T]`, in torch's order, which those
    of signals `[N, classes, T]` have. Raises `TrainingError` where both read alike."""
    if y.dim() != 3 or target.shape != y.shape[:2]:
        return y
    if y.shape[1] == y.shape[2]:
        raise TrainingError(
            f"outputs {list(y.shape)} have as many steps as classes, {y.shape[1]}: either axis may "
            "be the classes; use sequences of another length"
        )
    return y.transpose(1, 2)


def as_values(y: Tensor, target: Tensor) -> Tensor:
    """Targets to be met by y: class numbers as one-hot vectors, others in the shape of y."""
    if target.dtype == torch.int64:
        return F.one_hot(target, y.shape[1]).to(y.dtype)
    return target.to(y.dtype).reshape(y.shape)


LOSSES: Mapping[str, Measure] = {
    "ce": cross_entropy,
    "nll": nll,
    "mse": mse,
    "l1": l1,
}
METRICS: Mapping[str, Measure] = {"accuracy": accuracy, "top5": top5, "mse": mse, "mae": l1}
ONE_HOT = ("mse", "l1")


def find(what: str, name: str, known: Mapping[str, Measure]) -> Measure:
    """The measure of a name in the table, or the function `package:function`."""
    if name in known:
        return known[name]
    module, colon, function = name.partition(":")
    if not colon:
        names, guess = ", ".join(known), did_you_mean(name, known)
        raise TrainingError(f"no {what} is called `{name}` ({names}, or package:function){guess}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append("")  # the user's own module beside the net, as `python -m` would find it
    try:
        found: Measure = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise TrainingError(f"{what} `{name}`: {error}") from error
    return found
