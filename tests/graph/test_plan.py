"""Plans: whose memory is written over, when it is given back, how much is alive, what is kept."""

from __future__ import annotations

import pytest
import torch
from graphs import graph
from tolerances import NET, assert_close

import netdsl
from netdsl.backends.torch import TorchBackend
from netdsl.executable import SIZES_KEPT
from netdsl.fusions.pointwise import fuse_pointwise
from netdsl.ir import Builder, Graph, Input, Output
from netdsl.op import OPS, Type
from netdsl.plan import Plan, plan
from netdsl.program import PLANS_KEPT
from netdsl.rewrite import with_sizes

CPU = torch.device("cpu")
ROWS = 4 * 3 * 4  # bytes of float32 [3, 4]


def planned(net: Graph) -> Plan:
    """The plan of a graph for N = 3 in float32."""
    backend = TorchBackend(torch.float32, CPU)
    return plan(with_sizes(net, {"N": 3}), (backend,), torch.float32, CPU)


def overwritten(made: Plan) -> list[tuple[str, int | None]]:
    """Of every step its op and the operand that it writes over."""
    return [(made.graph.node(s.node).op.name, s.overwrites) for s in made.steps]


def freed(made: Plan) -> list[tuple[str, list[str]]]:
    """Of every step its op and the paths of the steps' values whose memory ends there."""
    path = {r: made.graph.node(s.node).path for s in made.steps for r in s.results}
    return [
        (made.graph.node(s.node).op.name, [path[i] for i in s.frees if i in path])
        for s in made.steps
    ]


def test_pointwise_ops_write_over_memory_that_nobody_reads_later() -> None:
    made = planned(
        graph("net Chain(x: [N, 4]) { return x -> linear(4) -> relu -> tanh -> linear(4) }")
    )
    assert overwritten(made) == [("linear", None), ("relu", 0), ("tanh", 0), ("linear", None)]
    assert freed(made) == [
        ("linear", []),
        ("relu", ["linear1"]),
        ("tanh", ["relu1"]),
        ("linear", ["tanh1"]),
    ]
    assert made.peak == 2 * ROWS


def test_memory_of_inputs_and_parameters_is_not_written_over() -> None:
    made = planned(graph("net Borrowed(x: [N, 4]) { return relu(x) }"))
    assert overwritten(made) == [("relu", None)]
    assert made.peak == ROWS
    view = graph("net Borrowed(x: [N, 2, 2]) { return x -> flatten -> relu }")
    assert overwritten(planned(view)) == [("flatten", None), ("relu", None)]


def test_a_value_read_later_is_not_written_over() -> None:
    made = planned(
        graph("""
        net Later(x: [N, 4]) {
          y = x -> linear(4)
          return relu(y) + y
        }
    """)
    )
    assert overwritten(made) == [("linear", None), ("relu", None), ("add", 0)]
    assert made.peak == 2 * ROWS


def test_a_value_whose_view_is_read_later_is_not_written_over() -> None:
    made = planned(
        graph("""
        net View(x: [N, 4]) {
          y = x -> linear(4)
          v = y -> transpose([0, 1])
          return relu(y) + v
        }
    """)
    )
    assert overwritten(made) == [
        ("linear", None),
        ("transpose", None),
        ("relu", None),
        ("add", 0),
    ]


def test_a_view_may_be_written_over_where_it_shows_all_of_its_memory() -> None:
    whole = graph("net Whole(x: [N, 4]) { return x -> linear(4) -> transpose([1, 0]) -> relu }")
    assert overwritten(planned(whole)) == [("linear", None), ("transpose", None), ("relu", 0)]
    b = Builder("Part")
    x = b(Input(Type((3, 4)), "x"))
    part = b(OPS["relu"](), b(OPS["slice"](1, 0, 2), b(OPS["tanh"](), x)))
    made = planned(b.build((Output("return", part),)))
    assert overwritten(made) == [("tanh", None), ("slice", None), ("relu", None)]


def test_an_operand_that_appears_twice_is_not_written_over() -> None:
    made = planned(
        graph("""
        net Square(x: [N, 4]) {
          y = x -> linear(4)
          return y * y
        }
    """)
    )
    assert overwritten(made) == [("linear", None), ("mul", None)]
    made = planned(
        graph("""
        net Views(x: [N, 4]) {
          y = x -> linear(4)
          return y * (y -> transpose([0, 1]))
        }
    """)
    )
    assert overwritten(made) == [("linear", None), ("transpose", None), ("mul", None)]


def test_an_operand_that_is_broadcast_is_not_written_over() -> None:
    made = planned(
        graph("""
        net Broadcast(x: [N, 4]) { return (x -> linear(1)) + (x -> linear(4)) }
    """)
    )
    assert overwritten(made) == [("linear", None), ("linear", None), ("add", 1)]
    made = planned(graph("net Broadcast(x: [N, 4]) { return (x -> linear(1)) * x }"))
    assert overwritten(made) == [("linear", None), ("mul", None)]


