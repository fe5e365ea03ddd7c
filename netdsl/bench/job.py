"""What is measured, as plain data that travels to the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Job:
    """A net at one size.

    target   as `netdsl.load` takes it
    batch    examples in a call; `sizes`: numbers for other names of the signature
    train    a training step (zero_grad, forward, loss, backward, fused SGD), not inference
    dtype    bfloat16: weights and inputs of inference; a training step runs under autocast
    threads  that a contender may use
    seconds  how long one round of one contender takes
    folder   where the inputs are, and the exported net; `source`: what it was exported from
    """

    target: str
    hyper: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 1
    sizes: Mapping[str, int] = field(default_factory=dict)
    train: bool = False
    dtype: str = "float32"
    threads: int = 1
    seconds: float = 0.3
    seed: int = 0
    folder: str = ""
    source: str = ""


@dataclass(frozen=True)
class Variant:
    """A setting that a contender is tried in. `mallopt`: freed memory stays in the process (see
    netdsl.memory), as it does in a process with a net of ours."""

    channels_last: bool = False
    mallopt: bool = False

    def __str__(self) -> str:
        said = {"channels_last": self.channels_last, "mallopt": self.mallopt}
        return ", ".join(name for name, on in said.items() if on)


def save_inputs(job: Job, inputs: Mapping[str, NDArray[Any]]) -> None:
    """Leave the inputs, in order, for every contender."""
    import numpy as np

    for place, array in enumerate(inputs.values()):
        np.save(Path(job.folder, f"input{place}.npy"), array)


def inputs_of(job: Job) -> list[NDArray[Any]]:
    """The inputs of a job, the same in every process."""
    import numpy as np

    files = sorted(Path(job.folder).glob("input*.npy"), key=lambda file: int(file.stem[5:]))
    return [np.load(file, allow_pickle=False) for file in files]
