"""What is told about a place, and what can be written there: the functions below the server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from programs import marked

from netdsl import front
from netdsl.editors.completion import Item, complete, signature
from netdsl.editors.cursor import cursor
from netdsl.editors.findings import findings
from netdsl.editors.hints import hints
from netdsl.editors.hover import hover
from netdsl.editors.snapshot import Snapshot, take
from netdsl.editors.vocabulary import known
from netdsl.parser import from_text
from netdsl.sources import models, shipped


def snapshot(text: str, folder: Path | None = None) -> Snapshot:
    return take(from_text(text, "t.net"), "t.net", folder)


def told(text: str) -> str | None:
    """What hovering tells at the mark."""
    text, offset = marked(text)
    found = hover(snapshot(text), offset)
    return None if found is None else found.text


def offered(text: str, folder: Path | None = None) -> dict[str, Item]:
    """What can be written at the mark."""
    text, offset = marked(text)
    return {item.name: item for item in complete(snapshot(text, folder), offset)}


def shapes(text: str) -> list[tuple[str, str]]:
    """Every hint: the text before it, from the last space on, and the shape."""
    text = dedent(text)
    found = sorted(hints(snapshot(text)), key=lambda hint: hint.offset)
    return [(text[: h.offset].split()[-1], h.text) for h in found]


# ---- hover


def test_a_stage_in_a_recurrence_counts_its_steps() -> None:
    text = """\
    net A(x: [N, T, 3]) {
      recur t in 1..T {
        h[0]: [N, 5] = 0
        h[t] = concat(x[t], h[t-1]) -> lin|ear(5) -> tanh
      }
      return h[T]
    }
    """
    told_first, *_ = (told(text) or "").split("\n")
    assert told_first == "`float[N, 5]` · 45 parameters, shared · 40 MACs × T · at `linear1`"
    assert told(text.replace("|", "").replace("h[t-1]", "|h[t-1]")) == (
        "value `h`\n\n`float[N, T, 5]`"
    )


def test_a_block_with_a_recurrence_counts_each_step_once() -> None:
    text = """\
    block Cell(x: [N, T, D]; d) -> (h: [N, T, d]) {
      recur t in 1..T {
        h[0]: [N, d] = 0
        h[t] = concat(x[t], h[t-1]) -> linear(d) -> tanh
      }
    }
    net A(x: [N, T, 3]) {
      return x -> Ce|ll(5)
    }
    """
    first, *_ = (told(text) or "").split("\n")
    assert first == "`h: float[N, T, 5]` · 45 parameters · 40*T MACs · at `Cell1`"


def test_instances_of_different_shapes_are_listed() -> None:
    text = """\
    block B(x; c) { return x -> co|nv(c, 1, bias=false) }
    net A(x: [N, 3, 8, 8]) { return x -> B(4) as a -> B(5) as b -> B(5) as c -> B(5) as d }
    """
    assert (told(text) or "").split("\n\n")[0].split("\n") == [
        "- `float[N, 4, 8, 8]` · 12 parameters · 768 MACs · at `a.conv1`",
        "- `float[N, 5, 8, 8]` · 20 parameters · 1,280 MACs · at `b.conv1`",
        "- `float[N, 5, 8, 8]` · 25 parameters · 1,600 MACs · at `c.conv1` and 1 more",
    ]


def test_values_of_compile_time_are_shown_as_they_are_written() -> None:
    text = """\
    let depths = { 50: [3, 4], 101: [3, 23] }
    net A(x: [N, 2*h]; depth = 50) {
      let n = depths[depth]
      return x -> for i in range(n[0]) { linear(4) }
    }
    """

    def at(before: str, behind: str) -> str | None:
        return told(text.replace(before + behind, f"{before}|{behind}", 1))

    assert at("range(", "n[0]") == "let `n`\n\n`[3, 4]`"
    assert at("depths[", "depth]") == "hyper `depth`\n\n`50`"
    assert at("for ", "i in") == "index `i`"
    assert at("2*", "h]") == "size `h`"
    assert at("let ", "depths") == "let `depths`\n\n`{50: …, 101: …}`"


def test_an_argument_is_explained() -> None:
    net = "net A(x: [N, 3, H, W]) { return x -> conv(8, 3, |pad=half) -> B(|c=3) }\n"
    first = net.replace("B(|c", "B(c") + "block B(x; c = 1) { return x }"
    assert told(first) == (
        "`pad=half` of `conv`\n\na number, one an axis, or both sides of every axis in order (half)"
    )
    assert told(net.replace("|pad", "pad") + "block B(x; c = 1) { return x }") == "`c=1` of `B`"


def test_an_operator_is_the_tensor_that_it_gives() -> None:
    assert told("net A(x: [N, 4]) { return x |+ x }") == "`float[N, 4]` · at `add1`"


def test_a_layer_that_is_not_reached_still_has_its_signature() -> None:
    assert told("block B(x) { return x -> re|lu }") == (
        "```net\nrelu(x)\n```\n\ny = max(x, 0), NaN stays NaN. As torch.nn.functional.relu."
    )


def test_a_net_tells_what_it_costs_in_all() -> None:
    text = "net A(x: [N, 4]; d = 3) { return x -> linear(d) }\n# Wider.\nnet B| = A(d=5)\n"
    assert told(text) == "25 parameters · 20 MACs\n\n```net\nnet B = A(d=5)\n```\n\nWider."
    assert told(text.replace("|", "").replace("net A", "net |A")) == (
        "15 parameters · 12 MACs\n\n```net\nA(x; d=3)\n```"
    )


def test_the_comment_of_a_block_is_what_it_does() -> None:
    net = "net A(x: [N, 4]) { return x -> B| }\n"
    assert told("# One line\n# and two.\nblock B(x) {\n  return x }\n" + net) == (
        "`float[N, 4]` · at `B1`\n\n```net\nB(x)\n```\n\nOne line and two."
    )


# ---- hints


def test_every_arrow_has_its_shape_and_a_group_none_of_its_own() -> None:
    assert shapes(
        """\
        net A(x: [N, 3, 8, 8]) {
          y = x -> (conv(4, 3) -> relu) as stem -> repeat 2 { max_pool(2) } -> flatten
          return y -> linear(3) -> unknown -> relu
        }
        """
    ) == [
        ("3)", "[N, 4, 8, 8]"),
        ("relu", "[N, 4, 8, 8]"),
        ("max_pool(2)", "[N, 4, 4, 4]"),
        ("}", "[N, 4, 2, 2]"),
        ("flatten", "[N, 16]"),
        ("linear(3)", "[N, 3]"),
    ]


# ---- where the cursor is


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("|", "item"),
        ("net A(x: [N, 4]) { return x }\n|", "item"),
        ("net |", "name"),
        ("net A(x: [N, 4]) {\n  |\n}", "statement"),
        ("net A(x: [N, 4]) { |", "statement"),
        ("net A(x: [N, 4]; k = 3) -> (y: [N, 4]) {\n  |", "statement"),
        ("net A(x: [N, T, 4]) {\n  recur t in 1..T {\n    |", "statement"),
        ("net A(x: [N, 4]; t = {1: |", "expression"),
        ("net A(x: [N, 4]) {\n  y = x -> B(k={|", "expression"),
        ("net A(x: [N, 4]) {\n  return x -> for i in range(len(a)) { |", "stage"),
        ("net A(x: [N, 4]) {\n  re|", "statement"),
        ("net A(x: [N, 4]) {\n  y = |\n}", "expression"),
        ("net A(x: [N, 4]) {\n  return x -> |\n}", "stage"),
        ("net A(x: [N, 4]) {\n  return x -> con|", "stage"),
        ("net A(x: [N, 4]) {\n  return x -> (|", "stage"),
        ("net A(x: [N, 4]) {\n  return x -> repeat 2 { |", "stage"),
        ("net A(x: [N, 4]) {\n  return x -> for i in range(|", "expression"),
        ("net A(x: [N, 4]) {\n  return x -> for i in range(3) { re|", "stage"),
        ("net A(x: [N, 4]) {\n  return x -> (if true then |", "stage"),
        ("net A(x: [N, 4]) {\n  return x -> relu as |", "label"),
        ("net A(x: [N, 4]) {\n  return x -> relu # -> |", "none"),
        ('net A(x: [N, 4]) {\n  require x, "a -> |"', "none"),
        ("net A(x: [N, 4]) {\n  return v.|", "field"),
        ("net A(|", "none"),
        ("net A(x: [N, |", "expression"),
        ("from |", "module"),
        ("from a import |", "imported"),
        ("from a import B, |", "imported"),
        ("from a import B\n|", "item"),
        ("default |", "stage"),
        ("let a = { 1: |", "expression"),
    ],
)
def test_the_place_of_the_cursor(text: str, place: str) -> None:
    text, offset = marked(text)
    assert cursor(from_text(text, "t.net"), offset).place == place


# ---- completion

BODY = """\
block Unit(x; w, s = 1) -> (a: [N, w], b: [N, w]) {  # two of them
  a = x -> linear(w)
  b = a
}
net A(x: [N, 4]; depth = 3) {
  let n = 2
  v = x -> Unit(4)
  %s
}
"""


def test_a_stage_is_a_layer_a_block_or_a_loop() -> None:
    found = offered(BODY % "return x -> |")
    assert {"Unit", "conv", "relu", "repeat", "for", "if"} <= set(found)
    assert not {"x", "v", "range", "return", "none"} & set(found)
    unit = found["Unit"]
    assert (unit.kind, unit.detail, unit.about) == ("block", "Unit(x; w, s=1)", "two of them")


def test_a_value_is_anything_that_has_a_name_here() -> None:
    found = offered(BODY % "return |")
    assert {"x", "v", "n", "depth", "N", "relu", "range", "none", "true"} <= set(found)
    assert not {"w", "s", "a", "return"} & set(found)
    assert (found["depth"].kind, found["N"].kind, found["n"].kind) == ("hyper", "size", "let")
    assert found["range"].detail == "range(from, to, step)"


def test_an_argument_is_a_hyper_parameter_that_is_not_given_yet() -> None:
    found = offered(BODY % "return x -> Unit(s=2, |)")
    arguments = [item for item in found.values() if item.kind == "argument"]
    assert [(i.name, i.text, i.detail) for i in arguments] == [("w", "w=", "must be given")]
    found = offered(BODY % "return x -> conv(8, 3, |)")
    assert (found["bias"].text, found["bias"].detail, found["bias"].about) == (
        *("bias=", "true by default", "true or false"),
    )


def test_a_hyper_parameter_takes_its_own_words() -> None:
    def words(text: str) -> list[str]:
        return [item.name for item in offered(BODY % text).values() if item.kind == "word"]

    assert words("return x -> conv(8, 3, pad=|)") == ["half"]
    assert words("return x -> conv(8, 3, bias=|)") == ["false", "true"]
    assert "he" in words("default conv(init=|)")


def test_a_statement_starts_with_a_keyword_or_an_output() -> None:
    found = offered("block B(x) -> (one: [N, 2], two: [N, 2]) {\n  one = x\n  |\n}")
    assert set(found) == {
        *("return", "let", "param", "layer", "require", "recur", "default", "two")
    }


def test_a_field_is_an_output_of_the_block() -> None:
    assert set(offered(BODY % "return v.|")) == {"a", "b"}
    assert set(offered(BODY % "return x.|")) == set()


def test_imports_offer_files_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "parts.net").write_text("block Unit(x) { return x }\nlet widths = [1]\n")
    assert {"parts", "resnet"} <= set(offered("from |", tmp_path))
    assert set(offered("from parts import |", tmp_path)) == {"Unit", "widths"}
    assert {"Bottleneck", "ResNet"} <= set(offered("from resnet import |"))
    assert set(offered("from nowhere import |", tmp_path)) == set()


def test_what_is_open_around_does_not_hide_the_names() -> None:
    found = offered("net A(x: [N, 4]; k = 3) {\n  y = x -> relu\n  return relu(concat(y, |")
    assert {"x", "y", "k", "axis"} <= set(found)


# ---- signatures


@pytest.mark.parametrize(
    ("call", "active"),
    [
        ("x -> conv(|", "c"),
        ("x -> conv(8, |", "k"),
        ("x -> conv(8, 3, groups=|", "groups=1"),
        ("conv(|", "x"),
        ("conv(x; |", "c"),
        ("conv(x; 8, max(2, 3), |", "stride=1"),
        ("x -> Unit(2, |", "s=1"),
        ("concat(x, relu(|", "x"),
        ("range(2, |", "to"),
        ("x -> conv(8, nonsense=|", None),
    ],
)
def test_the_parameter_that_is_written(call: str, active: str | None) -> None:
    text, offset = marked(BODY % f"return {call}")
    found = signature(snapshot(text), offset)
    assert found is not None
    shown = None
    if found.active is not None:
        start, end = found.parameters[found.active]
        shown = found.callee.text[start:end]
    assert shown == active


def test_behind_a_call_there_is_no_signature() -> None:
    text, offset = marked(BODY % "return x -> conv(8, 3) -> |")
    assert signature(snapshot(text), offset) is None


# ---- findings and snapshots


def test_findings_are_those_of_check() -> None:
    text = "net A(x: [N, 4]) {\n  y = x -> conv(3)\n  return z\n}\n"
    snap = snapshot(text)
    assert [f.diagnostic for f in findings(snap)] == list(front.check_sources(snap.sources))
    assert len(snap.findings) == 2


def test_what_follows_from_missing_text_is_not_said() -> None:
    snap = snapshot("net A(x: [N, 4]) {\n  y = x ->\n  return y\n}\n")
    assert [f.diagnostic.code for f in findings(snap)] == ["N003"]


def test_a_text_that_is_surely_mended_is_judged_as_check_does() -> None:
    snap = snapshot("net A(x: [N, 4]) {\n  y = x -> linear(3 4)\n  return y\n}\n")
    assert [f.diagnostic for f in findings(snap)] == list(front.check_sources(snap.sources))
    assert [f.diagnostic.code for f in findings(snap)] == ["N005", "N106"]


def test_an_import_that_cannot_be_read_is_said_at_the_import(tmp_path: Path) -> None:
    (tmp_path / "bad.net").write_bytes(b"\xff")
    snap = snapshot("from bad import B\nnet A(x: [N, 4]) { return x -> B }\n", tmp_path)
    assert next((f.diagnostic.code, f.span.text) for f in findings(snap)) == ("N001", "bad")


def test_all_that_is_asked_about_a_text_elaborates_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    elaborated: list[str | None] = []

    def elaborate(program: object, net: str | None, *rest: object, **more: object) -> object:
        elaborated.append(net)
        return genuine(program, net, *rest, **more)

    genuine: Callable[..., object] = front.elaborate
    monkeypatch.setattr(front, "elaborate", elaborate)
    snap = take(shipped("resnet.net"), "netdsl:resnet.net", None)
    offset = snap.source.text.index("bn -> relu")
    assert hover(snap, offset) == hover(snap, offset)
    assert list(hints(snap)) and list(findings(snap)) == []
    assert elaborated == ["ResNet", "ResNet101", "ResNet200"]


def test_nothing_that_is_asked_imports_torch() -> None:
    code = """
    import sys
    from netdsl.editors import features
    from netdsl.editors.snapshot import take
    from netdsl.sources import shipped
    snap = take(shipped("lenet.net"), "netdsl:lenet.net", None)
    assert list(features.hints(snap)) and features.hover(snap, snap.source.text.index("conv("))
    assert not list(features.findings(snap)) and "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", dedent(code)], check=True)


@pytest.mark.parametrize("name", models())
def test_every_place_of_a_shipped_model_is_answered(name: str) -> None:
    snap = take(shipped(name), f"netdsl:{name}", None)
    assert not [finding for finding in snap.findings if finding.is_error]
    for offset in range(0, len(snap.source.text), 61):
        hover(snap, offset)
        signature(snap, offset)
        complete(snap, offset)
    first = {(o.name.text, id(o.symbol)): o for o in reversed(snap.names.occurrences)}
    for occurrence in first.values():
        found = hover(snap, occurrence.name.span.start)
        assert found is not None or known(occurrence.name.text), occurrence.name


def test_every_beginning_of_a_file_is_answered() -> None:
    text = shipped("resnet.net").text
    for end in range(0, len(text), 97):
        snap = take(from_text(text[:end], "t.net"), "t.net", None)
        complete(snap, end)
        signature(snap, end)
        hover(snap, end)
        list(hints(snap))
        list(findings(snap))