def test_an_output_is_not_written_over_and_shares_memory_with_no_other() -> None:
    made = planned(
        graph("""
        net Outputs(x: [N, 4]) -> (a: [N, 4], b: [4, N], c: [N, 4], d: [N, 4]) {
          a = x -> linear(4)
          b = a -> transpose([1, 0])
          c = a -> relu
          d = x
        }
    """)
    )
    assert overwritten(made) == [("linear", None), ("transpose", None), ("relu", None)]
    assert made.copies == {1, 3}, "b is a view of a, d is the input"
    assert made.peak == 2 * ROWS


def test_peak_of_a_diamond_counts_both_branches() -> None:
    net = graph("""
        net Diamond(x: [N, 4]) {
          y = x -> linear(4)
          a = y -> linear(8)
          b = y -> linear(2)
          return concat(a, b)
        }
    """)
    made = planned(net)
    assert freed(made) == [
        ("linear", []),
        ("linear", []),
        ("linear", ["linear1"]),
        ("concat", ["linear2", "linear3"]),
    ]
    y, a, b = ROWS, 2 * ROWS, ROWS // 2
    assert made.peak == max(y + a + b, a + b + (a + b))


def test_a_result_that_nobody_reads_ends_with_its_step() -> None:
    net = graph("net Train(x: [N, 4]) { return x -> bn(track=false) -> relu }", ("", "bn1"))
    made = planned(net)
    assert freed(made) == [("batch_norm", ["bn1", "bn1"]), ("relu", ["bn1"])]
    assert made.peak == ROWS + 2 * 16, "mean and 1 / std are alive for one step"


def test_a_region_without_a_kernel_is_planned_op_by_op() -> None:
    net = fuse_pointwise(
        graph("net Region(x: [N, 4]) { return relu(tanh(x) + (x -> linear(4))) -> linear(4) }")
    )
    made = planned(net)
    assert [node.op.name for _, node in net.items].count("fused") == 1
    assert overwritten(made) == [
        *(("linear", None), ("tanh", None), ("add", 0), ("relu", 0)),
        ("linear", None),
    ]
    assert made.peak == 2 * ROWS
    x = torch.randn(3, 4)
    tensors = [x, *(torch.randn(op.type.shape) for op in net.parameters)]
    kept = x.clone()
    made(tensors)
    assert torch.equal(x, kept)


def test_plans_are_kept_by_sizes_and_bounded() -> None:
    model = netdsl.loads("net Many(x: [N, T, 3]) { return x -> linear(2) -> tanh }").double()
    weight, bias = model.linear1.weight, model.linear1.bias
    for n in range(1, 101):
        x = torch.randn(n, 1 + n % 7, 3, dtype=torch.float64)
        reference = torch.tanh(x @ weight.t() + bias)
        for _ in range(2):
            assert_close(model(x), reference, NET, n)
        with torch.no_grad():
            assert_close(model(x), reference, NET, n)
    programs = list(model._executable.programs.values())
    assert len(programs) == 2
    assert all(0 < len(p._plans) <= PLANS_KEPT for p in programs)
    assert len(model._executable.seen_sizes) <= SIZES_KEPT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_integers_alone_compute_in_the_default_dtype(dtype: torch.dtype) -> None:
    """No operand says the floating dtype (0.5 was rounded to the integer 0)."""
    model = netdsl.loads("net Half(x: int[N, 3]) { return x * 0.5 }")
    torch.set_default_dtype(dtype)
    try:
        y = model(torch.tensor([[1, 2, 3]]))
    finally:
        torch.set_default_dtype(torch.float32)
    assert y.dtype == dtype
    assert y.tolist() == [[0.5, 1.0, 1.5]]


def test_a_buffer_takes_its_new_value_in_place_where_its_layer_alone_reads_it() -> None:
    model = netdsl.loads("net Tracked(x: [N, 3]) { return x -> bn }").double()
    x, before = torch.randn(4, 3, dtype=torch.float64), dict(model.named_buffers())
    model(x)
    twin = torch.nn.BatchNorm1d(3).double()
    twin(x)
    for name, buffer in model.named_buffers():
        assert buffer is before[name]
        assert torch.equal(buffer, twin.get_buffer(name.removeprefix("bn1.")))
    (program,) = model._executable.programs.values()
    wanted = ["update", torch.float64, CPU, 4]  # other nets of the process have this program too
    (made,) = (made for key, made in program._plans.items() if [*key] == wanted)
    tensors = [x, *model.parameters(), *model.buffers()]
    results = made([tensors[i] for i in program.fetch])
    assert all(any(r is b for r in results) for b in model.buffers())
