"""Texts that are nearly .net files: real ones with bytes and tokens changed, alike at every run.

Random(seed) makes `mutation(seed)`; the same number gives the same text as long as the models stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

from netdsl.parser.tables import keywords
from netdsl.parser.text import FILE_LIMIT

MODELS = Path(__file__).parents[2] / "models"
KEYWORDS = keywords()
TOKEN = re.compile(r'\s+|#[^\n]*|"[^"\n]*"|[0-9.]+|\w+|->|\.\.|[=!<>]=|//|\[\]|.', re.DOTALL)
NUMBERS = ("0", "-1", "1", "2", "7", "0.5", "1e18", "2147483648", "999999999999999999", "10^18")
PIECES = (
    *sorted(KEYWORDS),
    *NUMBERS,
    *("->", "..", ".", ",", ":", ";", "(", ")", "[", "]", "[]", "{", "}", "=", "==", "<", ">="),
    *("+", "-", "*", "/", "//", "%", "@", "^", '"', '"{i}"', "#", "\n", "x", "N", "none", "range"),
    *("conv", "relu", "linear", "concat", "as a", "as a[]", "x.y", "x[0]", "[1, 2]", "{1: 2}"),
)
NESTS = (
    *(("(", ")"), ("[", "]"), ("-", ""), ("not ", ""), ("relu(", ")"), ("if x then ", " else x")),
    *(("x -> (", ")"), ("repeat 2 { ", " }"), ("for i in range(3) { ", " }"), ("{1: ", "}")),
    *(
        ("[", " for i in range(9)]"),
        ("(x + ", ")"),
        ("2^", ""),
        ("", "[0]"),
        ("", ".a"),
        ("", "^2"),
    ),
)


def mutation(seed: int) -> bytes:
    """A file with one to four changes."""
    random = Random(seed)
    content = random.choice(_files())
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        content = random.choice(BYTES + TOKENS * 3)(random, content)[: FILE_LIMIT + 1]
    return content


@cache
def _files() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(MODELS.glob("*.net")))


# ---- changes of bytes


def _flip(random: Random, content: bytes) -> bytes:
    i = random.randrange(len(content) + 1)
    flipped = bytes(b ^ 1 << random.randrange(8) for b in content[i : i + 1])
    return content[:i] + flipped + content[i + 1 :]


def _insert(random: Random, content: bytes) -> bytes:
    i = random.randrange(len(content) + 1)
    return content[:i] + random.randbytes(random.randint(1, 4)) + content[i:]


def _delete(random: Random, content: bytes) -> bytes:
    i, j = _range(random, content)
    return content[:i] + content[j:]


def _duplicate(random: Random, content: bytes) -> bytes:
    i, j = _range(random, content)
    return content[:j] + content[i:j] * random.choice((1, 1, 2, 50)) + content[j:]


def _swap(random: Random, content: bytes) -> bytes:
    i, j = _range(random, content)
    k = random.randint(j, len(content))
    return content[:i] + content[j:k] + content[i:j] + content[k:]


def _splice(random: Random, content: bytes) -> bytes:
    other = random.choice(_files())
    return content[: random.randint(0, len(content))] + other[random.randint(0, len(other)) :]


def _truncate(random: Random, content: bytes) -> bytes:
    return content[: random.randint(0, len(content))]


def _letters(random: Random, content: bytes) -> bytes:
    i = random.randrange(len(content) + 1)
    points = (random.choice((0x7F, 0x7FF, 0xD7FF, 0x10FFFF)) for _ in range(random.randint(1, 3)))
    letters = "".join(chr(random.randint(0, p)) for p in points)
    return content[:i] + letters.encode("utf-8", "surrogatepass") + content[i:]


def _range(random: Random, content: bytes) -> tuple[int, int]:
    i = random.randint(0, len(content))
    return i, min(len(content), i + random.choice((1, 3, 20, 200)))


# ---- changes of tokens


def _of_tokens(change: Callable[[Random, list[str]], None]) -> Callable[[Random, bytes], bytes]:
    def changed(random: Random, content: bytes) -> bytes:
        tokens = TOKEN.findall(content.decode("utf-8", "surrogateescape"))
        if tokens:
            change(random, tokens)
        return "".join(tokens).encode("utf-8", "surrogateescape")

    return changed


def _written(random: Random, tokens: list[str]) -> int:
    """Where a token stands that is no space, if there is one."""
    places = [i for i, token in enumerate(tokens) if not token.isspace()]
    return random.choice(places or [0])


def _drop(random: Random, tokens: list[str]) -> None:
    del tokens[_written(random, tokens)]


def _repeat(random: Random, tokens: list[str]) -> None:
    i = _written(random, tokens)
    tokens[i] = f"{tokens[i]} " * random.choice((2, 2, 3, 100))


def _exchange(random: Random, tokens: list[str]) -> None:
    i, j = _written(random, tokens), _written(random, tokens)
    tokens[i], tokens[j] = tokens[j], tokens[i]


def _replace(random: Random, tokens: list[str]) -> None:
    tokens[_written(random, tokens)] = random.choice((*PIECES, *tokens))


def _add(random: Random, tokens: list[str]) -> None:
    tokens.insert(_written(random, tokens), f" {random.choice((*PIECES, *tokens))} ")


def _number(random: Random, tokens: list[str]) -> None:
    places = [i for i, token in enumerate(tokens) if token[0].isdigit()]
    for i in random.sample(places, min(len(places), random.choice((1, 1, 3)))):
        tokens[i] = random.choice(NUMBERS)


def _alike(random: Random, tokens: list[str]) -> None:
    """Another token of the same class, so that the text still parses."""
    i = _written(random, tokens)
    for kind in (str.isidentifier, str.isdigit, lambda t: len(t) <= 2):
        if kind(tokens[i]):
            others = [t for t in tokens if kind(t) and t not in KEYWORDS and not t.isspace()]
            tokens[i] = random.choice(others or [tokens[i]])
            return


def _rename(random: Random, tokens: list[str]) -> None:
    names = [token for token in tokens if token.isidentifier() and token not in KEYWORDS]
    if names:
        before, after = random.choice(names), random.choice(names)
        tokens[:] = [after if token == before else token for token in tokens]


def _shuffle(random: Random, tokens: list[str]) -> None:
    lines = "".join(tokens).splitlines(keepends=True)
    i = random.randrange(len(lines))
    part = lines[i : i + random.randint(2, 5)]
    random.shuffle(part)
    tokens[:] = [*lines[:i], *part, *lines[i + len(part) :]]


def _nest(random: Random, tokens: list[str]) -> None:
    i = _written(random, tokens)
    before, after = random.choice(NESTS)
    depth = random.choice((1, 2, 20, 70))
    tokens[i] = before * depth + tokens[i] + after * depth


Change = Callable[[Random, bytes], bytes]
BYTES: tuple[Change, ...] = (
    *(_flip, _insert, _delete, _duplicate, _swap, _splice, _truncate, _letters),
)
TOKENS: tuple[Change, ...] = tuple(
    _of_tokens(change)
    for change in (
        _drop,
        _repeat,
        _exchange,
        _replace,
        _add,
        _number,
        _alike,
        _rename,
        _shuffle,
        _nest,
    )
)
