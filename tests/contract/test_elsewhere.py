"""What torch.export writes is run in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import torch

from contract.nets import images, pair
from contract.traced import exported

ELSEWHERE = """
import sys
import torch
program, x, y = sys.argv[1:]
torch.save(torch.export.load(program).module()(torch.load(x)).detach(), y)
assert "netdsl" not in sys.modules
"""


def test_an_exported_net_runs_where_netdsl_is_not(tmp_path):
    # with our operator in the program, torch.export.load does not know it there
    program, given, found = (str(tmp_path / name) for name in ("net.pt2", "x.pt", "y.pt"))
    model, x = pair("lenet")[0], images("lenet")
    torch.save(x, given)
    (tmp_path / "net.pt2").write_bytes(exported(model, x))
    subprocess.run([sys.executable, "-c", ELSEWHERE, program, given, found], check=True)
    torch.testing.assert_close(torch.load(found), model(x).detach(), rtol=1e-12, atol=1e-12)
