"""Name resolution: what each name of a text stands for, across files too, and renaming."""

from __future__ import annotations

from textwrap import dedent

import pytest
from programs import at, linked, marked, named

from netdsl import syntax as s
from netdsl.editors.links import Files, Place, Refused, references, rename, target
from netdsl.editors.vocabulary import known
from netdsl.sources import models, shipped


def given(text: str) -> str:
    """Kind and line of what the name at the mark stands for."""
    names, occurrence = at(text)
    place = target({"t.net": names}, "t.net", occurrence)
    return "nothing" if place is None else f"{place.symbol.kind} {place.symbol.name.span.line}"


def place(files: Files, key: str, name: str) -> Place:
    symbol = next(r.symbols[name] for r in files[key].regions if name in r.symbols)
    return Place(key, symbol)


def spots(files: Files, found: list[tuple[str, s.Name]]) -> list[str]:
    return sorted(f"{key}:{name.span.line}:{name.span.column}" for key, name in found)


def renamed(text: str, new: str) -> str:
    """The text after renaming what stands at its mark."""
    text, offset = marked(text)
    names = named(text)
    occurrence = names.at(offset)
    assert occurrence is not None
    files = {"t.net": names}
    found = target(files, "t.net", occurrence)
    assert found is not None
    for _, name in sorted(rename(files, found, new), key=lambda n: -n[1].span.start):
        text = text[: name.span.start] + new + text[name.span.end :]
    return text


def test_a_value_is_given_by_its_statement() -> None:
    assert given("net A(x: [N, 4]) {\n  f = x -> relu\n  return |f + x\n}") == "value 2"
    assert given("net A(x: [N, 4]) {\n  f = x -> relu\n  return f + |x\n}") == "input 1"


def test_a_size_is_given_where_it_stands_first() -> None:
    assert given("net A(\n  x: [N, 2*h],\n  y: [N, |h]) {\n  return x\n}") == "size 2"
    assert given("net A(x: [N, C]) {\n  return x -> linear(2*|C)\n}") == "size 1"


def test_a_hyper_parameter_or_a_number_of_the_file_in_a_type_is_no_new_size() -> None:
    assert given("net A(x: [N, |d];\n  d = 4) { return x }") == "hyper 2"
    assert given("let d = 4\nnet A(x: [N, |d]) { return x }") == "let 1"
    assert given("block d(x) { return x }\nnet A(x: [N, |d]) { return x }") == "size 2"


def test_a_loop_has_a_name_of_its_own() -> None:
    text = (
        "net A(x: [N, 4]; i = 3) {\n  y = x -> for i in range(|i) {\n    linear(i) }\n  return y\n}"
    )
    assert given(text) == "hyper 1"
    assert given(text.replace("|", "").replace("linear(i", "linear(|i")) == "index 2"
    assert given("let a = [|i for i in range(3)]") == "index 1"


def test_a_recurrence_gives_names_to_the_body_around_it() -> None:
    text = """\
    net A(x: [N, T, D]) {
      recur t in 1..T {
        h[0]: [N, D] = 0
        h[t] = x[|t] + h[t-1]
      }
      return h[T]
    }
    """
    assert given(text) == "index 2"
    assert given(text.replace("|", "").replace("return h", "return |h")) == "value 3"
    assert given(text.replace("|", "").replace("1..T", "1..|T")) == "size 1"


def test_the_braces_of_a_label_use_names() -> None:
    text = 'net A(x: [N, 4]) {\n  return x -> for i in range(2) { linear(4) as "fc{|i}" }\n}'
    assert given(text) == "index 2"


def test_an_argument_is_a_hyper_parameter_of_what_is_called() -> None:
    block = "block B(x;\n  w, s = 1) { return x -> conv(w, 3) }\n"
    assert given(block + "net A(x: [N, 3, H, W]) { return x -> B(|w=3) }") == "hyper 2"
    assert given(block + "default B(|s=2)") == "hyper 2"
    assert given(block + "net A(x: [N, 3, H, W]) { return x -> conv(3, |k=3) }") == "nothing"


def test_arguments_are_followed_through_aliases_lets_and_shared_layers() -> None:
    block = "net B(x: [N, 4];\n  w = 3) { return x }\n"
    assert given(block + "net C = B(w=4)\nnet D = C(|w=5)") == "hyper 2"
    assert given(block + "net A(x: [N, 4]) { let U = B\n  return x -> U(|w=2) }") == "hyper 2"
    assert given(block + "net A(x: [N, 4]) { layer e = B(|w=2)\n  return x -> e }") == "hyper 2"


def test_a_field_is_an_output_of_what_was_called() -> None:
    block = "block B(x) -> (a: [N, 4], b: [N, 4]) {\n  a = x\n  b = x\n}\n"
    assert given(block + "net A(x: [N, 4]) { v = x -> B as one\n  return v.|b }") == "value 3"
    assert given(block + "net A(x: [N, 4]) { return B(x).|a }") == "value 2"


