"""Single mistakes planted in shipped models: what people get wrong, at places drawn by a seed.

A mutant is a model's text with one change; `KINDS` says which changes there are.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netdsl.edits import apply
from netdsl.errors import Diagnostic, Source
from netdsl.front import build, check_sources, nets_of
from netdsl.ir import Graph
from netdsl.sources import Sources, collect, models, shipped

Change = tuple[int, int, str]  # replace [start, end) by a text


@dataclass(frozen=True)
class Mutant:
    """A model with one mistake of a kind, at an offset of the changed text."""

    model: str
    kind: str
    text: str
    at: int
    end: int
    original: str

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    @property
    def source(self) -> Source:
        return Source(self.model, self.text)


def sources(text: str, name: str) -> Sources:
    """A text as a file that imports from the shipped models."""
    return collect(Source(name, text), name, None)


def found(text: str, name: str) -> tuple[Diagnostic, ...]:
    return check_sources(sources(text, name))


def graphs(text: str, name: str) -> list[Graph]:
    """The graphs of all nets of a text that have all their hyper-parameters."""
    read = sources(text, name)
    return [build(read, net.name) for net in nets_of(read) if net.complete]


def repairs(diagnostics: tuple[Diagnostic, ...]) -> Iterator[str]:
    """The text after the edits of each finding alone, and after those of all."""
    for diagnostic in diagnostics:
        if diagnostic.edits:
            yield apply(diagnostic.edits[0].span.source, diagnostic.edits)
    every = [edit for d in diagnostics for edit in d.edits]
    if every:
        yield apply(every[0].span.source, every)


def wronged(mutant: Mutant) -> set[int]:
    """The lines of the statement that the change is in, and of those that it makes wrong: they use
    a name that it gives, or take or make what a changed signature says."""
    own = statement_lines(mutant.text, mutant.line)
    found = set(own) | {mutant.text.count("\n", 0, at) + 1 for at in _partners(mutant)}
    lines = mutant.text.split("\n")
    header = re.match(r"(net|block)\b", lines[own.start - 1])
    given = set(_given(mutant, lines[mutant.line - 1]))
    end = next((n for n in range(own.stop, len(lines) + 1) if lines[n - 1] == "}"), len(lines))
    for n in range(1, len(lines) + 1):
        names = set(re.findall(r"[A-Za-z_]\w*", lines[n - 1]))
        makes = re.match(r"\s*return\b", lines[n - 1]) and header and own.start <= n <= end
        if names & given or makes:
            found.update(statement_lines(mutant.text, n))
    return found


def _partners(mutant: Mutant) -> Iterator[int]:
    """Where the partner stands of a bracket that was left out: it is what is wrong now."""
    removed = mutant.original[mutant.at]
    if len(mutant.text) != len(mutant.original) - 1 or removed not in "()[]{}":
        return
    text, stack = code_of(mutant.original), list[int]()
    for i, character in enumerate(text):
        if character in "([{":
            stack.append(i)
        elif character in ")]}" and stack:
            opened = stack.pop()
            if mutant.at in (opened, i):
                yield min(opened if mutant.at == i else i - 1, len(mutant.text))


def _given(mutant: Mutant, line: str) -> Iterator[str]:
    """The names that the changed stretch gives: what is left of the `=` or `:` before it, in the
    changed text and in the original one."""
    start = mutant.text.rfind("\n", 0, mutant.at) + 1
    before = mutant.original[start : mutant.at + 12]
    yield from re.findall(r"([A-Za-z_]\w*)(?= *[=:](?!=))", before)
    yield from re.findall(r"([A-Za-z_]\w*)(?= *[=:](?!=))", line[: mutant.at - start + 12])
    yield from re.findall(r"^(?:net|block) ([A-Za-z_]\w*)", mutant.original[start : start + 60])


def statement_lines(text: str, line: int) -> range:
    """The lines of the statement that a line belongs to: from one that starts a statement at a
    body's depth to the next that does."""
    lines = text.split("\n")
    start = line
    while start > 1 and not STATEMENT.match(lines[start - 1]):
        start -= 1
    end = line + 1
    while end <= len(lines) and not STATEMENT.match(lines[end - 1]) and lines[end - 1] != "}":
        end += 1
    return range(start, end)


STATEMENT = re.compile(
    r"(net|block|let|default|from|extern|layer|param|require|recur|return)\b"
    r"|\s*(let|default|layer|param|require|recur|return)\b"
    r"|\s*[A-Za-z_]\w*(, *[A-Za-z_]\w*)*(\[[^\]]*\](: *\[[^\]]*\])?)? *="
)


