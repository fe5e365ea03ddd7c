"""Random .net files for hypothesis: valid ones, with everything the language has.

Blocks, hyper-parameters with defaults, lets, tables, loops, choices, labels, numbered groups, named
outputs, shared layers, parameters, defaults, operators, recurrences; laid out badly, with comments
anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from netdsl.errors import Diagnostics, Source
from netdsl.parser import tokenize

Draw = Callable[[st.SearchStrategy[Any]], Any]

PLAIN = ("relu", "tanh", "bn", "dropout(0.3)", "dropout2d", "sigmoid", "elu(alpha=0.5)", "identity")
GAPS = (
    " ",
    "",
    "\n",
    "  ",
    "\n\n\n",
    "\t",
    " \r\n",
    "\n    ",
    " # {}\n",
    "\n# {}\n",
    "\n\n  #{}\n\n",
)


@dataclass(frozen=True)
class Image:
    """A value: its name, its channels, and the pools that made its size."""

    name: str
    channels: int
    pools: int = 0


@dataclass
class Writer:
    """A file on its way: what was drawn, and how many names were given."""

    draw: Draw
    blocks: list[str] = field(default_factory=list)
    count: int = 0

    def number(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def one(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def maybe(self) -> bool:
        return bool(self.draw(st.booleans()))

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"


@st.composite
def net_files(draw: Draw) -> str:
    """The text of a valid file with one net of its own, `Net`, and an alias of it."""
    w = Writer(draw)
    parts = [w.one("netdsl 1", "")]
    if w.maybe():
        parts.append(w.one("default conv(bias=false, init=he)", "default bn(eps=1e-3)"))
    parts.append("let widths = {1: [2, 3], 2: [4, 1],}")
    parts += [_block(w) for _ in range(w.number(0, 2))]
    parts.append(_net(w))
    parts.append("net Other = Net(deep=2, flag=false)")
    return "\n".join(filter(None, parts)) + w.one("\n", "")


@st.composite
def laid_out_badly(draw: Draw) -> str:
    """Such a file with other whitespace, and comments, between its tokens."""
    source = Source("t.net", draw(net_files()))
    tokens = tokenize(source, Diagnostics())
    gaps = draw(st.lists(st.sampled_from(GAPS), min_size=1, max_size=40))
    text, end = "", 0
    for i, token in enumerate(tokens):
        gap = gaps[i % len(gaps)].format(f"note {i}")
        needed = " " if token.span.start > end else ""
        text += (gap if draw(st.integers(0, 3)) == 0 and gap else needed) + token.text
        end = token.span.end
    return text


def _block(w: Writer) -> str:
    """A block that keeps the size of an image and makes `c` channels."""
    name = w.fresh("Block")
    head = w.one("(x; c, flag = true)", "(x: [N, C, H, W]; c, flag = true)", "(x; c, flag=false,)")
    first = f"y = x -> conv(c, {w.one(1, 3)}) -> {w.one(*PLAIN)}"
    last = w.one(
        "return y",
        "return if flag then relu(y) else y -> tanh",
        "return concat(y, y) -> conv(c, 1) as out",
        "z = y -> conv(c, 1)\n  return y + z",
    )
    w.blocks.append(name)
    return f"block {name}{head} {{\n  {first}\n  {last}\n}}"


def _net(w: Writer) -> str:
    channels, size = w.number(1, 4), w.one("H, W", "16*h, W", "32, 32")
    values = [Image("x", channels)]
    body = ["let k = 3", 'require deep < 4 and not (deep == 0), "deep is 1 to 3"']
    if w.maybe():
        body.append("default max_pool(ceil=true)")
    for _ in range(w.number(1, 5)):
        lines, made = w.one(*STATEMENTS)(w, values)
        body += lines
        values += made
    outputs, ends = _outputs(w, values)
    head = f"net Net(x: [N, {channels}, {size}]; deep = 1, classes = 10, flag = true) -> {outputs}"
    return "\n".join([head + " {", *(f"  {line}" for line in [*body, *ends]), "}"])


def _outputs(w: Writer, values: list[Image]) -> tuple[str, list[str]]:
    """The outputs as declared, and the lines that give them."""
    last, other = values[-1].name, w.one(*values).name
    head = "global_avg_pool -> linear(classes)"
    if w.maybe():
        return "[N, classes]", [f"return {last} -> {head} as fc"]
    role = w.one("", "train ")
    return f"(logits: [N, classes], {role}aux: [N, 2])", [
        f"logits = {last} -> {head}",
        f'aux = {other} -> global_avg_pool -> linear(2) as "aux.fc"',
    ]


# ---- statements: the lines, and the values that they make


Made = tuple[list[str], list[Image]]


def _chain(w: Writer, values: list[Image]) -> Made:
    x = w.one(*values)
    stages, channels, pools = _stages(w, x.channels, w.number(1, 4))
    name = w.fresh("v")
    return [f"{name} = {x.name} -> {' -> '.join(stages)}"], [Image(name, channels, x.pools + pools)]


def _operator(w: Writer, values: list[Image]) -> Made:
    x = w.one(*values)
    y = w.one(*(v for v in values if (v.channels, v.pools) == (x.channels, x.pools)))
    text = w.one(
        "{a} + {b}",
        "{a}*{b} - {a}",
        "-{a} / 2",
        "2.5e-1 * {a}",
        "relu({a} + {b})",
        "maximum({a}, {b})",
        "({a} + {b}) * ({a} - 1)",
        "({a} -> tanh) + {b}",
    )
    name = w.fresh("v")
    line = f"{name} = {text.format(a=x.name, b=y.name)}"
    return [line], [Image(name, x.channels, x.pools)]


def _concat(w: Writer, values: list[Image]) -> Made:
    x = w.one(*values)
    y = w.one(*(v for v in values if v.pools == x.pools))
    name = w.fresh("v")
    text = w.one("concat({a}, {b})", "concat({a}, {b}; axis=1)", "{a} -> concat({b})")
    line = f"{name} = {text.format(a=x.name, b=y.name)}"
    return [line], [Image(name, x.channels + y.channels, x.pools)]


def _average(w: Writer, values: list[Image]) -> Made:
    x, name, label = w.one(*values), w.fresh("v"), w.fresh("column")
    c = w.number(1, 3)
    line = (
        f'{name} = average([{x.name} -> conv({c}, k) as "{label}_{{i}}" for i in range(1 + deep)])'
    )
    return [line], [Image(name, c, x.pools)]


def _shared(w: Writer, values: list[Image]) -> Made:
    x, layer, name = w.one(*values), w.fresh("s"), w.fresh("v")
    stage = w.one(f"conv({x.channels}, 3)", "bn", f"(conv({x.channels}, 1) -> relu)")
    label = w.one("", f" as {w.fresh('shared')}")
    lines = [f"layer {layer} = {stage}{label}", f"{name} = {x.name} -> {layer} -> tanh -> {layer}"]
    return lines, [Image(name, x.channels, x.pools)]


def _parameter(w: Writer, values: list[Image]) -> Made:
    x, p, name = w.one(*values), w.fresh("p"), w.fresh("v")
    init = w.one("", " = 0.1", " = normal(0.02)", " = uniform(-1e-3, 1/3)", " = orthogonal")
    label = w.one("", f' as "own.{p}"')
    lines = [f"param {p}: [{x.channels}, 1, 1]{init}{label}", f"{name} = {x.name} * {p}"]
    return lines, [Image(name, x.channels, x.pools)]


def _unpack(w: Writer, values: list[Image]) -> Made:
    wide = [v for v in values if v.channels > 1]
    if not wide:
        return _chain(w, values)
    x, a, b = w.one(*wide), w.fresh("v"), w.fresh("v")
    lines = [f"{a}, {b} = {x.name} -> split([1, {x.channels - 1}], axis=1)"]
    return lines, [Image(a, 1, x.pools), Image(b, x.channels - 1, x.pools)]


def _choice(w: Writer, values: list[Image]) -> Made:
    x, name = w.one(*values), w.fresh("v")
    other = f"{x.name} -> conv({x.channels}, 1)"
    line = f"{name} = if flag and deep != 2 then {other} else {w.one(x.name, other)}"
    return [line], [Image(name, x.channels, x.pools)]


def _unused(w: Writer, values: list[Image]) -> Made:
    x = w.one(*values)
    return [f"{w.fresh('unused')} = {x.name} -> conv(2, 1) -> relu"], []


def _recurrence(w: Writer, values: list[Image]) -> Made:
    """Steps that start from the pooled image; their last one gives its channels a gate."""
    x, h, y, name = w.one(*values), w.fresh("h"), w.fresh("y"), w.fresh("v")
    c, start = x.channels, w.fresh("start")
    backward = w.maybe()
    before, first, last = ("t+1", "[6]", "[1]") if backward else ("t-1", "[0]", "[5]")
    begin = w.one(f"{h}{first} = {start}", f"{h}{first}: [N, {c}] = 0.5")
    step = w.one(
        f"{h}[t] = {h}[{before}] -> linear({c}) -> tanh",
        f"{h}[t] = sigmoid(({h}[{before}] -> relu) + {start})",
        f"z = {h}[{before}] -> linear({c}) as {w.fresh('c')}  {h}[t] = tanh(z * {start}) - z / 2",
    )
    more = w.one("", f"  {y}[t] = {h}[t] -> dropout(0.3)", f"  {y}[t] = 2 * {h}[{before}]")
    label = w.one("", "" if "2 *" in more else f" as {w.fresh('loop')}")
    return [
        f"{start} = {x.name} -> global_avg_pool",
        f"recur t in 1..5 {{ {begin}  {step}{more} }}{label}",
        f"{name} = {x.name} * reshape({h}{last}; [N, {c}, 1, 1])",
    ], [Image(name, c, x.pools)]


STATEMENTS: tuple[Callable[[Writer, list[Image]], Made], ...] = (
    _chain,
    _chain,
    _operator,
    _concat,
    _average,
    _shared,
    _parameter,
    _unpack,
    _choice,
    _unused,
    _recurrence,
)


# ---- stages: their texts, the channels behind them, how often they halved the size


def _stages(w: Writer, channels: int, count: int) -> tuple[list[str], int, int]:
    texts: list[str] = []
    pools = 0
    for _ in range(count):
        text, channels, halved = w.one(*STAGES)(w, channels)
        texts.append(text)
        pools += halved
    return texts, channels, pools


Stage = tuple[str, int, int]


def _plain(w: Writer, channels: int) -> Stage:
    return w.one(*PLAIN) + w.one("", f" as {w.fresh('label')}"), channels, 0


def _conv(w: Writer, channels: int) -> Stage:
    c = w.number(1, 4)
    more = w.one(
        "", ", bias=false", ", pad=half", ", init=he", ", init=normal(0.1)", ", dilation=2"
    )
    text = w.one(f"conv({c}, k{more})", f"conv({c}, (1, 3){more})", f"conv(c={c}, k=1)")
    return text + w.one("", "", f" as {w.fresh('label')}"), c, 0


def _pool(w: Writer, channels: int) -> Stage:
    """Only once or twice: H and W may be small."""
    return w.one("avg_pool(3, stride=1, pad=1)", "max_pool(3, stride=1, pad=1)"), channels, 0


def _group(w: Writer, channels: int) -> Stage:
    texts, channels, pools = _stages(w, channels, w.number(1, 3))
    label = w.one("", f" as {w.fresh('group')}[]", f' as "a.{w.fresh("group")}"')
    return f"({' -> '.join(texts)}){label}", channels, pools


def _for(w: Writer, channels: int) -> Stage:
    inside = w.one("conv({c}, 3) -> relu", 'conv({c}, 3) as "{l}_{{i}}"', "(bn -> relu)", "tanh")
    text = inside.format(c=channels, l=w.fresh("loop"))
    over = w.one("i in range(2)", "i in [5, 7]", "(i, j) in [(1, 2), (3, 4)]", "i in widths[deep]")
    return f"for {over} {{ {text} }}" + w.one("", f" as {w.fresh('loop')}[]"), channels, 0


def _repeat(w: Writer, channels: int) -> Stage:
    return f"repeat {w.one('2', 'deep')} {{ conv({channels}, 1) -> relu }}", channels, 0


def _choose(w: Writer, channels: int) -> Stage:
    c = w.number(1, 3)
    return f"(if flag then conv({c}, 1) -> bn else conv({c}, 3))", c, 0


def _use(w: Writer, channels: int) -> Stage:
    if not w.blocks:
        return _conv(w, channels)
    c, name = w.number(1, 3), w.one(*w.blocks)
    text = w.one(f"{name}({c})", f"{name}(c={c}, flag=flag)", f"{name}({c}) as {w.fresh('used')}")
    return text, c, 0


STAGES: tuple[Callable[[Writer, int], Stage], ...] = (
    _plain,
    _conv,
    _pool,
    _group,
    _for,
    _repeat,
    _choose,
    _use,
)
