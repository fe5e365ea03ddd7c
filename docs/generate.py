"""What the documents say about ops and nets, from the op table and the nets themselves.

python docs/generate.py     # writes docs/ops.md, and figures and numbers of docs/networks/*.md
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from pathlib import Path

from netdsl import front
from netdsl.cli import run_command
from netdsl.cli.screen import short, size
from netdsl.op import Op
from netdsl.ops import layers
from netdsl.show import summary

DOCS = Path(__file__).parent
SAID = re.compile(r"(<!-- (figure|numbers) -->\n).*?(<!-- end -->)", re.S)


@dataclass(frozen=True)
class Row:
    """A net of a page: what the page calls it, how it is loaded, the sizes it is counted at."""

    name: str
    target: str
    hyper: Mapping[str, object] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """Its rows, of which the figure shows one, with a box for every path of `depth` names."""

    rows: tuple[Row, ...]
    figure: int = 0
    depth: int = 1


IMAGENET = {"H": 224, "W": 224}
CIFAR = {"H": 32, "W": 32}
PAGES = {
    "lenet": Page((Row("LeNet-5 of 1998", "lenet1998"), Row("LeNet-5 as used today", "lenet"))),
    "dannet": Page(
        (Row("a column", "dannet:DanNet"), Row("MCDNN, five columns", "dannet:MCDNN")), 0, 2
    ),
    "alexnet": Page(
        (Row("AlexNet of 2012", "alexnet2012"), Row("torchvision's", "alexnet", {}, IMAGENET))
    ),
    "vgg": Page(
        (
            *(Row(f"VGG-{n}", "vgg", {"depth": n}, IMAGENET) for n in (11, 13, 16, 19)),
            Row("VGG-16 with BN", "vgg", {"depth": 16, "norm": True}, IMAGENET),
        ),
        figure=2,
        depth=2,
    ),
    "googlenet": Page(
        (
            Row("of 2014", "googlenet2014"),
            Row("of 2014 without aux", "googlenet2014", {"aux": False}),
            Row("torchvision's", "googlenet", {}, IMAGENET),
            Row("torchvision's without aux", "googlenet", {"aux": False}, IMAGENET),
        ),
        figure=1,
    ),
    "resnet": Page(
        (
            *(Row(f"ResNet-{n}", "resnet", {"depth": n}, IMAGENET) for n in (18, 34, 50, 101, 152)),
            Row("ResNet-50 as in 2015", "resnet", {"original": True}, IMAGENET),
            Row("ResNet-200, pre-activation", "resnet:ResNet200", {}, IMAGENET),
            Row("SE-ResNet-50", "se_resnet", {}, IMAGENET),
            *(
                Row(f"CIFAR ResNet-{n}", "resnet_cifar", {"depth": n}, CIFAR)
                for n in (20, 32, 44, 56, 110)
            ),
            Row("Plain-20", "resnet_cifar:Plain20", {}, CIFAR),
        ),
        figure=2,
    ),
    "densenet": Page(
        (
            Row("DenseNet-121", "densenet", {}, IMAGENET),
            Row("DenseNet-161", "densenet:DenseNet161", {}, IMAGENET),
            Row("DenseNet-169", "densenet:DenseNet169", {}, IMAGENET),
            Row("DenseNet-201", "densenet:DenseNet201", {}, IMAGENET),
        ),
        depth=2,
    ),
    "unet": Page((Row("U-Net", "unet", {}, {"h": 16, "w": 16}),), 0, 3),
    "siamese": Page((Row("siamese", "siamese"),), 0, 2),
    "layernorm": Page(
        (
            Row("perceptron", "layernorm:LayerNormMLP"),
            Row("convolutional", "layernorm:LayerNormConv"),
            Row("recurrent", "layernorm:LayerNormRNN", {}, {"T": 28}),
        ),
        figure=1,
    ),
    "pretrained": Page(
        (
            Row("CREPE, tiny", "crepe"),
            Row("CREPE, full", "crepe", {"full": True}),
            Row("P-Net", "mtcnn:PNet", {}, {"H": 12, "W": 12}),
            Row("R-Net", "mtcnn:RNet"),
            Row("O-Net", "mtcnn:ONet"),
        ),
        figure=4,
    ),
}


def documents() -> Iterator[tuple[Path, str]]:
    """Every generated document as it should be."""
    yield DOCS / "ops.md", ops()
    for name, page in PAGES.items():
        path = DOCS / "networks" / f"{name}.md"
        yield path, written(path.read_text("utf-8"), page)


def written(text: str, page: Page) -> str:
    """A page with what stands between its marks said anew."""
    parts = {"figure": figure, "numbers": numbers}
    return SAID.sub(lambda match: match[1] + parts[match[2]](page) + match[3], text)


def figure(page: Page) -> str:
    """The net as `netdsl show` draws it."""
    row = page.rows[page.figure]
    hypers = [f"{key}={_value(value)}" for key, value in row.hyper.items()]
    command = ["show", row.target, *(word for hyper in hypers for word in ("-D", hyper))]
    if row.sizes:
        command += ["--size", ",".join(f"{key}={value}" for key, value in row.sizes.items())]
    command += ["--depth", str(page.depth), "--format", "mermaid"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        run_command(command)
    return f"`netdsl {' '.join(command)}`\n\n```mermaid\n{out.getvalue()}```\n"


def numbers(page: Page) -> str:
    """A row a net: parameters, and the cost of one example."""
    lines = ["| net | `netdsl show` | input | parameters | MACs | activations |"]
    lines.append("|---|---|---|---:|---:|---:|")
    for row in page.rows:
        seen = summary(front.parse(row.target, dict(row.hyper)), dict(row.sizes))
        hyper = "".join(f" -D {key}={_value(value)}" for key, value in row.hyper.items())
        inputs = ", ".join(str(t) for _, t in seen.inputs)
        counts = f"{seen.params:,} | {short(seen.macs, ' ')} | {size(seen.bytes)}"
        lines.append(f"| {row.name} | `{row.target}{hyper}` | {inputs} | {counts} |")
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def ops() -> str:
    """The reference of the layers, a section a file of ops."""
    families: dict[str, list[type[Op]]] = {}
    for op in sorted(layers().values(), key=lambda op: op.__module__):
        families.setdefault(op.__module__, []).append(op)
    sections = [OPENING, *(_family(module, family) for module, family in families.items())]
    return "\n".join(sections)


OPENING = """\
# The layers and functions

