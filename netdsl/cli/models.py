"""`netdsl models`: the nets that come with netdsl, without importing torch."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass

from netdsl.cli import options, screen


@dataclass(frozen=True)
class Shipped:
    """A net of a shipped file; `hypers` are its hyper-parameters with their defaults."""

    target: str
    net: str
    params: int
    signature: str
    hypers: dict[str, str | None]


def models(json: options.Json = False) -> None:
    """List the nets that come with netdsl."""
    from netdsl import sources

    found = {
        name.removesuffix(".net"): _nets(name.removesuffix(".net")) for name in sources.models()
    }
    comments = {model: _comment(sources.shipped(f"{model}.net").text) for model in found}
    if json:
        listed = [
            {"model": model, "comment": comments[model], "nets": [asdict(net) for net in nets]}
            for model, nets in found.items()
        ]
        screen.show_json(listed)
        return
    width = screen.out().width
    for model, nets in found.items():
        print("\n".join(textwrap.wrap(f"{model}: {comments[model]}", width)))
        for net in nets:
            hypers = ", ".join(f"{k}={v}" if v else k for k, v in net.hypers.items())
            print(f"  {net.target:<20} {net.params:>11,} params  {hypers}")
        print()


def _nets(model: str) -> list[Shipped]:
    """The nets of a shipped file; the one that its name alone gives comes first."""
    from netdsl import front
    from netdsl.errors import NetError

    try:
        default = front.parse(model).name
    except NetError:  # of several nets one must be picked
        default = ""
    found = []
    for net in front.nets(model):
        target = model if net.name == default else f"{model}:{net.name}"
        graph = front.parse(target)
        params = sum(p.type.numel for p in graph.parameters if not p.buffer)
        assert isinstance(params, int)
        found.append(Shipped(target, net.name, params, net.signature, dict(net.hypers)))
    return sorted(found, key=lambda shipped: shipped.target != model)


def _comment(text: str) -> str:
    """The first comment of a file."""
    lines = (line.strip() for line in text.splitlines())
    return next((line.lstrip("# ") for line in lines if line.startswith("#")), "")
