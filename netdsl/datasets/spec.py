"""The grammar of a data spec.

spec     = source [":" argument {"," argument}]
argument = key "=" value, or of a set known by name: a length ("adding:200"), "rows"
source   = such a name ("mnist5k", "digits", …), an .npz file, or "package.module:function"
"""

from __future__ import annotations

from collections.abc import Collection
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
    "length": (2, 100_000),
}
FLAGS = ("rows",)


@dataclass(frozen=True)
class Arguments:
    """What is to be done to the samples.

    `channels`: repeat the one channel so often; `resize`: height and width in pixels; `pad`: pixels
    of 0 on all four sides; `train`: number of training examples; `seed`: of the split, a part of
    the spec so that training and a later evaluation hold out the same examples; `normalise`:
    `standard` (mean 0, std 1), `unit` (divided by the largest value) or `none`; `rows`: an image is
    the sequence of its rows; `length`: steps of a task that is made.
    """

    channels: int | None = None
    resize: int | None = None
    pad: int | None = None
    train: int | None = None
    seed: int = 0
    normalise: str | None = None
    rows: bool = False
    length: int | None = None


def parse(spec: str, names: Collection[str]) -> tuple[str, Arguments]:
    """The source, one of `names` or other, and the arguments of a spec; a `DataError` says what is
    wrong with it."""
    head, colon, tail = spec.rpartition(":")
    known = head in names or head.endswith(".npz")
    if not colon or not (known or "=" in tail):
        return spec, Arguments()
    given: dict[str, int | str] = {}
    for item in tail.split(","):
        key, value = _argument(item, head, spec)
        if key in given:
            raise DataError(f"`{key}` is given twice in `{spec}`")
        given[key] = value
    return head, Arguments(**given)  # type: ignore[arg-type]  # _value checks each by its key


def _argument(item: str, head: str, spec: str) -> tuple[str, int | str]:
    key, equals, value = (part.strip() for part in item.partition("="))
    if equals:
        return key, _value(key, value)
    if key in FLAGS:
        return key, True
    if key.isdigit():
        return "length", _value("length", key)
    raise DataError(f"`{spec}`: after `{head}:` come arguments, as in `{head}:pad=2`")


def _value(key: str, value: str) -> int | str:
    known = [field.name for field in fields(Arguments) if field.name not in FLAGS]
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
