"""The passes that clean up, as text before and text after, with the numbers of both compared."""

from __future__ import annotations

import pytest
from graphs import graph, numbers, rewritten, run
from tolerances import assert_exact

from netdsl.front import parse_text
from netdsl.ir import Builder, Graph, Input, Output
from netdsl.modes import modal_paths
from netdsl.op import OPS, Type
from netdsl.passes.cse import share_equal
from netdsl.passes.fold_bn import fold_bn
from netdsl.passes.fold_constants import fold_constants
from netdsl.passes.unused import drop_unused
from netdsl.rewrite import rebuild


def cleanly_folded(before: Graph) -> Graph:
    return drop_unused(fold_bn(before))


def test_unused_nodes_and_parameters_are_dropped() -> None:
    before = graph("""
        net Dead(x: [N, 3]) {
          y = x -> relu
          z = x -> linear(2) -> tanh
          return y
        }
    """)
    after = """
        graph Dead {
          %0 = input x: [N, 3]
          %1 = relu(%0) -> [N, 3]  # relu1
          output return = %1
        }
    """
    rewritten(drop_unused, before, after)


def test_equal_ops_on_equal_operands_are_computed_once() -> None:
    before = graph("""
        net Twins(x: [N, 3]) {
          a = x -> tanh
          b = x -> tanh
          return relu(a) + relu(b)
        }
    """)
    after = """
        graph Twins {
          %0 = input x: [N, 3]
          %1 = tanh(%0) -> [N, 3]  # tanh1
          %2 = relu(%1) -> [N, 3]  # relu1
          %3 = add(%2, %2) -> [N, 3]  # add1
          output return = %3
        }
    """
    rewritten(share_equal, before, after)


def test_two_dropouts_of_one_value_keep_masks_of_their_own() -> None:
    net = parse_text("net Masks(x: [N, 3]) { return (x -> dropout) + (x -> dropout) }")
    before = graph(
        "net Masks(x: [N, 3]) { return (x -> dropout) + (x -> dropout) }", modal_paths(net)
    )
    assert share_equal(before) is before


def test_zero_and_minus_zero_are_not_one_constant() -> None:
    before = graph("net Zeros(x: [N, 3]) { return x * -0.0 + 0.0 }")
    assert share_equal(before) is before
    (y,) = run(before, numbers(before)).values()
    assert not y.signbit().any(), "-0.0 + 0.0 is 0.0, -0.0 + -0.0 would be -0.0"


def test_arithmetic_on_constants_is_done_and_neutral_numbers_go() -> None:
    b = Builder("Numbers")
    x = b(Input(Type((2, 3)), "x"))
    y = b(OPS["mul"](), x, b(OPS["sub"](), b.constant(3.0), b.constant(2.0)))
    y = b(OPS["add"](), b(OPS["div"](), y, b.constant(1.0)), b.constant(2.0))
    before = b.build((Output("return", y),))
    after = """
        graph Numbers {
          %0 = input x: [2, 3]
          %1 = constant 2.0
          %2 = add(%0, %1) -> [2, 3]
          output return = %2
        }
    """
    rewritten(lambda g: drop_unused(fold_constants(g)), before, after)


def test_a_constant_that_broadcasts_is_not_neutral() -> None:
    b = Builder("Wide")
    x = b(Input(Type(()), "x"))
    y = b(OPS["mul"](), x, b(OPS["expand"]((2, 3)), b.constant(1.0)))
    before = b.build((Output("return", y),))
    assert fold_constants(before) is before


def test_what_would_be_infinite_is_left_to_the_kernel() -> None:
    b = Builder("Infinite")
    x = b(Input(Type((2, 3)), "x"))
    y = b(OPS["mul"](), x, b(OPS["div"](), b.constant(1.0), b.constant(0.0)))
    before = b.build((Output("return", y),))
    assert fold_constants(before) is before


def test_bn_moves_into_the_weight_and_bias_of_a_grouped_conv() -> None:
    before = graph("net Biased(x: [N, 2, H, W]) { return x -> conv(4, 3, groups=2) -> bn }")
    after = """
        graph Biased {
          %0 = input x: [N, 2, H, W]
          %1 = parameter conv1.weight: [4, 1, 3, 3]
          %2 = parameter conv1.bias: [4]
          %3 = parameter bn1.weight: [4]
          %4 = parameter bn1.bias: [4]
          %5 = buffer bn1.running_mean: [4]
          %6 = buffer bn1.running_var: [4]
          %7 = constant 1e-05
          %8 = add(%6, %7) -> [4]  # bn1
          %9 = sqrt(%8) -> [4]  # bn1
          %10 = div(%3, %9) -> [4]  # bn1
          %11 = mul(%5, %10) -> [4]  # bn1
          %12 = sub(%4, %11) -> [4]  # bn1
          %13 = reshape(%10; shape=[4, 1, 1, 1]) -> [4, 1, 1, 1]  # bn1
          %14 = mul(%1, %13) -> [4, 1, 3, 3]  # bn1
          %15 = mul(%2, %10) -> [4]  # bn1
          %16 = add(%15, %12) -> [4]  # bn1
          %17 = conv(%0, %14, %16; c=4, k=3, pad=1, groups=2) -> [N, 4, H, W]  # bn1
          output return = %17
        }
    """
    rewritten(cleanly_folded, before, after)


