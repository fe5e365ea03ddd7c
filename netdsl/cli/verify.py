"""`netdsl verify`: the compiled net against the reference, as a table by layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from netdsl.cli import options, screen
from netdsl.cli.failure import FINDINGS, Refused

if TYPE_CHECKING:
    from netdsl.verify import Report, Row

# column -> (what is compared, dtype); its cell is the worst error
COLUMNS = {
    "forward": (("forward", "output", "buffer"), "float64"),
    "float32": (("forward", "output", "buffer"), "float32"),
    "gradient": (("gradient",), "float64"),
    "float32 ": (("gradient",), "float32"),
}
SHOWN = 30
ILL = "float32 is ill-conditioned here; allowed is 3 times the error of plain torch in float32"


def verify(
    target: options.Runnable,
    hyper: options.Hyper = None,
    weights: options.Weights = None,
    renaming: options.Renaming = None,
    partial: options.Partial = False,
    batch: Annotated[int, typer.Option(min=1, help="Examples in the random input.")] = 3,
    size: options.Sizes = "",
    seed: options.Seed = 0,
    forward_only: Annotated[
        bool, typer.Option("--forward-only", help="No gradients in eval mode.")
    ] = False,
    all: Annotated[
        bool, typer.Option("--all", help="Every layer, where a long net shows the worst.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Compare the compiled net with plain torch, by layer.

    Outputs, gradients and buffers in inference, eval and training, against the ops one by one in
    float64. Names the first bad layer, and exits with 1, where one is beyond its tolerance.

    \b
    netdsl verify lenet
    netdsl verify resnet.netc --size H=64,W=64
    """
    from netdsl import verify as verifier
    from netdsl.errors import Problem

    model = options.load(target, hyper, weights, renaming, partial, seed=seed)
    try:
        report = verifier.verify(
            model,
            batch=batch,
            seed=seed,
            sizes=options.sizes_of(model.graph, size),
            backward=not forward_only,
            told=lambda what: screen.progress(f"… {what}"),
        )
    except Problem as problem:
        raise Refused(f"the inputs do not fit, say their --size: {problem}") from None
    if json:
        screen.show_json({**asdict(report), "good": report.good})
    else:
        tell(report, all)
    if not report.good:
        raise typer.Exit(FINDINGS)


def tell(report: Report, every: bool = True) -> None:
    """The table by layer, then the verdict."""
    from netdsl.verify import worst

    console = screen.out()
    inputs = ", ".join(f"{key}: {list(shape)}" for key, shape in report.inputs.items())
    console.print(f"{report.net}({inputs}) as it runs against the reference in float64\n")
    by_layer = _by_layer(report)
    ratios = {layer: _ratio(worst(rows)) for layer, rows in by_layer.items()}
    kept = set(by_layer if every else sorted(ratios, key=lambda k: -ratios[k])[:SHOWN])
    kept |= {layer for layer, ratio in ratios.items() if ratio > 1}
    lines = [
        (layer or "(the net)", *_cells(rows), "ok" if ratios[layer] <= 1 else "WRONG")
        for layer, rows in by_layer.items()
        if layer in kept
    ]
    lines.append(("tolerance", *_tolerances(), ""))
    console.print(screen.table(("layer", *COLUMNS, ""), lines, right=COLUMNS))
    if len(kept) < len(by_layer):
        rest = len(by_layer) - len(kept)
        console.print(f"… and {rest} more within their tolerances (--all shows them)")
    if any(row.ill_conditioned for row in report.rows):
        console.print(ILL)
    console.print(f"\n{verdict(report)}")


def verdict(report: Report) -> str:
    """One sentence: all is well, or where it first goes wrong."""
    bad = report.first_bad
    if bad is None:
        return f"ok: {len(report.rows)} comparisons within their tolerances"
    what = {
        "forward": f"the result of `{bad.layer}`",
        "output": f"output `{bad.name}`",
        "gradient": f"the gradient of `{bad.name}`",
        "buffer": f"the new value of `{bad.name}`",
    }[bad.what]
    return (
        f"WRONG: first {what}, in {bad.run}, {bad.dtype}: "
        f"error {bad.error:.1e}, tolerance {bad.tolerance:.0e}"
    )


def _by_layer(report: Report) -> dict[str, list[Row]]:
    """The rows of each layer in the order of the graph, those of the net itself last."""
    found: dict[str, list[Row]] = {layer: [] for layer in (*report.layers, "")}
    for row in report.rows:
        found.setdefault(row.layer, []).append(row)
    return {layer: rows for layer, rows in found.items() if rows}


def _cells(rows: Iterable[Row]) -> list[str]:
    cells = []
    for whats, dtype in COLUMNS.values():
        errors = [row.error for row in rows if row.what in whats and row.dtype == dtype]
        cells.append(_number(max(errors)) if errors else "-")
    return cells


def _number(value: float) -> str:
    return f"{value:.0e}" if value else "0"


def _ratio(row: Row | None) -> float:
    return row.error / row.tolerance if row else 0.0


def _tolerances() -> list[str]:
    from netdsl.verify import TOLERANCES

    by_name = {str(dtype).removeprefix("torch."): row for dtype, row in TOLERANCES.items()}
    return [f"{by_name[dtype][whats[-1]]:.0e}" for whats, dtype in COLUMNS.values()]
