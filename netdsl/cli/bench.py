"""`netdsl bench`: a net beside its peers, as a table of times, ratios and memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from netdsl.cli import options, screen
from netdsl.cli.failure import Refused

if TYPE_CHECKING:
    from netdsl.bench import Report, Row

COLUMNS = ("contender", "ms", "CPU ms", "netdsl is", "of peak", "memory", "first call", "error", "")
NUMBERS = COLUMNS[1:-1]


def bench(
    target: options.Runnable,
    hyper: options.Hyper = None,
    batch: Annotated[int, typer.Option(min=1, help="Examples in a call.")] = 1,
    size: options.Sizes = "",
    train: Annotated[bool, typer.Option("--train", help="A training step, not inference.")] = False,
    dtype: Annotated[str, typer.Option(metavar="float32|bfloat16", help="Precision.")] = "float32",
    threads: Annotated[int, typer.Option(min=1, help="That a contender may use.")] = 1,
    against: Annotated[
        str,
        typer.Option(
            metavar="PEERS",
            help="Some of eager,compile,freezing,onnxruntime,openvino,jax (all of them).",
        ),
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each, in turn.")] = 9,
    seconds: Annotated[float, typer.Option(min=0.001, help="Length of one measurement.")] = 0.3,
    seed: options.Seed = 0,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the result as a table in Markdown.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Time a net beside PyTorch, ONNX Runtime, OpenVINO and JAX.

    Every contender has a process of its own; they are measured in turn, round by round. "netdsl is"
    says how many times faster ours is (frozen, in inference): below 1, it is slower. What cannot be
    measured is a line that says why.

    \b
    netdsl bench lenet
    netdsl bench resnet --batch 16 --size H=224,W=224 --against eager,freezing
    netdsl bench resnet -D depth=18 --batch 8 --size H=224,W=224 --train
    """
    from netdsl import bench as benchmark
    from netdsl.errors import Problem

    families = tuple(filter(None, against.split(","))) or benchmark.FAMILIES
    unknown = [name for name in families if name not in benchmark.FAMILIES]
    if unknown:
        raise typer.BadParameter(
            f"the peers are {', '.join(benchmark.FAMILIES)}, not `{unknown[0]}`"
        )
    if dtype not in benchmark.DTYPES:
        raise typer.BadParameter(f"the dtype is {' or '.join(benchmark.DTYPES)}, not `{dtype}`")
    graph = options.load(target, hyper, seed=seed).graph
    job = benchmark.Job(
        target,
        options.hypers_of(target, hyper),
        batch,
        options.sizes_of(graph, size),
        train,
        dtype,
        threads,
        seconds,
        seed,
    )
    try:
        report = benchmark.measure(
            job, families, rounds, told=lambda what: screen.progress(f"… {what}")
        )
    except Problem as problem:
        raise Refused(f"the inputs do not fit, say their --size: {problem}") from None
    if json:
        screen.show_json(asdict(report))
    elif markdown:
        print(_markdown(report))
    else:
        _tell(report)


def _tell(report: Report) -> None:
    console = screen.out()
    console.print(f"{_title(report)}\n")
    rows = [_cells(row) for row in report.rows]
    console.print(screen.table(COLUMNS, rows, right=NUMBERS, folded=("",)))
    console.print(f"\n{_made(report)}")


def _markdown(report: Report) -> str:
    rules = [":--" if name not in NUMBERS else "--:" for name in COLUMNS]
    lines = [COLUMNS, rules, *map(_cells, report.rows)]
    table = "\n".join(_line(cells) for cells in lines)
    return f"### {_title(report)}\n\n{table}\n\n{_made(report)}\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _title(report: Report) -> str:
    job = report.job
    hyper = ", ".join(f"{name}={value}" for name, value in job.hyper.items())
    inputs = ", ".join("×".join(map(str, shape)) for shape in report.inputs.values())
    parts = (
        report.net + (f" ({hyper})" if hyper else ""),
        "a training step" if job.train else "inference",
        inputs,
        job.dtype,
        screen.several(job.threads, "thread"),
    )
    return ", ".join(parts)


def _cells(row: Row) -> Sequence[str]:
    if row.skipped:
        return (row.contender, *("-" for _ in NUMBERS), row.skipped)
    return (
        row.contender,
        _milliseconds(row.wall_ms),
        _milliseconds(row.cpu_ms),
        "-" if row.ratio is None else f"{row.ratio:.2f}×",
        "-" if row.peak_share is None else f"{100 * row.peak_share:.0f} %",
        screen.size(row.peak_bytes),
        "-" if row.first_call_s is None else screen.seconds(row.first_call_s),
        "-" if row.error is None else f"{row.error:.0e}" if row.error else "0",
        "; ".join(filter(None, [row.variant, row.remark])),
    )


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _made(report: Report) -> str:
    """What the figures are and what they were made on."""
    job, machine = report.job, report.machine
    clock = "CPU time of the process" if report.basis == "cpu" else "wall clock"
    rounds = max((len(row.rounds.get("wall", ())) for row in report.rows), default=0)
    roof = "" if report.peak_flops is None else f", peak {report.peak_flops / 1e9:.0f} GFLOP/s"
    packages = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    return (
        f"Medians of {screen.several(rounds, 'round')} of {job.seconds:g} s in turn; ratios by "
        f"{clock}; {report.flops / 1e9:.3g} GFLOP a call{roof} measured beside it.\n"
        f"{machine['processor']} ({machine['capability']}), {machine['cores']} cores, load "
        f"{machine['load']:.1f}; {packages}."
    )
