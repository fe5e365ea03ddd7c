"""What the constructs of the language do: blocks, loops, choices, outputs, instances, defaults."""

from __future__ import annotations

import pytest
from nets import body, graph, keys, ops, paths, shape

from netdsl.ir import Graph, Input


def test_a_repeat_makes_a_new_instance_each_turn() -> None:
    assert keys(body("return x -> repeat 2 { conv(3, 3, bias=false) }")) == [
        *("conv1.weight", "conv2.weight"),
    ]


def test_a_loop_may_run_zero_times() -> None:
    assert ops(body("return x -> repeat 0 { relu } -> tanh")) == ["tanh"]


def test_a_loop_unpacks_its_elements() -> None:
    g = body("return x -> for (c, k) in [(4, 1), (8, 3)] { conv(c, k) }")
    assert [str(p.type) for p in g.parameters] == ["[4, 3, 1, 1]", "[4]", "[8, 4, 3, 3]", "[8]"]


def test_a_comprehension_makes_a_list_of_tensors() -> None:
    g = body("ys = [x -> conv(c, 1) for c in [2, 4]]\nreturn concat(ys[0], ys[1], ys[0])")
    assert shape(g) == "[N, 8, H, W]"


def test_a_list_of_tensors_stands_for_several_operands() -> None:
    assert shape(body("return concat([x -> conv(c, 1) for c in [2, 4]])")) == "[N, 6, H, W]"


def test_a_choice_in_stages_takes_one_branch() -> None:
    text = "return x -> (if {0} then relu -> tanh else sigmoid)"
    assert ops(body(text.format("true"))) == ["relu", "tanh"]
    assert ops(body(text.format("false"))) == ["sigmoid"]


def test_a_choice_in_expressions_evaluates_one_branch() -> None:
    assert ops(body("return if true then x -> relu else x -> nonsense")) == ["relu"]


def test_let_names_a_layer_too() -> None:
    assert ops(body("let act = if 1 < 2 then relu else tanh\nreturn x -> act -> act")) == [
        *("relu", "relu"),
    ]


def test_a_layer_may_be_an_argument() -> None:
    text = """\
        block B(x; act = relu, norm = none) {
          return x -> act -> (if norm == none then act else norm)
        }
        net A(x: [N, 3, H, W]) { return x -> B -> B(tanh, norm=bn) }
    """
    assert ops(graph(text)) == ["relu", "relu", "tanh", "bn"]


def test_a_word_from_outside_is_a_layer_where_the_default_is_one() -> None:
    assert ops(graph("net A(x: [N, 3]; act = relu) { return x -> act }", act="tanh")) == ["tanh"]


def test_without_a_pipe_tensors_stand_before_the_semicolon() -> None:
    g = body("return conv(x; 4, 3, stride=2)")
    assert (ops(g), shape(g)) == (["conv"], "[N, 4, floor((H + 1)/2), floor((W + 1)/2)]")


def test_with_a_pipe_arguments_fill_tensors_then_hyper_parameters() -> None:
    assert ops(body("return x -> add(x) -> mul(x)")) == ["add", "mul"]
    text = """\
        block Fuse(x, y; c) { return concat(x, y) -> conv(c, 1) }
        net A(x: [N, 3, H, W], y: [N, 5, H, W]) { return x -> Fuse(y, 7) -> Fuse(y; c=2) }
    """
    assert shape(graph(text)) == "[N, 2, H, W]"


def test_numbers_join_tensors_as_constants() -> None:
    g = body("return 1 - x * 2 + -x")
    assert ops(g) == ["constant", "mul", "constant", "sub", "neg", "add"]
    assert ops(body("return maximum(x, 0)")) == ["constant", "maximum"]


def test_numbers_are_folded_by_the_language() -> None:
    assert ops(body("return x * (2 * 3 - 5)")) == ["constant", "mul"]


def test_named_outputs_come_in_the_order_of_the_signature() -> None:
    g = graph(
        """\
        net A(x: [N, 8]; aux = true) -> (y: [N, 2], train z: [N, 3], w: [N, 8]) {
          w = x -> relu
          z = if aux then w -> linear(3) else none
          y = w -> linear(2)
        }
        """
    )
    assert [(o.name, o.role, str(o.value.type)) for o in g.outputs] == [
        ("y", "output", "[N, 2]"),
        ("z", "train", "[N, 3]"),
        ("w", "output", "[N, 8]"),
    ]


def test_an_output_that_is_none_is_absent() -> None:
    text = "net A(x: [N, 8]; aux = true) -> (y: [N, 8], train z: [N, 8]) { y = x  z = %s }"
    assert [o.name for o in graph(text % "if aux then x else none", aux=False).outputs] == ["y"]


def test_a_pipe_carries_the_first_output_and_others_are_fields_or_unpacked() -> None:
    text = """\
        block Two(x: [N, D]) -> (y: [N, 2], z: [N, 3]) { z = x -> linear(3)  y = x -> linear(2) }
        net A(x: [N, 8]) -> (a: [N, 2], b: [N, 3], c: [N, 2], d: [N, 3]) {
          v = x -> Two
          a = v -> relu
          b = v.z
          c, d = x -> Two
        }
    """
    g = graph(text)
    assert [str(o.value.type) for o in g.outputs] == ["[N, 2]", "[N, 3]", "[N, 2]", "[N, 3]"]
    assert [k for k in keys(g) if "weight" in k] == [
        *("Two1.linear1.weight", "Two1.linear2.weight"),
        *("Two2.linear1.weight", "Two2.linear2.weight"),
    ]


