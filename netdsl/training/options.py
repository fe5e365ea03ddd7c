"""What decides the numbers of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from netdsl.datasets import Dataset
from netdsl.training.measures import TrainingError
from netdsl.training.optimisers import OPTIMISERS, known

LEAST = {"epochs": 1, "batch": 1, "seed": 0, "lr": 0.0, "momentum": 0.0, "decay": 0.0, "clip": 0.0}


@dataclass(frozen=True)
class Options:
    """An empty value takes the default of the data (loss, metric) or of the optimiser (the rest).

    `weight`: factors of further outputs in the loss, by name. `clip`: largest norm of the gradient.
    `decay`: weight decay. `amp`: "bf16" runs the forward pass under autocast.
    """

    loss: str = ""
    metric: str = ""
    epochs: int = 10
    lr: float | None = None
    optim: str = "adamw"
    momentum: float | None = None
    decay: float | None = None
    batch: int = 32
    clip: float | None = None
    seed: int = 0
    weight: Mapping[str, float] = field(default_factory=dict)
    amp: str = ""

    def resolved(self, dataset: Dataset) -> Options:
        """With every default filled in; raises `TrainingError` for what cannot be."""
        row = known(self.optim)
        if self.momentum is not None and row.momentum is None:
            with_it = ", ".join(name for name, o in OPTIMISERS.items() if o.momentum is not None)
            raise TrainingError(f"`{self.optim}` takes no momentum; {with_it} does")
        if self.amp not in ("", "bf16"):
            raise TrainingError(f"`amp` is bf16 or left out, not `{self.amp}`")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise TrainingError(f"`{name}` is {least} or more, not {value}")
        loss, metric = ("ce", "accuracy") if dataset.classes else ("mse", "mse")
        defaults: dict[str, Any] = {
            "loss": loss,
            "metric": metric,
            "lr": row.lr,
            "momentum": row.momentum,
            "decay": row.decay,
        }
        empty = {k: v for k, v in defaults.items() if getattr(self, k) in ("", None)}
        return replace(self, weight=dict(self.weight), **empty)
