"""Weights from elsewhere: a state_dict in a safetensors file or a torch file, read as data only."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor


class WeightsError(ValueError):
    """A file that holds no state_dict, or one that could run code."""


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file by name. Pickles of anything but tensors are refused."""
    try:
        return load_file(path)
    except SafetensorError:
        pass
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is none of its own
        why = str(error).partition("\n")[0].partition(". (1)")[0]
        raise WeightsError(
            f"{path}: neither safetensors nor a torch file of tensors alone: {why}"
        ) from None
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(t, Tensor) for t in found.values()):
        raise WeightsError(f"{path}: holds no state_dict (names and tensors)")
    return found
