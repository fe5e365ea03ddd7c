"""`netdsl show`: a net's stages with shapes and costs, or its picture, without importing torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from netdsl.cli import options, screen
from netdsl.cli.failure import Refused

if TYPE_CHECKING:
    from netdsl.ir import Graph
    from netdsl.show import Row, Summary

COLUMNS = ("path", "op", "from", "shape", "params", "MACs", "act", "field")
NUMBERS = ("params", "MACs", "act", "field")
# A terminal that is too narrow first folds ops to this width, then loses these columns in turn.
OP_LEAST = 24
OPTIONAL = ("act", "field", "from")
NET = "net"  # the format that is no view of the rows


def show(
    target: options.Target,
    hyper: options.Hyper = None,
    size: options.Sizes = "",
    depth: Annotated[
        int, typer.Option(min=0, help="One row for all below a path of so many names; 0: no limit.")
    ] = 0,
    format: Annotated[
        str,
        typer.Option("--format", metavar="table|md|json|net|mermaid|dot", help="What to print."),
    ] = "table",
    json: options.Json = False,
) -> None:
    """Show every stage of a net with its shape and cost.

    Shapes are symbolic where the signature is; costs are those of one example. from: what it is
    connected to, if not to the line above; params: numbers that are trained; MACs:
    multiply-accumulates; act: bytes of the results in float32; field: receptive field in pixels.
    net is the graph as .net text, every stage a statement with its path as a label.

    \b
    netdsl show lenet
    netdsl show resnet -D depth=101 --size H=224,W=224 --depth 1
    netdsl show resnet --format dot | dot -Tsvg -o resnet.svg
    """
    from netdsl import front
    from netdsl.errors import Problem
    from netdsl.rewrite import with_sizes
    from netdsl.show import summary

    form = "json" if json else format
    if form not in (*FORMATS, NET):
        raise typer.BadParameter(f"the format is {', '.join(FORMATS)}, {NET}, not `{form}`")
    if form == NET and depth:
        raise typer.BadParameter("the text of a net has all its stages: --depth is for tables")
    options.text_only(target)
    graph = front.parse(target, options.hypers(hyper))
    sizes = options.sizes_of(graph, size)
    try:
        if form == NET:
            print(_text(with_sizes(graph, sizes)), end="")
            return
        seen = summary(graph, sizes)
    except Problem as problem:
        raise Refused(f"with --size {size}: {problem}") from None
    FORMATS[form](seen.collapsed(depth) if depth else seen)


def _text(graph: Graph) -> str:
    from netdsl.text import to_text

    try:
        return to_text(graph)
    except ValueError as unsaid:
        raise Refused(f"the graph of {graph.name} has no text: {unsaid}") from None


def _table(seen: Summary) -> None:
    console = screen.out()
    rows = []
    before = ""
    for row in seen.rows:
        chained = row.inputs == (before,)
        rows.append(dict(zip(COLUMNS, _cells(row, not chained), strict=True)))
        before = row.path
    shown, lost = _fitting(rows, console.width)
    lines = [[row[name] for name in shown] for row in rows]
    console.print(signature(seen))
    console.print()
    console.print(screen.table(shown, lines, right=NUMBERS, folded=("op", "from")))
    console.print()
    for line in totals(seen):
        console.print(line)
    if lost:
        screen.say(f"not shown here: {', '.join(lost)}; a wider terminal or --format md has room")


def _fitting(rows: list[dict[str, str]], width: int) -> tuple[list[str], list[str]]:
    """The columns that the width has room for, and those that it has not."""
    needed = {name: max(len(name), *(len(row[name]) for row in rows)) for name in COLUMNS}
    needed["op"] = min(needed["op"], OP_LEAST)
    shown = [name for name in COLUMNS if name != "from" or any(row["from"] for row in rows[1:])]
    lost = []
    for name in OPTIONAL:
        if name in shown and sum(needed[n] + 2 for n in shown) - 2 > width:
            shown.remove(name)
            lost.append(name)
    return shown, lost


def _cells(row: Row, connected: bool) -> tuple[str, ...]:
    shape = str(row.shapes[0]) + (" …" if len(row.shapes) > 1 else "")
    inputs = ", ".join(row.inputs) if connected else ""
    costs = (screen.count(row.params), screen.short(row.macs), screen.short(row.bytes))
    numbers = ("" if text == "0" else text for text in costs)
    return (row.path, row.op, inputs, shape, *numbers, field(row))


def field(row: Row) -> str:
    """The receptive field: 32, or 5x1 where it is not square."""
    if row.field is None:
        return "-"
    several = row.field if len(set(row.field)) > 1 else row.field[:1]
    return "x".join(map(str, several))


def signature(seen: Summary) -> str:
    """`LeNet5(x: [N, 1, 32, 32]) -> [N, 10]`."""
    inputs = ", ".join(f"{key}: {t}" for key, t in seen.inputs)
    named = [str(t) if key == "return" else f"{key}: {t}" for key, t in seen.outputs]
    outputs = named[0] if len(named) == 1 else f"({', '.join(named)})"
    return f"{seen.net}({inputs}) -> {outputs}"


def totals(seen: Summary) -> list[str]:
    """The sums in words."""
    weights = f"{seen.params:,} parameters ({screen.size(4 * seen.params)})"
    buffers = f" and {seen.buffers:,} in buffers" if seen.buffers else ""
    if seen.macs is None or seen.bytes is None:
        names = ",".join(f"{name}=…" for name in seen.unknown) or "N=…"
        return [weights + buffers, f"costs depend on the size of the input: --size {names}"]
    cost = f"{screen.short(seen.macs, ' ')} MACs, {screen.size(seen.bytes)} of activations"
    return [weights + buffers, f"{cost} for {'a call' if seen.fixed else 'one example'}"]


def _markdown(seen: Summary) -> None:
    print(f"`{signature(seen)}`\n")
    print(f"| {' | '.join(COLUMNS)} |")
    print("|" + "|".join("---:" if name in NUMBERS else "---" for name in COLUMNS) + "|")
    for row in seen.rows:
        path, op, *others = _cells(row, True)
        print(f"| {path} | `{op}` | {' | '.join(others)} |")
    print()
    print(". ".join(totals(seen)) + ".")


def _json(seen: Summary) -> None:
    screen.show_json(seen.as_json())


def _mermaid(seen: Summary) -> None:
    print("flowchart TD")
    names = _numbered(seen)
    for key, t in seen.inputs:
        print(f'  {names[key]}(["{key}: {t}"])')
    for row in seen.rows:
        print(f'  {names[row.path]}["{row.path}<br/>{row.op}<br/>{row.shapes[0]}"]')
    for source, target in _edges(seen):
        print(f"  {names[source]} --> {names[target]}")


def _dot(seen: Summary) -> None:
    names = _numbered(seen)
    print(f'digraph "{seen.net}" {{')
    print('  node [shape=box, fontname="sans-serif", fontsize=10];')
    for key, t in seen.inputs:
        print(f'  {names[key]} [label="{key}: {t}", shape=ellipse];')
    for row in seen.rows:
        print(f'  {names[row.path]} [label="{row.path}\\n{row.op}\\n{row.shapes[0]}"];')
    for source, target in _edges(seen):
        print(f"  {names[source]} -> {names[target]};")
    print("}")


def _numbered(seen: Summary) -> dict[str, str]:
    """A name for every box that no path can spoil."""
    paths = [*(key for key, _ in seen.inputs), *(row.path for row in seen.rows)]
    return {path: f"n{i}" for i, path in enumerate(dict.fromkeys(paths))}


def _edges(seen: Summary) -> list[tuple[str, str]]:
    """(from, to) by path; a result that is not the first belongs to its stage."""
    known = _numbered(seen)
    found = []
    for row in seen.rows:
        for name in row.inputs:
            source = name if name in known else name.rpartition(".")[0]
            if source in known:
                found.append((source, row.path))
    return list(dict.fromkeys(found))


FORMATS: dict[str, Callable[[Summary], None]] = {
    "table": _table,
    "md": _markdown,
    "json": _json,
    "mermaid": _mermaid,
    "dot": _dot,
}
