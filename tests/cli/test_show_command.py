"""`netdsl show`: the table, and the same as Markdown, JSON, Mermaid and dot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command

from netdsl.cli import show

SKIP = """netdsl 1
net Skip(x: [N, 4, 6, 6]) -> [N, 10] {
  f = x -> conv(4, 3) as conv -> bn
  return relu(f + x) -> global_avg_pool -> linear(10)
}
"""
TABLE = """\
Skip(x: [N, 4, 6, 6]) -> [N, 10]

path              op                 from    shape         params   MACs  act  field
────────────────────────────────────────────────────────────────────────────────────
conv              conv(4, 3, pad=1)  x       [N, 4, 6, 6]     148  5.18k  576      3
bn1               bn                         [N, 4, 6, 6]       8         576      3
add1              add                bn1, x  [N, 4, 6, 6]                 576      3
relu1             relu                       [N, 4, 6, 6]                 576      3
global_avg_pool1  global_avg_pool            [N, 4]                        16      -
linear1           linear(10)                 [N, 10]           50     40   40      -

206 parameters (824 B) and 9 in buffers
5.22 k MACs, 2.36 kB of activations for one example
"""
MARKDOWN = """\
`Skip(x: [N, 4, 6, 6]) -> [N, 10]`

| path | op | from | shape | params | MACs | act | field |
|---|---|---|---|---:|---:|---:|---:|
| conv | `conv(4, 3, pad=1)` | x | [N, 4, 6, 6] | 148 | 5.18k | 576 | 3 |
| bn1 | `bn` | conv | [N, 4, 6, 6] | 8 |  | 576 | 3 |
| add1 | `add` | bn1, x | [N, 4, 6, 6] |  |  | 576 | 3 |
| relu1 | `relu` | add1 | [N, 4, 6, 6] |  |  | 576 | 3 |
| global_avg_pool1 | `global_avg_pool` | relu1 | [N, 4] |  |  | 16 | - |
| linear1 | `linear(10)` | global_avg_pool1 | [N, 10] | 50 | 40 | 40 | - |

206 parameters (824 B) and 9 in buffers. 5.22 k MACs, 2.36 kB of activations for one example.
"""
MERMAID = """\
flowchart TD
  n0(["x: [N, 4, 6, 6]"])
  n1["conv<br/>conv(4, 3, pad=1)<br/>[N, 4, 6, 6]"]
  n2["bn1<br/>bn<br/>[N, 4, 6, 6]"]
  n3["add1<br/>add<br/>[N, 4, 6, 6]"]
  n4["relu1<br/>relu<br/>[N, 4, 6, 6]"]
  n5["global_avg_pool1<br/>global_avg_pool<br/>[N, 4]"]
  n6["linear1<br/>linear(10)<br/>[N, 10]"]
  n0 --> n1
  n1 --> n2
  n2 --> n3
  n0 --> n3
  n3 --> n4
  n4 --> n5
  n5 --> n6
"""


def test_the_table_has_every_stage_and_the_sums(netdsl: Command) -> None:
    Path("skip.net").write_text(SKIP)
    ran = netdsl("show", "skip.net")
    assert ran.code == 0
    assert [line.rstrip() for line in ran.out.splitlines()] == TABLE.splitlines()


@pytest.mark.parametrize(("form", "expected"), [("md", MARKDOWN), ("mermaid", MERMAID)])
def test_other_forms_say_the_same(netdsl: Command, form: str, expected: str) -> None:
    Path("skip.net").write_text(SKIP)
    ran = netdsl("show", "skip.net", "--format", form)
    assert (ran.code, ran.out) == (0, expected)


def test_dot_has_a_box_a_stage_and_an_edge_a_tensor(netdsl: Command) -> None:
    Path("skip.net").write_text(SKIP)
    lines = netdsl("show", "skip.net", "--format", "dot").out.splitlines()
    assert lines[0] == 'digraph "Skip" {'
    assert '  n3 [label="add1\\nadd\\n[N, 4, 6, 6]"];' in lines
    assert lines[-8:] == [
        "  n0 -> n1;",
        "  n1 -> n2;",
        "  n2 -> n3;",
        "  n0 -> n3;",
        "  n3 -> n4;",
        "  n4 -> n5;",
        "  n5 -> n6;",
        "}",
    ]


def test_hyper_parameters_sizes_and_depth_are_obeyed(netdsl: Command) -> None:
    ran = netdsl(
        "show", "resnet", "-D", "depth=101", "--size", "H=224,W=224", "--depth", 1, "--json"
    )
    found = json.loads(ran.out)
    assert found["params"] == 44_549_160
    assert found["inputs"] == {"x": ["N", 3, 224, 224]}
    assert [row["path"] for row in found["rows"]][4:8] == ["layer1", "layer2", "layer3", "layer4"]


def test_costs_that_wait_for_sizes_say_so(netdsl: Command) -> None:
    assert netdsl("show", "vgg").out.splitlines()[-1] == (
        "costs depend on the size of the input: --size H=…,W=…"
    )


def test_a_narrow_terminal_loses_the_last_columns_first() -> None:
    rows = [dict.fromkeys(show.COLUMNS, 10 * "x")] * 2  # 8 columns of 10, 2 between them
    assert show._fitting(rows, 94) == (list(show.COLUMNS), [])
    assert show._fitting(rows, 93)[1] == ["act"]
    assert show._fitting(rows, 70)[1] == ["act", "field"]
    assert show._fitting(rows, 10)[1] == ["act", "field", "from"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "pdf"], "the format is table, md, json, mermaid, dot, net, not `pdf`"),
        (["--size", "H"], "`H` is not NAME=VALUE, as in `--size N=8,H=224`"),
        (["--size", "H=0"], "size H is a whole number from 1, not `0`"),
        (["--size", "H=1,H=2"], "H is given twice"),
        (["-D", "classes=[3"], '`[3` is no value: a number, true, false, a word or a "text" is'),
    ],
)
def test_usage_errors_exit_with_2(netdsl: Command, arguments: list[str], message: str) -> None:
    ran = netdsl("show", "lenet", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in " ".join(ran.err.split())


def test_sizes_that_do_not_fit_and_unknown_ones_are_said(netdsl: Command) -> None:
    ran = netdsl("show", "alexnet", "--size", "H=10,W=10")
    assert (ran.code, ran.err) == (
        2,
        "error: with --size H=10,W=10: the window of `max_pool` is larger than its input\n",
    )
    ran = netdsl("show", "lenet", "--size", "Q=1")
    assert (ran.code, ran.err) == (2, "error: LeNet5 has no size Q; it has N\n")


def test_the_graph_as_text_can_be_read_again(netdsl: Command) -> None:
    ran = netdsl("show", "lenet", "--format", "net", "--size", "N=2")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(
        "netdsl 1\nnet LeNet5(x: [2, 1, 32, 32]) -> [2, 10] {\n  v1 = conv(x;"
    )
    Path("lenet.net").write_text(ran.out)
    assert netdsl("show", "lenet.net", "--format", "net").out == ran.out
    assert netdsl("show", "lenet", "--format", "net", "--depth", "1").code == 2