def code_of(text: str) -> str:
    """The text with comments blanked: no mistake is planted in them."""
    return re.sub(r"#[^\n]*", lambda m: " " * len(m[0]), text)


def _matches(pattern: str, text: str) -> list[re.Match[str]]:
    return list(re.finditer(pattern, code_of(text)))


def _typo(word: str, rng: random.Random) -> str:
    i = rng.randrange(len(word) - 1)
    return rng.choice(
        [
            word[:i] + word[i + 1] + word[i] + word[i + 2 :],  # two letters swapped
            word[: i + 1] + word[i + 2 :],  # one missing
            word[: i + 1] + word[i] + word[i + 1 :],  # one twice
        ]
    )


LAYER = r"(?:conv|bn|relu|tanh|linear|max_pool|avg_pool|dropout|flatten|global_avg_pool|concat)"


def layer_typo(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(rf"(?<=-> )\(?\b({LAYER})\b", text):
        yield m.start(1), m.end(1), _typo(m[1], rng)


def value_typo(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"\b(classes|depths|depth|stages|shortcut|skip|columns|Unit|norm)\b", text):
        yield m.start(), m.end(), _typo(m[0], rng)


def block_typo(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"\b([A-Z]\w{3,})\(", text):
        yield m.start(1), m.end(1), _typo(m[1], rng)


def hyper_typo(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"(?<=[(, ;])(stride|pad|bias|init|groups|axis|depth|pre)(?==)", text):
        yield m.start(), m.end(), _typo(m[1], rng)


SPELLINGS = {
    "conv": ["Conv2d", "Conv2D", "nn.Conv2d"],
    "bn": ["BatchNorm2d", "batch_norm", "nn.BatchNorm2d"],
    "relu": ["ReLU", "F.relu", "nn.ReLU"],
    "tanh": ["Tanh", "torch.tanh"],
    "linear": ["Linear", "Dense", "nn.Linear"],
    "max_pool": ["MaxPool2d", "MaxPooling2D"],
    "avg_pool": ["AvgPool2d", "AveragePooling2D"],
    "dropout": ["Dropout"],
    "flatten": ["Flatten", "nn.Flatten"],
    "global_avg_pool": ["GlobalAveragePooling2D", "AdaptiveAvgPool2d(1)"],
}


def foreign_layer(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(rf"(?<=-> )\b({'|'.join(SPELLINGS)})\b", text):
        yield m.start(1), m.end(1), rng.choice(SPELLINGS[m[1]])


def foreign_hyper(text: str, rng: random.Random) -> Iterator[Change]:
    other = {"stride": "strides", "pad": "padding", "bias": "use_bias"}
    for m in _matches(r"(?<=[(, ])(stride|pad|bias)(?==)", text):
        yield m.start(), m.end(), other[m[1]]
    for m in _matches(r"\bconv\((\w+), (\d+)", text):
        yield m.start(2), m.end(2), f"kernel_size={m[2]}"
    for m in _matches(r"\blinear\((\w+)\)", text):
        yield m.start(1), m.end(1), f"out_features={m[1]}"


def foreign_word(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"\b(true|false|none)\b", text):
        yield m.start(), m.end(), m[0].capitalize()


def foreign_operator(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"->", text):
        yield m.start(), m.end(), rng.choice(["→", "=>", "|>"])


def in_channels(text: str, rng: random.Random) -> Iterator[Change]:
    before = next((m[1] for m in _matches(r"x: \[N, (\d+)(?=, )", text)), "3")
    for m in _matches(r"\b(conv|linear)\((\d+)(?=, |\))", text):
        yield m.start(2), m.start(2), f"{before}, "
        before = m[2]


def dropped_argument(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"\b(?:conv|Basic|Bottleneck|Unit)\(\w+(, [^,()]+)\)", text):
        yield m.start(1), m.end(1), ""
    for m in _matches(r"\b(?:linear|max_pool|adaptive_avg_pool|Column|avg_pool)(\(\w+\))", text):
        yield m.start(1), m.end(1), rng.choice(["", "()"])
    for m in _matches(r", pad=\d", text):
        yield m.start(), m.end(), ""


def wrong_width(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"-> \[N, (classes)\]", text):
        yield m.start(1), m.end(1), rng.choice(["2*classes", "classes + 1", "10*classes"])
    for m in _matches(r"4\*w(?=, 1[),])", text):
        yield m.start(), m.end(), rng.choice(["2*w", "w", "3*w"])
    for m in _matches(r"x: \[N, (\d)(?=, )", text):
        yield m.start(1), m.end(1), "C"
    for m in _matches(r"conv\(w, 3\) -> bn$|conv\((c), 3\) -> bn$", text):
        yield m.end() - len(m[0]) + 5, m.end() - len(m[0]) + 6, rng.choice(["2*w", "2*c"])


def missing_projection(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"= (if s == 1 and C == [\w*]+ then x else [^\n#]*)", text):
        yield m.start(1), m.end(1), "x"
    for m in _matches(r"-> (flatten) -> ", text):
        yield m.start(), m.end() - 3, ""
    for m in _matches(r"-> (global_avg_pool) -> ", text):
        yield m.start(), m.end() - 3, ""


def swapped_axes(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"\[N, ([1-9]\d*|C), (\w+), (\w+)\]", text):
        yield m.start(), m.end(), f"[N, {m[2]}, {m[3]}, {m[1]}]"
    for m in _matches(r"\[(N), (classes)\]", text):
        yield m.start(), m.end(), "[classes, N]"


def wrong_index(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"\bn\[(\d)\]", text):
        yield m.start(1), m.end(1), str(int(m[1]) + 4)
    for m in _matches(r"\b(depth|skip|depths) = (\d+)", text):
        yield m.start(2), m.end(2), str(int(m[2]) + 1)


def dropped(characters: str) -> Callable[[str, random.Random], Iterator[Change]]:
    """Left out wherever it stands."""

    def change(text: str, rng: random.Random) -> Iterator[Change]:
        for m in _matches(re.escape(characters), text):
            yield m.start(), m.end(), ""

    return change


def dropped_arrow(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"-> ?", text):
        yield m.start(), m.end(), ""


def dropped_equals(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"(?<![=!<>])= ?(?!=)", text):
        yield m.start(), m.end(), "" if text[m.start() - 1] == " " else " "


def dropped_word(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"\b(return|then|in|let|for|else|range) ?", text):
        yield m.start(), m.end(), ""


def operand_order(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"\bconv\((\w+), (\d+)(, pad=0|, stride=\d)?", text):
        if m[3]:
            yield m.start(3) - len(f"{m[1]}, {m[2]}"), m.end(3), f"{m[1]}{m[3]}, {m[2]}"
    for m in _matches(r"relu\((f \+ \w+)\)", text):
        yield m.start(), m.end(), f"relu + {m[1]}"
    for m in _matches(r"\bx -> conv\((\d+), (\d)", text):
        yield m.start(), m.end(), f"conv(x, {m[1]}, {m[2]}"
    for m in _matches(r"return x\b\s*-> (relu|conv|bn)", text):
        yield m.start(), m.end(), f"return {m[1]} -> x"


def missing_return(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"return (?=\w+ \+|relu)", text):
        yield m.start(), m.end(), "y = "


def even_window(text: str, rng: random.Random) -> Iterator[Change]:
    for m in _matches(r"conv\(\w+, (3|5|7)(?=[),])", text):
        yield m.start(1), m.end(1), "4"


KINDS: dict[str, Callable[[str, random.Random], Iterator[Change]]] = {
    "layer misspelled": layer_typo,
    "value misspelled": value_typo,
    "block misspelled": block_typo,
    "hyper-parameter misspelled": hyper_typo,
    "layer of another library": foreign_layer,
    "hyper-parameter of another library": foreign_hyper,
    "word of Python": foreign_word,
    "operator of another language": foreign_operator,
    "in_channels first": in_channels,
    "argument left out": dropped_argument,
    "wrong width": wrong_width,
    "projection left out": missing_projection,
    "axes swapped": swapped_axes,
    "wrong index": wrong_index,
    "comma left out": dropped(","),
    "( left out": dropped("("),
    ") left out": dropped(")"),
    "[ left out": dropped("["),
    "] left out": dropped("]"),
    "{ left out": dropped("{"),
    "} left out": dropped("}"),
    "arrow left out": dropped_arrow,
    "= left out": dropped_equals,
    "word left out": dropped_word,
    "operands in the wrong order": operand_order,
    "return left out": missing_return,
    "even window": even_window,
}


def mutants(each: int = 14, seed: int = 1) -> Iterator[Mutant]:
    """Up to `each` mutants of every kind, over all models in turn."""
    texts = {name: shipped(name).text for name in models()}
    for kind, change in KINDS.items():
        rng = random.Random(f"{seed} {kind}")
        changes = [(name, c) for name, text in texts.items() for c in change(text, rng)]
        rng.shuffle(changes)
        for name, (start, end, new) in changes[:each]:
            text = texts[name]
            if text[start:end] != new:
                mutated = text[:start] + new + text[end:]
                yield Mutant(name, kind, mutated, start, start + len(new), text)
