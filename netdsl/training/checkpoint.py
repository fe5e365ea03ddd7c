"""Checkpoints: all that a run needs to go on bit for bit, as data in one safetensors file.

Tensors: `model.KEY`, `optimiser.INDEX.NAME`, `rng.cpu`, `rng.cuda`. The rest is JSON under one
metadata key. Nothing in the file can run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from netdsl.files import replacing

KEY = "netdsl.checkpoint"
VERSION = 1


class CheckpointError(ValueError):
    """A file that is no checkpoint of ours, or one of another net."""


@dataclass(frozen=True)
class Checkpoint:
    """`state`: the run's own JSON (options, position, history); `tensors` by prefixed name."""

    state: dict[str, Any]
    tensors: dict[str, Tensor]


def save(
    path: str | Path, model: nn.Module, optimiser: torch.optim.Optimizer, state: Mapping[str, Any]
) -> None:
    """Write everything; a kill at any moment leaves the old file or the new."""
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    numbers: dict[str, dict[str, Any]] = {}
    packed = optimiser.state_dict()
    for index, slots in packed["state"].items():
        for name, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser.{index}.{name}"] = value
            else:
                numbers.setdefault(str(index), {})[name] = value
    tensors["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    text = json.dumps({"version": VERSION, "optimiser": numbers, **state}, sort_keys=True)
    # safetensors refuses tensors that share memory, and writes contiguous ones only.
    whole = {
        key: value.detach().clone(memory_format=torch.contiguous_format)
        for key, value in tensors.items()
    }
    with replacing(Path(path)) as temporary:
        save_file(whole, temporary, {KEY: text})


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint; raises `CheckpointError` for any other file."""
    if not Path(path).exists():
        raise FileNotFoundError(2, "no such checkpoint", str(path))
    try:
        with safe_open(path, "pt") as file:
            state = json.loads((file.metadata() or {})[KEY])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if state["version"] > VERSION:
            raise CheckpointError(f"{path} was written by a newer netdsl")
        return Checkpoint(state, tensors)
    except CheckpointError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no checkpoint of a training run: {error}") from error


def restore(checkpoint: Checkpoint, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Put the weights, the optimiser's state and the random generators back."""
    try:
        model.load_state_dict(_below(checkpoint.tensors, "model."))
        slots: dict[int, dict[str, Any]] = {}
        for index, numbers in checkpoint.state["optimiser"].items():
            slots.setdefault(int(index), {}).update(numbers)
        trained = [p for group in optimiser.param_groups for p in group["params"]]
        for key, value in _below(checkpoint.tensors, "optimiser.").items():
            index, _, name = key.partition(".")
            slots.setdefault(int(index), {})[name] = _laid_out(value, trained[int(index)])
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": slots, "param_groups": groups})
        torch.set_rng_state(checkpoint.tensors["rng.cpu"])
        if torch.cuda.is_available() and "rng.cuda" in checkpoint.tensors:
            torch.cuda.set_rng_state(checkpoint.tensors["rng.cuda"])
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"the checkpoint is of another net: {error}") from error


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """An optimiser's tensor in the layout of its parameter, which fused steps take for granted."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: t for key, t in tensors.items() if key.startswith(prefix)}