def test_a_label_is_no_name() -> None:
    names = named("net A(x: [N, 4]) { return x -> linear(4) as x -> relu as relu }")
    texts = [o.name.text for o in names.occurrences]
    assert texts == ["A", "x", "N", "x", "linear", "relu"]


def test_what_is_broken_keeps_the_names_around_it() -> None:
    text = "net A(x: [N, 4]; d = 3) {\n  f = x -> linear(\n  let e = 2\n  g = |f + x\n"
    with_f = text.replace("linear(", "linear(d)")
    assert given(with_f) == "value 2"
    text, offset = marked(text)
    assert {symbol.name.text for symbol in named(text).region_at(offset).visible()} == {
        *("A", "d", "x", "N", "e", "g"),
    }


def test_an_item_behind_an_open_body_is_an_item() -> None:
    names = named("block B(x) {\n  return x -> relu\nnet A(x: [N, 4]) {\n  return x -> B\n}")
    assert {name: symbol.kind for name, symbol in names.top.symbols.items()} == {
        "B": "block",
        "A": "net",
    }


def test_names_are_followed_into_imported_files() -> None:
    files = linked(
        blocks="block Unit(x; w = 4) {\n  return x -> linear(w)\n}",
        main="from blocks import Unit\nnet A(x: [N, 4]) {\n  return x -> Unit(w=3) -> Unit\n}",
    )
    main = files["main.net"]
    unit = next(o for o in main.occurrences if o.name.text == "Unit")
    width = next(o for o in main.occurrences if o.name.text == "w")
    found = [target(files, "main.net", o) for o in (unit, width)]
    assert [f"{p.key} {p.symbol.kind}" for p in found if p] == [
        "blocks.net block",
        "blocks.net hyper",
    ]
    assert spots(files, list(references(files, place(files, "blocks.net", "Unit")))) == [
        *("blocks.net:1:7", "main.net:1:20", "main.net:3:15", "main.net:3:28"),
    ]
    assert spots(files, list(references(files, place(files, "blocks.net", "w")))) == [
        *("blocks.net:1:15", "blocks.net:2:22", "main.net:3:20"),
    ]


def test_an_import_that_leads_nowhere_stays_where_it_is() -> None:
    assert given("from nowhere import B\nnet A(x: [N, 4]) {\n  return x -> |B\n}") == "import 1"


def test_renaming_a_hyper_parameter_changes_its_uses_and_the_calls() -> None:
    text = """\
    block B(x; w, s = w) { return x -> conv(w, 3, stride=s) as "w{w}" }
    net A(x: [N, 3, H, W]; w = 8) { return x -> B(|w=w) -> conv(w, 1) }
    """
    assert renamed(text, "width") == dedent(
        """\
        block B(x; width, s = width) { return x -> conv(width, 3, stride=s) as "w{width}" }
        net A(x: [N, 3, H, W]; w = 8) { return x -> B(width=w) -> conv(w, 1) }
        """
    )


def test_renaming_an_output_changes_the_fields() -> None:
    text = """\
    block B(x) -> (|a: [N, 4]) { a = x }
    net A(x: [N, 4]) { v = x -> B
      return v.a }
    """
    assert renamed(text, "out") == dedent(
        """\
        block B(x) -> (out: [N, 4]) { out = x }
        net A(x: [N, 4]) { v = x -> B
          return v.out }
        """
    )


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ("in", "`in` is a keyword and cannot be a name"),
        ("2x", "`2x` is no name: letters, digits and _, no digit first"),
        ("none", "`none` is no name: letters, digits and _, no digit first"),
        ("x", "`x` is given in line 3"),
        ("C", "`C` is given in line 3"),
        ("depths", "`depths` is given in line 1"),
        ("relu", "`relu` is used, for a layer of the library, in line 4"),
    ],
)
def test_a_name_that_would_be_mixed_up_is_refused(new: str, why: str) -> None:
    text = """\
    let depths = 3
    block B(x) { return x }
    net A(x: [N, C]) {
      |f = x -> relu
      return f
    }
    """
    with pytest.raises(Refused) as refused:
        renamed(text, new)
    assert str(refused.value) == why


def test_a_name_of_another_body_is_free() -> None:
    text = "block B(y) { return y }\nnet A(x: [N, 4]) {\n  |f = x -> tanh\n  return f\n}"
    assert "y = x -> tanh" in renamed(text, "y")


def test_what_a_shipped_model_gives_is_not_renamed() -> None:
    files = {"netdsl:resnet.net": named(shipped("resnet.net").text)}
    with pytest.raises(Refused, match="shipped with netdsl"):
        rename(files, place(files, "netdsl:resnet.net", "Bottleneck"), "Unit")


@pytest.mark.parametrize("name", models())
def test_every_name_of_a_shipped_model_is_known(name: str) -> None:
    """What is given nowhere is a layer, a function or a word of the library."""
    names = named(shipped(name).text)
    free = {o.name.text for o in names.occurrences if o.symbol is None and o.role == "value"}
    assert [text for text in free if not known(text)] == []
