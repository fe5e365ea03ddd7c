"""The keys of a checkpoint beside those of a net: what fits, what differs, what may be meant.

compare({"fc.weight": (10, 84)}, {"module.fc.weight": (10, 84)}).near
    (Near("fc.weight", "module.fc.weight", (), "without the prefix `module.`"),)

A renaming is proposed by these rules in turn, and only where the shapes agree: a prefix more or
less, the same words in the spelling of another library, the same place among the keys that are
left, the nearest name among those of the same shape. Other libraries hold a weight's inputs and
outputs in its last two axes (a linear [in, out], a convolution [H, W, in, out]): such a tensor fits
once its axes are permuted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import TypeAlias

from netdsl.files import replacing

Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = Mapping[str, Shape]
Words: TypeAlias = tuple[str, ...]
Pairs: TypeAlias = Iterator[tuple[str, str, str]]  # key of the net, key of the file, why

# what other libraries call the words of our keys; "" is a word that says nothing
SPELLINGS = {
    **dict.fromkeys(("gamma", "kernel", "scale", "embeddings", "w"), "weight"),
    **dict.fromkeys(("beta", "offset", "b"), "bias"),
    **dict.fromkeys(("bn", "batchnorm", "normalization", "layernorm", "groupnorm", "ln"), "norm"),
    **dict.fromkeys(("fc", "dense", "classifier", "head", "logits"), "linear"),
    **dict.fromkeys(("convolution", "conv1d", "conv2d", "conv3d"), "conv"),
    **dict.fromkeys(("shortcut", "skip", "projection"), "downsample"),
    "moving": "running",
    "variance": "var",
    "stage": "layer",
    "batch": "",
    "blocks": "",
}
PREFIXED = 0.25  # the share of the keys that a prefix stands before, or it is a coincidence
CUTOFF = 0.5  # of difflib's ratio, where shape and kind agree already


@dataclass(frozen=True)
class Near:
    """`source`, a key of the file, may be what the net calls `key`; `permute`: the axes of the
    file's tensor in our order (none: as they are)."""

    key: str
    source: str
    permute: tuple[int, ...]
    why: str


@dataclass(frozen=True)
class Difference:
    """Keys by how they compare, in the order of the net (`unexpected`: of the file). What is `near`
    is among the others too."""

    same: tuple[str, ...]
    reshaped: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    near: tuple[Near, ...]

    @property
    def fits(self) -> bool:
        return not (self.reshaped or self.missing or self.unexpected)


def compare(wanted: Shapes, given: Shapes) -> Difference:
    """The keys and shapes of a net, and of a file."""
    same = tuple(key for key in wanted if given.get(key) == wanted[key])
    left = {key: shape for key, shape in wanted.items() if key not in set(same)}
    free = {key: shape for key, shape in given.items() if key not in set(same)}
    return Difference(
        same=same,
        reshaped=tuple(key for key in left if key in given),
        missing=tuple(key for key in left if key not in given),
        unexpected=tuple(key for key in free if key not in wanted),
        near=tuple(_propose(left, free)),
    )


def permutation(wanted: Shape, given: Shape) -> tuple[int, ...] | None:
    """How the axes of a tensor of shape `given` are permuted to be `wanted`: () not at all, None
    it does not fit."""
    if wanted == given:
        return ()
    axes = _inputs_and_outputs_first(len(given))
    return axes if tuple(given[axis] for axis in axes) == wanted else None


def _inputs_and_outputs_first(rank: int) -> tuple[int, ...]:
    return (rank - 1, rank - 2, *range(rank - 2)) if rank > 1 else tuple(range(rank))


def _propose(wanted: Shapes, given: Shapes) -> list[Near]:
    """Each key of the net that is left, with at most one of the file, and each of those once."""
    found: dict[str, Near] = {}
    free = dict(given)
    for rule in RULES:
        left = {key: shape for key, shape in wanted.items() if key not in found}
        for key, source, why in rule(left, dict(free)):
            if key in found or source not in free:
                continue
            axes = permutation(wanted[key], given[source])
            if axes is not None:
                found[key] = Near(key, source, axes, why)
                del free[source]
    return _squares([found[key] for key in wanted if key in found], wanted)


def _squares(pairs: list[Near], wanted: Shapes) -> list[Near]:
    """A square weight fits either way: it goes as the other weights of its rank do."""
    straight = {len(wanted[p.key]) for p in pairs if not p.permute and not _square(wanted[p.key])}
    permuted = {len(p.permute) for p in pairs if p.permute} - straight
    return [
        Near(p.key, p.source, _inputs_and_outputs_first(rank), p.why)
        if (rank := len(wanted[p.key])) in permuted
        else p
        for p in pairs
    ]


def _square(shape: Shape) -> bool:
    return tuple(shape[axis] for axis in _inputs_and_outputs_first(len(shape))) == shape


def _prefixed(wanted: Shapes, given: Shapes) -> Pairs:
    """`module.fc.weight` and `fc.weight`."""
    return _by_words(wanted, given, lambda key: tuple(key.split(".")), "")


