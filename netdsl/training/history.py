"""What a run tells: its steps as they go, its epochs, and these as a .csv or .jsonl file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from netdsl.files import replacing
from netdsl.training.measures import TrainingError
from netdsl.training.options import Options


@dataclass(frozen=True)
class Step:
    """Told after each step: how many of an epoch are done."""

    epoch: int
    step: int
    steps: int


@dataclass(frozen=True)
class Epoch:
    """Told after each epoch: mean loss over the training examples as they were met, then mean loss
    and metric over the test examples."""

    epoch: int
    loss: float
    test_loss: float
    metric: float
    lr: float
    seconds: float


@dataclass(frozen=True)
class History:
    """A finished run: its options with every default filled in, and its epochs."""

    options: Options
    rows: tuple[Epoch, ...]

    @property
    def metric(self) -> float:
        """The metric on the test examples after the last epoch."""
        return self.rows[-1].metric


Rows: TypeAlias = Sequence[Mapping[str, Any]]


def write_log(path: str | Path | None, epochs: Sequence[Epoch], metric: str) -> None:
    """All epochs so far, the metric's column under its own name; whole after every epoch."""
    if not path:
        return
    rows = []
    for epoch in epochs:
        columns = asdict(epoch)
        columns[f"test_{metric}"] = columns.pop("metric")
        rows.append(columns)
    with replacing(Path(path)) as temporary:
        temporary.write_text(FORMATS[Path(path).suffix](rows), encoding="utf-8")


def check_log(path: str | Path | None) -> None:
    """Refuse a name that says no format we write."""
    if path and Path(path).suffix not in FORMATS:
        raise TrainingError(f"a log is a file that ends in .csv or .jsonl, not `{path}`")


def _csv(rows: Rows) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _jsonl(rows: Rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


FORMATS: Mapping[str, Callable[[Rows], str]] = {".csv": _csv, ".jsonl": _jsonl}
