"""The command line: one file a family of commands; results on stdout, all else on stderr.

Nothing heavy is imported before a command runs, and each imports its own machinery.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from netdsl.cli import (
    bench,
    check,
    compile,
    demo,
    explain,
    failure,
    fmt,
    keys,
    lsp,
    models,
    new,
    pin,
    run,
    show,
    train,
    verify,
)

app = typer.Typer(
    name="netdsl",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, Callable[..., None]] = {
    "check": check.check,
    "explain": explain.explain,
    "fmt": fmt.fmt,
    "pin": pin.pin,
    "new": new.new,
    "show": show.show,
    "compile": compile.compile,
    "run": run.run,
    "train": train.train,
    "eval": train.evaluate,
    "verify": verify.verify,
    "bench": bench.bench,
    "inspect": compile.inspect,
    "keys": keys.keys,
    "models": models.models,
    "demo": demo.demo,
    "lsp": lsp.lsp,
}
LIGHT = ("check", "explain", "fmt", "pin", "new", "show", "models")  # they never import torch

for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"netdsl {version('netdsl')}")
        raise typer.Exit


@app.callback()
def netdsl(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """A small language for neural networks, and its compiler to PyTorch modules.

    F is a .net file, the name of a shipped model (`netdsl models` lists them), or F:Net for one of
    several nets in a file. -D NAME=VALUE sets a hyper-parameter.

    \b
    netdsl check my.net
    netdsl show resnet -D depth=101 --size H=224,W=224 --depth 1
    netdsl train lenet --data mnist5k:pad=2 -o lenet.netc
    netdsl demo

    Exit codes: 0 done; 1 findings; 2 usage; 3 a package is missing; 4 artefact invalid; 70 a bug of
    ours; 130 interrupted.
    """


def main() -> None:
    """The command `netdsl`: leaves with the exit code."""
    light = sys.argv[1:2] and sys.argv[1] in LIGHT
    if light:
        # A graph is many objects that all live: looking for dead ones on the way and at the end
        # would take a quarter of the time.
        gc.set_threshold(200_000)
    code = run_command(sys.argv[1:])
    if light:
        gc.freeze()
    sys.exit(code)


def run_command(arguments: Sequence[str]) -> int:
    """Run a command in this process; its exit code."""
    try:
        app(list(arguments), prog_name="netdsl")
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 0
        return failure.interrupted() if code == failure.INTERRUPTED else code
    except KeyboardInterrupt:
        return failure.interrupted()
    except Exception as error:
        return failure.tell(error, arguments)
    return 0