def test_a_declared_layer_is_one_instance() -> None:
    g = graph(
        """\
        block Encoder(x: [N, D]; d) { return x -> linear(d) -> relu }
        net A(a: [N, 8], b: [N, 8]) {
          layer enc = Encoder(4)
          layer out = (linear(2) -> tanh) as "head.out"
          return (a -> enc -> out) + (b -> enc -> out)
        }
        """
    )
    assert keys(g) == [
        *("enc.linear1.weight", "enc.linear1.bias"),
        *("head.out.linear1.weight", "head.out.linear1.bias"),
    ]
    assert ops(g).count("linear") == 4


def test_a_param_is_a_tensor_with_a_key() -> None:
    g = graph(
        """\
        block B(x: [N, D]; d) {
          param W: [D, d] = he
          param b: [d] = 0
          return x @ W + b
        }
        net A(x: [N, 8]) { return x -> B(4) as proj }
        """
    )
    assert [(p.key, str(p.type), p.init.name) for p in g.parameters] == [
        ("proj.W", "[8, 4]", "normal"),
        ("proj.b", "[4]", "constant"),
    ]
    assert ops(g) == ["matmul", "add"]


def test_a_default_is_lexical_and_inner_ones_win() -> None:
    text = """\
        default conv(bias=false, stride=2)
        block B(x) { return x -> conv(4, 1) }
        net A(x: [N, 3, H, W]) {
          default conv(stride=1)
          default B(c=9)
          return x -> conv(4, 1) -> conv(4, 1, bias=true) -> B
        }
    """
    g = graph(
        text.replace("block B(x)", "block B(x; c)").replace(
            "x -> conv(4, 1) }", "x -> conv(c, 1) }", 1
        )
    )
    assert keys(g) == ["conv1.weight", "conv2.weight", "conv2.bias", "B1.conv1.weight"]
    assert shape(g) == "[N, 9, floor((H + 1)/2), floor((W + 1)/2)]"


def test_blocks_recurse_to_an_end() -> None:
    g = graph(
        """\
        block Dense(x: [N, C, H, W]; growth, layers) {
          y = x -> conv(growth, 3, bias=false) as "denselayer{layers}"
          return if layers == 1 then concat(x, y) else concat(x, y) -> Dense(growth, layers - 1)
        }
        net A(x: [N, 3, H, W]) { return x -> Dense(2, 3) as d }
        """
    )
    assert keys(g) == [
        "d.denselayer3.weight",
        "d.Dense1.denselayer2.weight",
        "d.Dense1.Dense1.denselayer1.weight",
    ]
    assert shape(g) == "[N, 9, H, W]"


def test_a_net_is_usable_as_a_block() -> None:
    text = """\
        net Inner(x: [N, 8]; d = 3) -> [N, d] { return x -> linear(d) }
        net Outer(x: [N, 8]) { return x -> Inner(5) -> relu }
    """
    assert shape(graph(text, "Outer")) == "[N, 5]"


def test_an_alias_of_an_alias_keeps_both() -> None:
    text = """\
        net R(x: [N, 8]; d = 3, e = 4) { return x -> linear(d) -> linear(e) }
        net S = R(d=5)
        net T = S(e=6)
    """
    assert [str(p.type) for p in graph(text, "T").parameters][::2] == ["[5, 8]", "[6, 5]"]
    assert graph(text, "T").name == "T"


def test_the_net_that_is_no_alias_is_the_default() -> None:
    assert graph("net B = A(d=3)\nnet A(x: [N, 8]; d = 2) { return x -> linear(d) }").name == "A"


def test_words_of_hyper_parameters_pass_through_blocks() -> None:
    text = """\
        block C(x; pad = half) { return x -> conv(4, 5, pad=pad, init=normal(0.02)) }
        net A(x: [N, 3, 12, 12]) { return x -> C -> C(0) -> C(pad=(1, 0)) }
    """
    assert shape(graph(text)) == "[N, 4, 6, 4]"


def test_integer_inputs_keep_their_type() -> None:
    g = graph("net A(x: int[N, T], y: bool[N, T]) { return x + y }")
    assert [str(p.type) for p in g.inputs] == ["int[N, T]", "bool[N, T]"]
    assert shape(g) == "int[N, T]"


def test_inputs_are_nodes_without_a_path() -> None:
    g = body("return x -> relu")
    assert [(n.op.key, n.path) for _, n in g.items if isinstance(n.op, Input)] == [("x", "")]


def test_equal_text_gives_an_equal_graph() -> None:
    text = "return x -> conv(4, 3) -> relu"
    assert body(text) == body(f"# again\n{text}")
    assert body(text) != body(text.replace("4", "5"))


@pytest.mark.parametrize("turns", [1, 50_000])
def test_a_chain_may_be_long(turns: int) -> None:
    g: Graph = body(f"return x -> repeat {turns} {{ relu }}")
    assert len(g) == turns + 1
    assert paths(g)[-1] == f"relu{turns}"
