"""torch.export and torch.jit.trace with sizes left open: the same program at every size, as of the
same net in torch.nn, and run where netdsl is not."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from tolerances import NET, assert_close
from torch import Tensor, nn
from torch.export import Dim

import netdsl

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*_flat_weights"
)

N, H, W, T = Dim("n"), Dim("h", min=12), Dim("w", min=12), Dim("t")

IMAGES = """netdsl 1
net Images(x: [N, 3, H, W]) -> [N, 5] {
  return x -> conv(4, 3) -> bn -> relu -> max_pool(2) -> conv(6, 3, stride=2, pad=(0, 1))
           -> relu -> global_avg_pool -> linear(5)
}
"""
SYMBOLIC = """netdsl 1
net Symbolic(x: [N, 2*h, 6], y: [N, T]) -> [N, 2*h*6 + T] {
  return concat(x -> reshape([N, h, 12]) -> linear(12) -> reshape([N, 12*h]), y + 1; axis=1)
}
"""
STEPS = """netdsl 1
net Steps(x: [N, T, 4]) -> [N, T, 3] {
  recur t in 1..T {
    h[0]: [N, 3] = 0
    h[t] = tanh(concat(x[t], h[t-1]) -> linear(3) as cell)
  }
  return h
}
"""
LSTM = """netdsl 1
net Sequence(x: [N, T, 4]) -> [N, T, 3] {
  return x -> lstm(3) as lstm
}
"""


class Symbolic(nn.Module):
    """SYMBOLIC in torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(12, 12)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        half = self.linear1(x.reshape(x.shape[0], x.shape[1] // 2, 12))
        return torch.cat([half.flatten(1), y + 1], 1)


class Steps(nn.Module):
    """STEPS in torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        h, found = x.new_zeros(x.shape[0], 3), []
        for t in range(x.shape[1]):
            h = self.cell(torch.cat([x[:, t], h], 1)).tanh()
            found.append(h)
        return torch.stack(found, 1)


class Sequence(nn.Module):
    """LSTM in torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


class Images(nn.Sequential):
    """IMAGES in torch.nn, with our names of its children."""

    def __init__(self) -> None:
        super().__init__()
        for name, module in {
            "conv1": nn.Conv2d(3, 4, 3, padding=1),
            "bn1": nn.BatchNorm2d(4),
            "relu1": nn.ReLU(),
            "max_pool1": nn.MaxPool2d(2),
            "conv2": nn.Conv2d(4, 6, 3, stride=2, padding=(0, 1)),
            "relu2": nn.ReLU(),
            "mean": nn.AdaptiveAvgPool2d(1),
            "flat": nn.Flatten(),
            "linear1": nn.Linear(6, 5),
        }.items():
            self.add_module(name, module)


@dataclass(frozen=True)
class Case:
    """A net, the same in torch.nn, which axes of the inputs stay open, and two shapes of them."""

    text: str
    theirs: Callable[[], nn.Module]
    open: tuple[dict[int, object], ...]
    example: tuple[tuple[int, ...], ...]
    other: tuple[tuple[int, ...], ...]

    def made(self) -> tuple[nn.Module, nn.Module]:
        ours, theirs = netdsl.loads(self.text, seed=0), self.theirs()
        theirs.load_state_dict(ours.state_dict())
        return ours.double().eval(), theirs.double().eval()


CASES = {
    "images": Case(IMAGES, Images, ({0: N, 2: H, 3: W},), ((2, 3, 16, 12),), ((5, 3, 21, 33),)),
    "sizes among hyper-parameters": Case(
        SYMBOLIC,
        Symbolic,
        ({0: N, 1: 2 * Dim("half")}, {0: N, 1: T}),
        ((3, 4, 6), (3, 7)),
        ((2, 10, 6), (2, 3)),
    ),
    "a recurrence": Case(STEPS, Steps, ({0: N},), ((2, 5, 4),), ((7, 5, 4),)),
    "lstm": Case(LSTM, Sequence, ({0: N},), ((2, 5, 4),), ((7, 5, 4),)),
}


def drawn(shapes: tuple[tuple[int, ...], ...]) -> tuple[Tensor, ...]:
    return tuple(torch.randn(shape, dtype=torch.float64) for shape in shapes)


def exported(model: nn.Module, case: Case, strict: bool = False) -> torch.export.ExportedProgram:
    # `*inputs` of forward is one argument to torch.export
    return torch.export.export(
        model, drawn(case.example), dynamic_shapes=(case.open,), strict=strict
    )


@pytest.mark.parametrize("strict", [False, True], ids=["by running", "by reading the code"])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_exported_with_open_sizes(case: Case, strict: bool) -> None:
    ours, theirs = case.made()
    program = exported(ours, case, strict)
    for shapes in (case.example, case.other):
        xs = drawn(shapes)
        assert_close(program.module()(*xs), theirs(*xs), NET)
    expected = torch.export.export(theirs, drawn(case.example), dynamic_shapes=case.open)
    assert len(program.range_constraints) == len(expected.range_constraints)
    assert all("netdsl" not in str(node.target) for node in program.graph.nodes)


ELSEWHERE = """
import sys
import torch
program, given, found = sys.argv[1:]
model = torch.export.load(program).module()
torch.save([model(*xs).detach() for xs in torch.load(given)], found)
assert "netdsl" not in sys.modules
"""


def test_open_sizes_where_netdsl_is_not(tmp_path) -> None:
    case = CASES["sizes among hyper-parameters"]
    ours, theirs = case.made()
    program, given, found = (str(tmp_path / name) for name in ("net.pt2", "x.pt", "y.pt"))
    inputs = [drawn(case.example), drawn(case.other)]
    torch.save(inputs, given)
    torch.export.save(exported(ours, case), program)
    subprocess.run([sys.executable, "-c", ELSEWHERE, program, given, found], check=True)
    for y, xs in zip(torch.load(found), inputs, strict=True):
        assert_close(y, theirs(*xs), NET)


def test_several_inputs_of_one_size_stay_of_one_size() -> None:
    case = CASES["sizes among hyper-parameters"]
    program = exported(case.made()[0], case)
    with pytest.raises(AssertionError, match="Guard failed: inputs_1"):
        program.module()(*drawn(((2, 10, 6), (3, 3))))


def test_a_size_that_the_text_fixes_cannot_be_left_open() -> None:
    ours, _ = CASES["images"].made()
    with pytest.raises(Exception, match=r"specialized it to be a constant \(3\)"):
        torch.export.export(ours, drawn(((2, 3, 9, 9),)), dynamic_shapes=(({1: Dim("c")},),))


def test_the_number_of_steps_of_a_recurrence_is_fixed_and_that_is_said() -> None:
    case = CASES["a recurrence"]
    ours, _ = case.made()
    said = pytest.warns(UserWarning, match="the T steps of a recurrence .* has 5 of them")
    with said, pytest.raises(Exception, match=r"specialized it to be a constant \(5\)"):
        torch.export.export(ours, drawn(case.example), dynamic_shapes=(({0: N, 1: T},),))


def test_taps_of_open_sizes() -> None:
    case = CASES["images"]
    _, theirs = case.made()
    ours = netdsl.loads(IMAGES, outputs=["relu1", "relu2"], seed=0).double().eval()
    program = exported(ours, case)
    (x,) = drawn(case.other)
    first = theirs.relu1(theirs.bn1(theirs.conv1(x)))
    second = theirs.relu2(theirs.conv2(theirs.max_pool1(first)))
    for y, z in zip(program.module()(x), (first, second), strict=True):
        assert_close(y, z, NET)


def test_a_child_in_the_place_of_another_is_exported_too() -> None:
    case = CASES["images"]
    ours, theirs = case.made()
    ours.linear1 = theirs.linear1 = nn.Linear(6, 2).double()
    program = exported(ours, case)
    (x,) = drawn(case.other)
    assert_close(program.module()(x), theirs(x), NET)


def test_an_extern_is_exported_too() -> None:
    text = """netdsl 1
extern twice(x: [N, D]) -> [N, D]
net Outside(x: [N, 4]) -> [N, 4] { return x -> linear(4) -> twice }
"""
    ours = netdsl.loads(text, ops={"twice": lambda x: 2 * x}, seed=0).double().eval()
    x = torch.randn(2, 4, dtype=torch.float64)
    program = torch.export.export(ours, (x,), dynamic_shapes=(({0: N},),))
    (other,) = drawn(((5, 4),))
    linear = nn.functional.linear(other, ours.linear1.weight, ours.linear1.bias)
    assert_close(program.module()(other), 2 * linear, NET)


def test_exported_in_training_it_moves_running_statistics() -> None:
    case = CASES["images"]
    ours, theirs = case.made()
    program = exported(ours.train(), case).module()
    theirs.train()
    for shapes in (case.example, case.other):
        xs = drawn(shapes)
        assert_close(program(*xs), theirs(*xs), NET)
    state = program.state_dict()
    for name, buffer in theirs.named_buffers():
        assert_close(state[name], buffer, NET, name)


@pytest.mark.filterwarnings("ignore:the T steps of a recurrence")
@pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
@pytest.mark.parametrize("name", CASES)
def test_jit_trace_checked_saved_and_loaded(name: str, training: bool) -> None:
    case = CASES[name]
    ours, theirs = (model.train(training) for model in case.made())
    with torch.no_grad():  # without autograd's nodes the trace's own check compares numbers alone
        traced = torch.jit.trace(ours, drawn(case.example), check_trace=not training)
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    again = torch.jit.load(file)
    theirs.load_state_dict(again.state_dict())  # tracing in training ran it
    for shapes in (case.example, case.other):
        xs = drawn(shapes)
        assert_close(again(*xs), theirs(*xs), NET)
    for key, buffer in theirs.named_buffers():
        assert_close(again.state_dict()[key], buffer, NET, key)
    assert "netdsl::" not in str(again.inlined_graph)
