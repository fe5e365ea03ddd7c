"""The peers that are no dependencies run the same net: wherever they are installed, their first
numbers are ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from netdsl.bench import Job
from netdsl.bench.contenders import CONTENDERS
from netdsl.bench.job import Variant, save_inputs
from netdsl.bench.processes import Worker

NET = """netdsl 1
net Peers(x: [N, 3, 11, 13]) -> [N, 6] {
  a = x -> conv(8, 3, stride=2, pad=1) -> bn -> relu
  b = a -> conv(8, 3, groups=2) -> bn
  c = relu(a + b) -> max_pool(3, stride=2, ceil=true)
  d = c -> avg_pool(3, stride=1, pad=1) -> tanh
  return concat(c, d) -> global_avg_pool -> linear(7) -> sigmoid -> linear(6)
}
"""
PEERS = [name for name, c in CONTENDERS.items() if c.packages != ("torch",)]


@pytest.mark.parametrize("name", PEERS)
def test_the_first_numbers_are_ours(tmp_path: Path, name: str) -> None:
    contender = CONTENDERS[name]
    if any(find_spec(package) is None for package in contender.packages):
        pytest.skip(f"needs {', '.join(contender.packages)}")
    net = tmp_path / "peers.net"
    net.write_text(NET)
    job = Job(str(net), batch=2, folder=str(tmp_path), seconds=0.01)
    save_inputs(job, {"x": torch.randn(2, 3, 11, 13).numpy()})
    if contender.exported:
        Worker("export", job, Variant()).stop()
    found = []
    for one in ("netdsl", name):
        worker = Worker(one, job, Variant())
        assert worker.round()["calls"] > 0
        worker.stop()
        found.append(torch.tensor(worker.ready["sample"]))
    assert found[0].shape == (12,)
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-5)