Written from the op table by `python docs/generate.py`. Tensors stand before the semicolon,
hyper-parameters behind it with their defaults; a pipe brings the first tensor. How they are written
is told in [language.md](language.md), how one is added in [adding-an-op.md](adding-an-op.md).
"""


def _family(module: str, family: list[type[Op]]) -> str:
    first, _, rest = cleandoc(sys.modules[module].__doc__ or "").partition("\n\n")
    more = f"\n```text\n{rest.strip()}\n```\n" if rest.strip() else ""
    entries = "\n\n".join(map(_entry, family))
    return f"## {' '.join(first.split()).rstrip('.')}\n{more}\n```text\n{entries}\n```\n"


def _entry(op: type[Op]) -> str:
    """The call, and below it what the class says; then the names of what the layer owns."""
    kept = len(op.tensors) - op.optional
    tensors = [name if i < kept else f"[{name}]" for i, name in enumerate(op.tensors)]
    hypers = op.signature().removeprefix(f"{op.name}(").removesuffix(")")
    call = ", ".join(tensors) + (", …" if op.variadic else "")
    text = cleandoc(op.__doc__ or "")
    example = op.examples[0]
    owned = ", ".join(p.name for p in example.op.params(*example.operands))
    text += f"\nowns {owned}" if owned else ""
    body = "\n".join(f"    {line}".rstrip() for line in text.splitlines())
    return f"{op.name}({call}{'; ' if hypers else ''}{hypers})\n{body}"


if __name__ == "__main__":
    for path, text in documents():
        path.write_text(text, "utf-8")
