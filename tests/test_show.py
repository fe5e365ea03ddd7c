"""The summary of a net: shapes, parameters, costs and receptive fields, by hand and by torch."""

from __future__ import annotations

from textwrap import dedent

import pytest

from netdsl import front
from netdsl.errors import Problem
from netdsl.show import Row, Summary, summary


def seen(text: str, **sizes: int) -> Summary:
    return summary(front.parse_text(f"netdsl 1\n{text}"), sizes)


def row(found: Summary, path: str) -> Row:
    (row,) = (row for row in found.rows if row.path == path)
    return row


def test_a_row_says_all_about_a_stage() -> None:
    found = seen("""
    net Two(x: [N, 3, 8, 8]) -> [N, 4, 4, 4] {
      return x -> conv(6, 3) -> bn -> relu -> conv(4, 3, stride=2)
    }""")
    first, norm, _, last = found.rows
    assert (first.path, first.op, first.inputs) == ("conv1", "conv(6, 3, pad=1)", ("x",))
    assert [str(t) for t in first.shapes] == ["[N, 6, 8, 8]"]
    assert (first.params, first.macs, first.bytes) == (6 * 27 + 6, 64 * 6 * 27, 64 * 6 * 4)
    assert (norm.params, norm.macs, found.buffers) == (12, 0, 13)
    assert (last.op, last.inputs) == ("conv(4, 3, stride=2, pad=1)", ("relu1",))
    assert last.field == (5, 5)
    assert found.params == 6 * 27 + 6 + 12 + 4 * 54 + 4
    assert found.macs == 64 * 6 * 27 + 16 * 4 * 54


def test_costs_are_unknown_until_the_sizes_are() -> None:
    text = "net Any(x: [N, 1, H, W]) -> [N, 2, H, W] { return x -> conv(2, 3) }"
    found = seen(text)
    assert (found.macs, found.bytes, found.unknown) == (None, None, ("H", "W"))
    assert found.params == 20
    found = seen(text, H=5, W=4)
    assert (found.macs, found.bytes, found.unknown) == (20 * 18, 20 * 2 * 4, ())
    assert (seen(text, N=3, H=5, W=4).macs, seen(text, N=3, H=5, W=4).fixed) == (3 * 360, True)


def test_sizes_that_do_not_fit_are_a_problem() -> None:
    with pytest.raises(Problem, match="the window of `conv1d` is larger than its input"):
        seen("net S(x: [N, 1, H]) -> [N, 1, H - 4] { return x -> conv1d(1, 5, pad=0) }", H=3)


def test_a_view_costs_no_memory() -> None:
    found = seen("net F(x: [N, 2, 3, 3]) -> [N, 1] { return x -> relu -> flatten -> linear(1) }")
    assert [r.bytes for r in found.rows] == [72, 0, 4]


def test_the_pieces_of_a_split_have_names() -> None:
    found = seen("""
    net S(x: [N, 6]) -> [N, 2] {
      a, b, c = split(x; [2, 2, 2])
      return b + c
    }""")
    assert row(found, "add1").inputs == ("split1.y1", "split1.y2")


def test_a_shared_layer_counts_once() -> None:
    found = seen("""
    net Twins(a: [N, 3], b: [N, 3]) -> [N, 2] {
      layer enc = linear(2)
      return enc(a) + enc(b)
    }""")
    assert found.params == 8
    assert sorted(r.params for r in found.rows) == [0, 0, 8]


def test_the_receptive_field_follows_strides_dilation_and_branches() -> None:
    found = seen("""
    net Field(x: [N, 1, 32, 32]) -> [N, 10] {
      a = x -> conv(2, 3, stride=2) as a -> max_pool(2) as p
      f = a -> conv(2, 3, dilation=2) as d
      return f + a -> avg_pool(2) as q -> conv(2, (1, 3)) as w -> flatten -> linear(10)
    }""")
    fields = {r.path: r.field for r in found.rows}
    assert fields["a"] == (3, 3)
    assert fields["p"] == (5, 5)  # 3 + (2 - 1) 2
    assert fields["d"] == (21, 21)  # 5 + (5 - 1) 4
    assert fields["add1"] == (21, 21)
    assert fields["q"] == (25, 25)  # 21 + (2 - 1) 4
    assert fields["w"] == (25, 41)  # 25 + (3 - 1) 8
    assert (fields["flatten1"], fields["linear1"]) == (None, None)


def test_a_layer_that_goes_up_in_size_has_no_field() -> None:
    found = seen("""
    net Generator(z: [N, 100, 1, 1]) -> [N, 3, 8, 8] {
      return z -> up_conv(8, 4) -> relu -> up_conv(3, 4, stride=2, pad=1) -> conv(3, 3)
    }""")
    assert [r.field for r in found.rows] == [None, None, None, None]
    assert found.macs == 100 * 8 * 16 + 16 * 8 * 3 * 16 + 64 * 3 * 27


