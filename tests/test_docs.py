"""What the documents show is run."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import netdsl
from netdsl.op import OPS

ROOT = Path(__file__).parent.parent


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / document).read_text(), re.M | re.S)


def test_the_readme_shows_a_net_and_python_that_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (text,) = blocks("README.md", "net")
    (code,) = blocks("README.md", "python")
    Path("tiny.net").write_text(text)
    names = {"x": torch.randn(2, 1, 12, 10)}
    exec(code, names)
    assert names["y"].shape == (2, 10)
    assert torch.equal(netdsl.load("tiny.netc")(names["x"]), names["model"].eval()(names["x"]))


@pytest.fixture
def softsign(tmp_path):
    """The op of the document, entered in the table from a file of its own and taken out again."""
    (text,) = blocks("docs/adding-an-op.md", "python")
    path = tmp_path / "softsign.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("netdsl_softsign", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module.Softsign
    del OPS["softsign"], sys.modules[spec.name]


def test_an_op_added_in_one_file_is_written_differentiated_and_run(softsign):
    (text,) = blocks("docs/adding-an-op.md", "net")
    model = netdsl.loads(text, seed=0).double()
    x = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)

    def twin(x):
        first, second = model.linear1, model.linear2
        hidden = F.softsign(F.linear(x, first.weight, first.bias))
        return F.linear(hidden, second.weight, second.bias)

    inputs = (x, *model.parameters())
    got = torch.autograd.grad(model(x).square().sum(), inputs)
    expected = torch.autograd.grad(twin(x).square().sum(), inputs)
    torch.testing.assert_close(model(x), twin(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    assert {example.op for example in softsign.examples} == {softsign()}
