"""What the documents show is run."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest
import torch
import torch.nn.functional as F
from fences import ROOT, claims, fences, findings, folder_of, said, type_of_line

import netdsl
from netdsl import front
from netdsl.cli import COMMANDS
from netdsl.fmt import format
from netdsl.op import OPS

GUIDE = "docs/language.md"
RECIPES = "docs/pytorch.md"


@pytest.fixture
def folder(tmp_path):
    """A folder with the files of the guide, in which the test runs."""
    with folder_of(fences(GUIDE), tmp_path):
        yield tmp_path


def by_line(*kinds: str):
    """The blocks of the guide of these kinds, named by their lines."""
    found = [fence for fence in fences(GUIDE) if fence.kind in kinds]
    assert found
    return pytest.mark.parametrize("fence", found, ids=lambda fence: f"line {fence.line}")


@by_line("net", "net body")
def test_a_net_of_the_guide_is_without_a_finding_and_has_the_types_it_says(fence, folder):
    assert findings(fence) == []
    graph = front.parse(fence.file) if claims(fence) else None
    assert [(n, type_of_line(graph, n)) for n, _ in claims(fence)] == claims(fence)


@by_line("console", "text", "text keys", "text layers", "text output")
def test_the_guide_quotes_what_is_said(fence, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert said(fence) == fence.text


@by_line("net")
def test_a_net_of_the_guide_is_in_the_formatters_style(fence):
    assert format(fence.text) == fence.text


def test_the_commands_of_the_guide_are_there():
    commands = set(re.findall(r"netdsl ([a-z]+)", (ROOT / GUIDE).read_text()))
    assert {"check", "fmt", "show"} <= commands <= set(COMMANDS)


def test_the_readme_lists_every_command():
    rows = re.findall(r"^\| `netdsl ([a-z]+)", (ROOT / "README.md").read_text(), re.M)
    assert sorted(rows) == sorted(COMMANDS)


def test_every_block_of_the_guide_is_of_a_kind_that_is_checked():
    follows = {"text": "net error", "text keys": "net", "text output": "python"}
    kinds = {"net", "net body", "net error", "python", "console", "text layers", *follows}
    found = fences(GUIDE)
    assert {fence.kind for fence in found} <= kinds
    assert all(f.before.kind == follows[f.kind] for f in found if f.kind in follows)
    quoted = {id(f.before) for f in found if f.kind in follows}
    assert all(id(f) in quoted for f in found if f.kind in ("net error", "python"))


def test_the_guide_has_every_keyword():
    text = (ROOT / GUIDE).read_text()
    table = text[text.index("## All of the syntax") :]
    keywords = re.findall(r'^[A-Z]+: "([a-z]+)"$', (ROOT / "netdsl/grammar.lark").read_text(), re.M)
    assert len(keywords) > 20
    assert [word for word in keywords if not re.search(rf"\b{word}\b", table)] == []


def test_the_readme_shows_a_net_and_python_that_work(tmp_path):
    (net,) = [fence for fence in fences("README.md") if fence.is_net]
    (code,) = [fence for fence in fences("README.md") if fence.kind == "python"]
    with folder_of([net], tmp_path):
        assert findings(net) == []
        names = {"x": torch.randn(2, 1, 12, 10)}
        exec(code.text, names)
        assert names["y"].shape == (2, 10)
        assert torch.equal(netdsl.load("tiny.netc")(names["x"]), names["model"].eval()(names["x"]))


@pytest.mark.parametrize(
    "fence",
    [fence for fence in fences(RECIPES) if fence.kind == "python"],
    ids=lambda fence: f"line {fence.line}",
)
def test_a_recipe_runs_and_prints_what_stands_there(fence, tmp_path, capsys):
    recipes = fences(RECIPES)
    nets = [each for each in recipes if each.is_net]
    printed = [f.text for f in recipes if f.kind == "text output" and f.before == fence]
    with folder_of(nets, tmp_path):
        assert [findings(net) for net in nets] == [[]]
        exec(fence.text, {})
    assert capsys.readouterr().out == "".join(printed)


def texts(kind: str) -> list[str]:
    """The blocks of that kind that show how an op is added."""
    return [fence.text for fence in fences("docs/adding-an-op.md") if fence.kind == kind]


@pytest.fixture
def softsign(tmp_path):
    """The op of the document, entered in the table from a file of its own and taken out again."""
    (text,) = texts("python")
    path = tmp_path / "softsign.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("netdsl_softsign", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module.Softsign
    del OPS["softsign"], sys.modules[spec.name]


def test_an_op_added_in_one_file_is_written_differentiated_and_run(softsign):
    (text,) = texts("net")
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
