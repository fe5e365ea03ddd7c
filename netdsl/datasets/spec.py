"""The grammar of a data spec.

spec   = source [":" key "=" value {"," key "=" value}]
source = a shipped set ("mnist5k", "digits"), an .npz file, or "package.module:function"
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from netdsl.datasets.errors import DataError, did_you_mean

NORMALISE = ("standard", "unit", "none")

# Least and largest value of every whole number in a spec.
RANGES = {
    "channels": (1, 4096),
    "resize": (1, 4096),
    "pad": (0, 4096),
    "train": (1, 2**31 - 1),
    "seed": (0, 2**32 - 1),
}


@dataclass(frozen=True)
class Arguments:
    """What is to be done to the samples.

    `channels`: repeat the one channel so often; `resize`: height and width in pixels; `pad`: pixels
    of 0 on all four sides; `train`: number of training examples; `seed`: of the split, a part of
    the spec so that training and a later evaluation hold out the same examples; `normalise`:
    `standard` (mean 0, std 1), `unit` (divided by the largest value) or `none`.
    """

    channels: int | None = None
    resize: int | None = None
    pad: int | None = None
    train: int | None = None
    seed: int = 0
    normalise: str = "standard"


def parse(spec: str) -> tuple[str, Arguments]:
    """The source and the arguments of a spec; a `DataError` says what is wrong with it."""
    head, colon, tail = spec.rpartition(":")
    if not colon or "=" not in tail:
        return spec, Arguments()
    given: dict[str, int | str] = {}
    for item in tail.split(","):
        key, _, value = (part.strip() for part in item.partition("="))
        if key in given:
            raise DataError(f"`{key}` is given twice in `{spec}`")
        given[key] = _value(key, value)
    return head, Arguments(**given)  # type: ignore[arg-type]  # _value checks each by its key


def _value(key: str, value: str) -> int | str:
    known = [field.name for field in fields(Arguments)]
    if key not in known:
        near = did_you_mean(key, known)
        raise DataError(f"data has no argument `{key}` ({', '.join(known)}){near}")
    if key == "normalise":
        if value not in NORMALISE:
            near = did_you_mean(value, NORMALISE)
            raise DataError(f"`normalise` is one of {', '.join(NORMALISE)}, not `{value}`{near}")
        return value
    least, most = RANGES[key]
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise DataError(f"`{key}` takes a whole number, not `{value}`")
    if not least <= int(value) <= most:
        raise DataError(f"`{key}` is a number from {least} to {most}, not {value}")
    return int(value)
