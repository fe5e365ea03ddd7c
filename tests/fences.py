"""The fenced blocks of a document, and what the project says about each: what a document shows is
run.

```net [FILE]         a file without a finding; comments `# [N, 8, H, W]` are the type of their line
```net body x: […]    the same of the body of a net with these inputs
```net error [FILE]   a file with errors; the ```text behind it is their message
```text layers        signatures of layers
```text keys          the state_dict of the net before it
```python             code that runs in a folder with the named files; its ```text output follows
```console            commands of netdsl in that folder, with what they print

`python tests/fences.py docs/language.md` writes what is said now into the document.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netdsl import front
from netdsl.cli import run_command
from netdsl.elaborate.signature import of_op
from netdsl.errors import Diagnostic
from netdsl.ir import Graph
from netdsl.recur import every_node

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
SHAPE = re.compile(r"#\s*((?:int|bool)?\[[^#]*\])\s*$")
UNUSED = "N122"  # a fragment shows values that it does nothing with


@dataclass(frozen=True)
class Fence:
    """A block: its words (`net error wrong.net`), its text, and the block before it."""

    words: str
    text: str
    line: int
    before: Fence | None

    @property
    def kind(self) -> str:
        """`net`, `net body`, `net error`, `text keys` …"""
        return re.sub(r"\s*\S+\.net$|(?<=net body).*", "", self.words)

    @property
    def file(self) -> str:
        """The name under which a net is saved."""
        last = self.words.split()[-1]
        return last if last.endswith(".net") else "my.net"

    @property
    def is_net(self) -> bool:
        return self.words.split()[:1] == ["net"]

    def source(self) -> str:
        """The text of a net as a whole file."""
        if self.kind != "net body":
            return self.text
        return f"net A({self.words.removeprefix('net body')}) {{\n{self.text}}}\n"


def fences(document: str) -> list[Fence]:
    """The blocks of a document, in order."""
    text, found = (ROOT / document).read_text(), [None]
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found.append(Fence(match[1], match[2], line, found[-1]))
    return found[1:]


@contextlib.contextmanager
def folder_of(all_fences: list[Fence], folder: Path) -> Iterator[None]:
    """Work in a folder with the named files of the document."""
    for fence in all_fences:
        if fence.is_net and fence.file != "my.net":
            (folder / fence.file).write_text(fence.source())
    with contextlib.chdir(folder):
        yield


def findings(fence: Fence) -> list[Diagnostic]:
    """What there is to say about a net, in the folder of its document."""
    Path(fence.file).write_text(fence.source())
    found = front.check(fence.file)
    return [d for d in found if not (fence.kind == "net body" and d.code == UNUSED)]


def claims(fence: Fence) -> list[tuple[int, str]]:
    """The types that comments give: (line of the file, type)."""
    lines = enumerate(fence.source().splitlines(), start=1)
    return [(number, match[1]) for number, line in lines if (match := SHAPE.search(line))]


def type_of_line(graph: Graph, line: int) -> str:
    """The type of the last value that a line of the text makes."""
    nodes = (node for node in every_node(graph) if node.path and node.span)
    made = [node for node in nodes if node.span.source.position(node.span.end)[0] == line]
    return str(made[-1].types[0])


def said(fence: Fence) -> str:
    """What the project says now where a document quotes it, and its own text elsewhere."""
    before = fence.before
    if fence.kind == "text layers":
        return "".join(_signatures(line) for line in fence.text.splitlines())
    if fence.kind == "console":
        commands = [line[2:] for line in fence.text.splitlines() if line.startswith("$ ")]
        return "".join(f"$ {c}\n{_printed(c)}" for c in commands)
    if before is not None and fence.kind == "text" and before.kind == "net error":
        return "\n\n".join(d.render() for d in findings(before)) + "\n"
    if before is not None and fence.kind == "text keys":
        parameters = front.parse_text(before.text).parameters
        width = max(len(p.key) for p in parameters)
        return "".join(f"{p.key:<{width}}  {list(p.type.shape)}\n" for p in parameters)
    if before is not None and fence.kind == "text output":
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(before.text, {})
        return out.getvalue()
    return fence.text


def _signatures(line: str) -> str:
    names = (part.partition("(")[0] for part in line.split(" · "))
    return " · ".join(of_op(name).text.removesuffix("()") for name in names) + "\n"


def _printed(command: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        run_command(command.split()[1:])
    return re.sub(r"[ \t]+$", "", out.getvalue(), flags=re.M).strip("\n") + "\n"


def rewrite(document: str, folder: Path) -> None:
    """Write what is said now into the document."""
    found = iter(fences(document))
    path = ROOT / document

    def replaced(match: re.Match[str]) -> str:
        return f"```{match[1]}\n{said(next(found))}```"

    with folder_of(fences(document), folder):
        text = FENCE.sub(replaced, path.read_text())
    path.write_text(text)


if __name__ == "__main__":
    import tempfile

    os.environ["COLUMNS"] = "100"
    with tempfile.TemporaryDirectory() as temporary:
        rewrite(sys.argv[1], Path(temporary))