def test_recurrent_layers_cost_all_their_matrices_at_every_step() -> None:
    text = "net S(x: [N, T, 5]) -> [N, T, 6] { return x -> lstm(3, both=true) -> gru(6) }"
    assert seen(text).unknown == ("T",)
    found = seen(text, T=7)
    assert [r.macs for r in found.rows] == [7 * 2 * 12 * (5 + 3), 7 * 18 * (6 + 6)]
    assert found.params == 2 * (12 * 8 + 24) + 18 * 12 + 36


def test_a_pixel_picked_by_subsample_keeps_its_field() -> None:
    found = summary(front.parse("resnet_cifar"))
    assert row(found, "Basic4.subsample1").field == row(found, "Basic3.relu2").field
    assert row(found, "Basic9.relu2").field == (81, 81)


def test_collapsed_rows_keep_the_sums_and_the_connections() -> None:
    found = summary(front.parse("resnet"), {"H": 224, "W": 224})
    short = found.collapsed(1)
    assert [r.path for r in short.rows[3:8]] == [
        "max_pool1", "layer1", "layer2", "layer3", "layer4",
    ]  # fmt: skip
    layer2 = row(short, "layer2")
    assert (layer2.op, layer2.inputs) == ("42 stages", ("layer1",))
    assert str(layer2.shapes[0]) == "[N, 512, 28, 28]"
    assert (short.params, short.macs, short.bytes) == (found.params, found.macs, found.bytes)
    assert row(short, "conv1") == row(found, "conv1")


@pytest.mark.parametrize(
    ("target", "hyper", "params"),
    [
        ("resnet", {}, 25_557_032),
        ("resnet", {"depth": 101}, 44_549_160),
        ("resnet", {"depth": 152}, 60_192_808),
        ("vgg", {}, 138_357_544),
        ("vgg:VGG19", {}, 143_667_240),
        ("alexnet", {}, 61_100_840),
        ("lenet", {}, 61_706),
        ("resnet_cifar", {}, 269_722),
        ("resnet_cifar", {"depth": 56}, 853_018),
        ("resnet_cifar", {"depth": 110}, 1_727_962),
    ],
)
def test_parameters_are_those_of_the_papers_code(
    target: str, hyper: dict[str, object], params: int
) -> None:
    assert summary(front.parse(target, hyper)).params == params


def test_macs_are_those_in_the_literature() -> None:
    resnet = summary(front.parse("resnet"), {"H": 224, "W": 224})
    assert resnet.macs == 4_089_184_256  # He et al. 2015, table 1: 3.8 G; v1.5 has 4.09 G
    vgg = summary(front.parse("vgg"), {"H": 224, "W": 224})
    assert vgg.macs == 15_470_264_320


def test_the_summary_as_json_has_numbers_and_names() -> None:
    found = seen("net S(x: [N, 2]) -> [N, 1] { return x -> linear(1) }").as_json()
    assert found == {
        "net": "S",
        "inputs": {"x": ["N", 2]},
        "outputs": {"return": ["N", 1]},
        "rows": [
            {
                "path": "linear1",
                "op": "linear(1)",
                "inputs": ["x"],
                "shapes": [["N", 1]],
                "params": 3,
                "macs": 2,
                "bytes": 4,
                "receptive_field": None,
                "stages": 1,
            }
        ],
        "params": 3,
        "buffers": 0,
        "macs": 2,
        "bytes": 4,
        "unknown_sizes": [],
    }


def test_a_recurrence_shows_its_step_with_the_number_of_steps() -> None:
    text = """\
        net A(x: [N, T, 3]) {
          recur t in 1..T {
            h[0]: [N, 4] = 0
            h[t] = tanh(concat(x[t], h[t-1]) -> linear(4))
          }
          return h[T] -> linear(2)
        }
    """
    found = seen(dedent(text), T=5)
    assert [(row.path, row.op, row.inputs, row.params, row.macs) for row in found.rows[:4]] == [
        ("concat1", "concat × 5, shared", ("x[t]", "recur1.y0[t-1]"), 0, 0),
        ("linear1", "linear(4) × 5, shared", ("concat1",), 32, 5 * 4 * 7),
        ("tanh1", "tanh × 5, shared", ("linear1",), 0, 0),
        ("recur1", "recur over 5 steps", ("x",), 0, 0),
    ]
    assert (found.params, found.macs) == (32 + 10, 5 * 4 * 7 + 8)


def test_an_extern_is_a_stage_without_known_cost() -> None:
    found = seen("extern f(x: [N, D]; k = 3) -> [N, D]\nnet A(x: [N, 4]) { return x -> f }")
    assert (row(found, "f1").op, str(row(found, "f1").shapes[0])) == ("extern f, k=3", "[N, 4]")
