"""The names of instances: kind and ordinal, labels, numbered scopes."""

from __future__ import annotations

from nets import body, body_message, graph, keys, paths, summary


def test_an_unlabelled_stage_is_kind_and_ordinal() -> None:
    g = body("return x -> conv(8, 3) -> bn -> relu -> conv(8, 3) -> bn")
    assert paths(g) == ["conv1", "bn1", "relu1", "conv2", "bn2"]


def test_a_label_replaces_the_name_and_consumes_no_ordinal() -> None:
    g = body("return x -> conv(8, 3) as stem -> conv(8, 3) -> relu as last")
    assert paths(g) == ["stem", "conv1", "last"]


def test_a_labelled_group_opens_a_scope() -> None:
    g = body("return x -> relu -> (relu -> tanh) as head -> relu")
    assert paths(g) == ["relu1", "head.relu1", "head.tanh1", "relu2"]


def test_an_unlabelled_group_and_an_unlabelled_loop_open_none() -> None:
    g = body("return x -> relu -> (relu -> repeat 2 { relu }) -> for i in [1, 2] { relu }")
    assert paths(g) == ["relu1", "relu2", "relu3", "relu4", "relu5", "relu6"]


def test_a_numbered_scope_counts_all_its_stages() -> None:
    g = body("return x -> (repeat 2 { conv(4, 3) -> (if true then bn -> relu else relu) }) as f[]")
    assert paths(g) == ["f.0", "f.1", "f.2", "f.3", "f.4", "f.5"]
    assert keys(g)[:3] == ["f.0.weight", "f.0.bias", "f.1.weight"]


def test_a_label_inside_a_numbered_scope_is_counted() -> None:
    g = body("return x -> (relu -> relu as mid -> (tanh -> tanh) as pair -> relu) as f[]")
    assert paths(g) == ["f.0", "f.mid", "f.pair.tanh1", "f.pair.tanh2", "f.3"]


def test_a_bare_stage_is_a_list_of_one() -> None:
    assert paths(body("return x -> relu as f[]")) == ["f.0"]
    assert paths(body("return relu(x) as f[]")) == ["f.0"]


def test_a_block_opens_a_scope_under_its_name_or_label() -> None:
    g = graph(
        """\
        block Unit(x; c) { return x -> conv(c, 3) -> relu }
        net A(x: [N, 3, H, W]) {
          let U = Unit
          return x -> Unit(4) -> U(4) -> Unit(4) as last -> (Unit(4) -> relu) as f[]
        }
        """
    )
    assert paths(g) == [
        *("Unit1.conv1", "Unit1.relu1", "Unit2.conv1", "Unit2.relu1"),
        *("last.conv1", "last.relu1", "f.0.conv1", "f.0.relu1", "f.1"),
    ]


def test_an_alias_is_a_name_of_its_own() -> None:
    g = graph(
        """\
        net Unit(x: [N, 3, H, W]; c) { return x -> conv(c, 3) }
        net Wide = Unit(c=64)
        net A(x: [N, 3, H, W]) { return x -> Wide }
        """,
        net="A",
    )
    assert keys(g) == ["Wide1.conv1.weight", "Wide1.conv1.bias"]


def test_strings_are_templates() -> None:
    g = body('return x -> for i in range(2) { conv(4, 3) as "layer{i + 1}.{2*i}.conv" }')
    assert paths(g) == ["layer1.0.conv", "layer2.2.conv"]


def test_labels_may_be_words_of_the_language_and_numbers() -> None:
    g = body("return x -> conv(4, 3) as in -> conv(4, 3) as 7 -> conv(4, 3) as class")
    assert paths(g) == ["in", "7", "class"]


def test_operators_are_named_by_kind_and_take_no_number() -> None:
    g = body("y = x + x\nz = y * y + x\nreturn z -> (concat(z + z) -> relu) as f[]")
    assert paths(g) == ["add1", "mul1", "add2", "f.add1", "f.0", "f.1"]


def test_operands_come_before_what_uses_them() -> None:
    assert paths(body("return relu(relu(x) -> relu) -> relu")) == [
        *("relu1", "relu2", "relu3", "relu4"),
    ]


def test_names_of_values_never_enter_keys() -> None:
    assert keys(body("weights = x -> conv(4, 3)\nreturn weights")) == [
        *("conv1.weight", "conv1.bias"),
    ]


def test_two_instances_with_one_name_are_an_error() -> None:
    assert body_message("y = x -> relu as a\nreturn y -> tanh as a") == (
        """\
error[N121]: two instances are called `a`
 --> t.net:3:13
  |
3 | return y -> tanh as a
  |             ^^^^^^^^^
 ::: t.net:2:10
  |
2 | y = x -> relu as a
  |          ^^^^ the first
  = help: another label, `as name`, tells them apart"""
    )


def test_a_label_that_meets_an_implied_name_is_an_error() -> None:
    message = body_message("return x -> relu as relu1 -> relu")
    assert message.startswith("error[N121]: two instances are called `relu1`")


def test_a_label_is_made_of_letters_and_digits() -> None:
    assert body_message('return x -> relu as "a b"') == (
        """\
error[N123]: "a b" is no name for an instance
 --> t.net:2:13
  |
2 | return x -> relu as "a b"
  |             ^^^^^^^^^^^^^
  = help: it is made of letters, digits, `_`, and dots between such parts"""
    )


def test_every_node_has_the_span_of_its_stage() -> None:
    g = body("return x -> (conv(8, 3) -> relu) as f -> relu as r")
    spans = {node.path: node.span.text for _, node in g.items if node.path and node.span}
    assert spans == {"f.conv1": "conv(8, 3)", "f.relu1": "relu", "r": "relu"}


def test_a_label_of_a_parameter_is_its_key() -> None:
    g = body(
        """\
        param W: [8, 8] = he as "cell.W"
        param b: [8] as "b{2 + 1}"
        return x @ W + b
        """,
        "[N, 8]",
    )
    assert keys(g) == ["cell.W", "b3"]
    assert paths(g) == ["matmul1", "add1"]


def test_a_label_of_a_parameter_is_one_name() -> None:
    assert summary("param W: [8] as w[]\nreturn x * W", "[N, 8]") == [
        "N123 `[]` numbers stages, and a parameter has none"
    ]
    assert summary("param W: [8]\nparam V: [8] as W\nreturn x * W * V", "[N, 8]") == [
        "N121 two instances are called `W`"
    ]
