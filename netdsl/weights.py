"""The state_dict of a safetensors or torch file, read as data only; a net takes it whole, under
other names, or in part."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from netdsl.renaming import Difference, Origin, Shape, compare, read_renaming

# where training scripts put the state_dict in what they save
WITHIN = ("state_dict", "model_state_dict", "model", "module")
EXAMPLES = 5


class WeightsError(ValueError):
    """A file that holds no state_dict, one that could run code, or one that does not fit."""


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file by name. Pickles of anything but tensors are refused."""
    if _is_safetensors(path):
        try:
            return load_file(path)
        except SafetensorError as error:
            raise WeightsError(
                f"{path}: a damaged or truncated safetensors file: {error}"
            ) from None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is none of its own
        why = str(error).partition("\n")[0].partition(". ")[0]
        raise WeightsError(
            f"{path}: neither safetensors nor a torch file of tensors alone, or damaged: {why}\n"
            "a file of more than tensors could run code: save the state_dict alone, with "
            "torch.save(model.state_dict(), path) or safetensors"
        ) from None
    if isinstance(found, dict):
        found = next((found[key] for key in WITHIN if isinstance(found.get(key), dict)), found)
    if not isinstance(found, dict) or not all(isinstance(t, Tensor) for t in found.values()):
        raise WeightsError(f"{path}: holds no state_dict (names and tensors)")
    return found


def _is_safetensors(path: str | Path) -> bool:
    """Eight bytes of length, then JSON."""
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


@dataclass(frozen=True)
class Filled:
    """What became of the keys: `taken` from the file; `kept` at their initial values, of them
    `reshaped` since the file has another shape; `unused`, keys of the file."""

    taken: tuple[str, ...]
    kept: tuple[str, ...]
    reshaped: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        said = [f"{len(self.taken)} {'key' if len(self.taken) == 1 else 'keys'} taken"]
        for what, keys in (("kept their initial values", self.kept), ("not used", self.unused)):
            if keys:
                said.append(f"{len(keys)} {what} ({examples(keys)})")
        return ", ".join(said)


def fill(
    model: nn.Module,
    path: str | Path,
    *,
    renaming: str | Path | None = None,
    partial: bool = False,
    unused: Collection[str] = (),
) -> Filled:
    """Load the weights of a file into a net; they take its dtypes.

    renaming  a JSON table, keys of the net to keys of the file, as `netdsl keys --write` makes it
    partial   take what fits; by default every key must be there, in its shape, and no other
    unused    keys that the file may have beyond those of the net

    Raises `WeightsError`, with the net as it was.
    """
    given = read_weights(path)
    if renaming is not None:
        given = _renamed(given, read_renaming(renaming), path)
    wanted = model.state_dict()
    found = compare_keys(wanted, given)
    surplus = tuple(key for key in found.unexpected if key not in unused)
    if not partial and (found.missing or found.reshaped or surplus):
        raise WeightsError(_misfit(path, wanted, given, found, surplus))
    if not found.same:
        raise WeightsError(f"{path}: none of its keys fits: {_hint(path)}")
    with torch.no_grad():
        model.load_state_dict({key: given[key] for key in found.same}, strict=False)
    kept = (*found.missing, *found.reshaped)
    return Filled(found.same, kept, found.reshaped, (*surplus, *found.reshaped))


def compare_keys(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> Difference:
    """The keys of two state_dicts."""
    return compare(shapes(wanted), shapes(given))


def shapes(state: Mapping[str, Any]) -> dict[str, Shape]:
    """The shapes of a state_dict."""
    return {key: tuple(t.shape) for key, t in state.items()}


def examples(keys: Collection[str]) -> str:
    """The first few of some keys."""
    more = ["…"] if len(keys) > EXAMPLES else []
    return ", ".join([*list(keys)[:EXAMPLES], *more])


def _renamed(
    given: Mapping[str, Tensor], renaming: Mapping[str, Origin], path: str | Path
) -> dict[str, Tensor]:
    """The tensors under the keys of the net; those that the table does not name keep theirs."""
    lacking = [origin.source for origin in renaming.values() if origin.source not in given]
    if lacking:
        raise WeightsError(f"{path}: has no key {examples(lacking)}, which the renaming asks for")
    moved = {origin.source for origin in renaming.values()}
    kept = {key: t for key, t in given.items() if key not in moved and key not in renaming}
    return kept | {key: _permuted(key, given, origin) for key, origin in renaming.items()}


def _permuted(key: str, given: Mapping[str, Tensor], origin: Origin) -> Tensor:
    found = given[origin.source]
    if not origin.permute:
        return found
    if found.dim() != len(origin.permute):
        raise WeightsError(
            f"`{key}`: the renaming permutes {len(origin.permute)} axes, but `{origin.source}` "
            f"has the shape {[*found.shape]}"
        )
    return found.permute(origin.permute)


def _misfit(
    path: str | Path,
    wanted: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    found: Difference,
    surplus: Collection[str],
) -> str:
    """Every kind of misfit, with one example."""
    other = [f"{k} {[*given[k].shape]}, not {[*wanted[k].shape]}" for k in found.reshaped]
    kinds = {"missing": found.missing, "not of this net": surplus, "of another shape": other}
    wrong = [f"{len(keys)} {kind} ({next(iter(keys))})" for kind, keys in kinds.items() if keys]
    return f"the weights of {path} do not fit: {', '.join(wrong)}\n{_hint(path)}"


def _hint(path: str | Path) -> str:
    return f"`netdsl keys F --diff {path}` compares all of them and proposes a renaming"