def test_bn_without_affine_moves_into_a_linear_without_bias() -> None:
    before = graph("""
        net Rows(x: [N, 3]) { return x -> linear(2, bias=false) -> bn(affine=false) }
    """)
    after = """
        graph Rows {
          %0 = input x: [N, 3]
          %1 = parameter linear1.weight: [2, 3]
          %2 = buffer bn1.running_mean: [2]
          %3 = buffer bn1.running_var: [2]
          %4 = constant 1e-05
          %5 = add(%3, %4) -> [2]  # bn1
          %6 = sqrt(%5) -> [2]  # bn1
          %7 = constant 1.0
          %8 = div(%7, %6) -> [2]  # bn1
          %9 = constant -1.0
          %10 = mul(%2, %9) -> [2]  # bn1
          %11 = mul(%10, %8) -> [2]  # bn1
          %12 = reshape(%8; shape=[2, 1]) -> [2, 1]  # bn1
          %13 = mul(%1, %12) -> [2, 3]  # bn1
          %14 = linear(%0, %13, %11; d=2) -> [N, 2]  # bn1
          output return = %14
        }
    """
    rewritten(cleanly_folded, before, after)


def test_each_use_of_a_shared_conv_takes_the_bn_behind_it() -> None:
    before = graph("""
        net Shared(x: [N, 2, H, W]) {
          layer c = conv(2, 1, bias=false)
          return x -> c -> bn -> relu -> c -> bn
        }
    """)
    after = cleanly_folded(before)
    assert [node.op.name for _, node in after.items].count("conv") == 2
    assert "batch_norm_inference" not in after.text()
    given = numbers(before)
    rewritten(cleanly_folded, before, after.text())
    assert run(after, given).keys() == run(before, given).keys()


@pytest.mark.parametrize(
    "net",
    [
        pytest.param(
            """
            net Twice(x: [N, 2, H, W]) {
              y = x -> conv(4, 3, bias=false)
              return relu(y -> bn) + y
            }
            """,
            id="the value of the conv has a second user",
        ),
        pytest.param(
            """
            net Seen(x: [N, 2, H, W]) -> (y: [N, 4, H, W], z: [N, 4, H, W]) {
              y = x -> conv(4, 3, bias=false)
              z = y -> bn
            }
            """,
            id="the value of the conv is an output",
        ),
        pytest.param(
            "net Steps(x: [N, 7, 3]) { return x -> linear(2) -> bn1d }",
            id="the channels of a sequence are not the features of linear",
        ),
        pytest.param(
            "net Between(x: [N, 2, H, W]) { return x -> conv(4, 3) -> relu -> bn }",
            id="relu stands between",
        ),
        pytest.param("net Alone(x: [N, 2, H, W]) { return x -> bn }", id="there is no conv"),
    ],
)
def test_bn_is_not_folded_where(net: str) -> None:
    before = graph(net)
    assert fold_bn(before) is before


def test_bn_in_training_is_not_folded() -> None:
    before = graph("net Train(x: [N, 2, H, W]) { return x -> conv(4, 3) -> bn }", ("", "bn1"))
    assert fold_bn(before) is before


@pytest.mark.parametrize("rewrite", [drop_unused, share_equal, fold_constants, fold_bn])
def test_a_pass_that_changes_nothing_gives_the_same_graph_back(rewrite) -> None:
    before = graph("net Plain(x: [N, 3]) { return x -> linear(2) -> relu }")
    assert rewrite(before) is before


def test_rebuild_infers_types_again_behind_a_change() -> None:
    before = graph("net Rows(x: [N, 3, H, W]) { return x -> relu -> flatten }")

    def wider(b, n, node, xs):
        return b.all(OPS["pad_channels"](5), *xs) if node.op.name == "relu" else None

    assert rebuild(before, wider).text().splitlines()[1:-2] == [
        "  %0 = input x: [N, 3, H, W]",
        "  %1 = pad_channels(%0; c=5) -> [N, 5, H, W]  # relu1",
        "  %2 = flatten(%1) -> [N, 5*H*W]  # flatten1",
    ]


def test_numbers_of_the_oracle_are_the_same_in_every_run() -> None:
    net = graph("net Plain(x: [N, 3]) { return x -> linear(2) -> relu }")
    first, second = (run(net, numbers(net))["output", "return"] for _ in range(2))
    assert_exact(first, second)