def _respelt(wanted: Shapes, given: Shapes) -> Pairs:
    """`layer1_block0/batch_normalization/gamma` and `layer1.0.bn.weight`."""
    return _by_words(wanted, given, _words, "another spelling")


def _by_words(wanted: Shapes, given: Shapes, words_of: Callable[[str], Words], why: str) -> Pairs:
    """Keys of the same words, after first words that many have more than the other side."""
    ours, theirs = _unique(wanted, words_of), _unique(given, words_of)
    cuts: Counter[tuple[Words, Words]] = Counter()
    for words in theirs:
        cuts.update((words[:i], ()) for i in range(len(words)) if words[i:] in ours)
    for words in ours:
        cuts.update(((), words[:i]) for i in range(1, len(words)) if words[i:] in theirs)
    enough = PREFIXED * min(len(ours), len(theirs))
    for (extra, lacking), votes in sorted(cuts.items(), key=lambda cut: -cut[1]):
        if (extra or lacking) and votes < enough:
            continue
        said = [f"without the prefix `{'.'.join(extra)}.`"] if extra else []
        said += [f"with the prefix `{'.'.join(lacking)}.`"] if lacking else []
        for words, source in theirs.items():
            rest = lacking + words[len(extra) :]
            if words[: len(extra)] == extra and rest in ours:
                yield ours[rest], source, ", ".join([*filter(None, [why]), *said])


def _unique(keys: Iterable[str], words_of: Callable[[str], Words]) -> dict[Words, str]:
    """The keys by their words, those left out that share them."""
    found: dict[Words, list[str]] = {}
    for key in keys:
        found.setdefault(words_of(key), []).append(key)
    return {words: keys[0] for words, keys in found.items() if len(keys) == 1 and words}


def _words(key: str) -> Words:
    """The words of a key as we would spell them, numbers apart: `bn1.gamma` is norm, 1, weight."""
    found = []
    for part in re.split(r"[./_:]+", re.sub(r":0$", "", key).lower()):
        word, number = re.fullmatch(r"(.*?)(\d*)", part).groups()  # type: ignore[union-attr]
        if part in SPELLINGS:
            word, number = part, ""
        found += [SPELLINGS.get(word, word), number]
    return tuple(filter(None, found))


def _in_place(wanted: Shapes, given: Shapes) -> Pairs:
    """The longest runs of keys of the same kinds and shapes."""
    ours, theirs = list(wanted), list(given)
    # shapes repeat in every net: none is junk
    matcher = SequenceMatcher(None, _looks(wanted), _looks(given), autojunk=False)
    for a, b, size in matcher.get_matching_blocks():
        for key, source in zip(ours[a : a + size], theirs[b : b + size], strict=True):
            yield key, source, "the same place and shape"


def _looks(shapes: Shapes) -> Sequence[tuple[str, Shape]]:
    return [(_kind(key), tuple(sorted(shape))) for key, shape in shapes.items()]


def _kind(key: str) -> str:
    """weight, bias, mean, var, tracked …: what the tensor is to its layer."""
    return _words(key)[-1:][0] if _words(key) else ""


def _closest(wanted: Shapes, given: Shapes) -> Pairs:
    """The nearest name among those of the same kind and shape."""
    for key, shape in wanted.items():
        names = [
            name
            for name in given
            if permutation(shape, given[name]) is not None and _kind(name) == _kind(key)
        ]
        for source in get_close_matches(key, names, n=3, cutoff=CUTOFF):
            yield key, source, "a near name of the same shape"


RULES: tuple[Callable[[Shapes, Shapes], Pairs], ...] = (_prefixed, _respelt, _in_place, _closest)


class RenamingError(ValueError):
    """A file that is no table of renamed keys."""


@dataclass(frozen=True)
class Origin:
    """Where the tensor of a key comes from: a key of the file, its axes permuted (none: as is)."""

    source: str
    permute: tuple[int, ...] = ()


def write_renaming(path: Path, near: Iterable[Near]) -> None:
    """The proposal as a JSON table that people can edit: our key to the file's, or to
    `{"from": key, "permute": [1, 0]}`."""
    table = {
        p.key: {"from": p.source, "permute": list(p.permute)} if p.permute else p.source
        for p in near
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def read_renaming(path: str | Path) -> dict[str, Origin]:
    """What `write_renaming` wrote. Raises `RenamingError`."""
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RenamingError(f"{path}: no JSON: {error}") from None
    if not isinstance(table, dict):
        raise RenamingError(f"{path}: no table of keys")
    return {key: _origin(path, key, found) for key, found in table.items()}


def _origin(path: str | Path, key: str, found: object) -> Origin:
    match found:
        case str():
            return Origin(found)
        case {"from": str(source), "permute": list(axes)} if sorted(axes) == [*range(len(axes))]:
            return Origin(source, tuple(axes))
    raise RenamingError(
        f"{path}: `{key}` is a key of the file, or "
        '{"from": "its.key", "permute": [1, 0]} with the axes in the order of the net'
    )
