"""What holds for every op of the table, on every one of its examples."""

from __future__ import annotations

import pytest
import torch
from cases import (
    CASES,
    DIFFERENTIABLE,
    RUN,
    Case,
    backward,
    leaves,
    same_dtype,
    several,
    sources,
)
from tolerances import OP, OP_GRADIENT, assert_close, assert_exact

from netdsl.errors import Problem
from netdsl.interpreter import interpret
from netdsl.ir import Builder, Output
from netdsl.kinds import Extent, Shape
from netdsl.op import OPS, Op, Type
from netdsl.ops.dropout import Bernoulli
from netdsl.sizes import Size, atom, substitute

# torch 2.13 has no kernel for these on CPU.
NOT_IN_TORCH = {("avg_pool3d", torch.bfloat16)}

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_run = pytest.mark.parametrize("case", RUN, ids=str)
every_gradient = pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)


@pytest.mark.parametrize("name", OPS)
def test_op_has_examples_and_a_docstring(name: str) -> None:
    cls = OPS[name]
    assert cls.examples
    assert all(type(e.op) is cls for e in cls.examples)
    assert (cls.__doc__ or "").strip() and not (cls.__doc__ or "").startswith(cls.__name__ + "(")


@every_run
def test_shape_rule_is_the_reference(case: Case) -> None:
    ys = several(case.op.reference(*case.numbers()))
    assert [tuple(y.shape) for y in ys] == [t.shape for t in case.results]
    assert all(same_dtype(t, y, torch.float64) for t, y in zip(case.results, ys, strict=True))


@every_case
def test_shape_rule_holds_before_the_parameters_exist(case: Case) -> None:
    assert several(case.op.infer(*case.example.operands)) == case.results or not case.op.layer


@every_case
def test_shape_rule_with_symbolic_sizes_is_the_concrete_one(case: Case) -> None:
    tensors = case.example.operands
    for number in sorted({n for t in tensors for n in t.shape if isinstance(n, int)}):
        try:
            op, types = symbolic(case.op, tensors, number)
            results = several(op.infer(*types))
        except Problem as problem:
            assert problem.diagnostic.code.startswith("N2")
            continue
        for value in (number, number + 1, number + 6):

            def put(size: Size, value: int = value) -> Size:
                return substitute(size, {"S": value})

            try:
                concrete = several(op.map_sizes(put).infer(*(t.map(put) for t in types)))
            except Problem:  # S is not free: channels divisible by groups, a slice that fits
                assert value != number
                continue
            assert tuple(t.map(put) for t in results) == concrete


@pytest.mark.parametrize("name", OPS)
def test_shape_rule_takes_a_symbolic_size(name: str) -> None:
    def takes(op: Op, tensors: tuple[Type, ...], number: int) -> bool:
        try:
            op, types = symbolic(op, tensors, number)
            op.infer(*types)
        except Problem:
            return False
        return True

    cls = OPS[name]
    assert cls is Bernoulli or any(
        takes(e.op, e.operands, n) for e in cls.examples for t in e.operands for n in t.shape
    )


def symbolic(op: Op, tensors: tuple[Type, ...], number: int) -> tuple[Op, tuple[Type, ...]]:
    """The op and its tensors with the name S for one number among the sizes."""
    name = atom("S")
    hypers = {
        key: tuple(name if n == number else n for n in op.hypers()[key])
        if isinstance(field.metadata["kind"], Shape)
        else name
        for key, field in op.schema().items()
        if (isinstance(field.metadata["kind"], Shape) and op.hypers()[key] is not None)
        or (isinstance(field.metadata["kind"], Extent) and op.hypers()[key] == number)
    }
    for window in ("k", "stride"):  # these are numbers
        hypers.pop(window, None)
    types = (Type(tuple(name if n == number else n for n in t.shape), t.dtype) for t in tensors)
    return op.replace(**hypers), tuple(types)


@every_run
def test_an_expansion_is_the_reference(case: Case) -> None:
    b = Builder()
    given = {f"x{i}": x for i, x in enumerate(case.numbers())}
    ys = case.op.expand(b, sources(b, "x", case.types))
    if ys is None:
        return
    assert case.op not in {node.op for _, node in b.graph.items}
    got = interpret(b.build(tuple(Output(f"y{i}", y) for i, y in enumerate(ys))), given)
    for y, reference in zip(got, several(case.op.reference(*given.values())), strict=True):
        assert_close(y, reference, OP)


@every_gradient
def test_vjp_is_autograd_of_the_reference(case: Case) -> None:
    form = case.op.differentiable_form()
    numbers = case.numbers(seed=1)
    graph, found = backward(form, case.types)

    xs = leaves(case.op, numbers)
    ys = several(case.op.reference(*xs))
    wanted = [y for y in ys if y.requires_grad]
    cotangents = [torch.randn(y.shape, dtype=y.dtype) for y in wanted]
    tensors = [x for x in xs if x.requires_grad]
    expected = dict(
        zip(
            (i for i, x in enumerate(xs) if x.requires_grad),
            torch.autograd.grad(wanted, tensors, cotangents, allow_unused=True),
            strict=True,
        )
    )

    given = iter(cotangents)
    inputs = {f"x{i}": x for i, x in enumerate(numbers)}
    for i, y in enumerate(several(form.reference(*numbers))):
        differentiated = i < len(ys) and ys[i].requires_grad
        inputs[f"dy{i}"] = next(given) if differentiated else torch.zeros_like(y)
    got = dict(zip(found, interpret(graph, inputs), strict=True))
    for i, reference in expected.items():
        if reference is None:
            assert i not in got or not got[i].any(), f"operand {i} has no gradient in torch"
        else:
            assert i in got, f"operand {i} has a gradient in torch"
            assert_close(got[i], reference, OP_GRADIENT, f"operand {i}:")


@every_gradient
def test_reference_passes_gradcheck(case: Case) -> None:
    def differentiable(*xs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(y for y in several(case.op.reference(*xs)) if y.requires_grad)

    xs = leaves(case.op, case.numbers(seed=2))
    assert torch.autograd.gradcheck(differentiable, xs, fast_mode=True)


@every_run
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_lower_precision_is_near(case: Case, dtype: torch.dtype) -> None:
    if (case.op.name, dtype) in NOT_IN_TORCH:
        pytest.skip("torch has no such kernel on CPU")
    xs = case.numbers(dtype, seed=3)
    exact = (x.double() if x.is_floating_point() else x for x in xs)
    references = several(case.op.reference(*exact))
    for y, reference in zip(several(case.op.reference(*xs)), references, strict=True):
        if case.op.exact and y.is_floating_point():
            assert_exact(y, reference.to(dtype))
        else:
            assert_close(y, reference)


@every_run
def test_inplace_is_the_reference_in_the_operands_memory(case: Case) -> None:
    for position in case.op.overwrites:
        if case.types[position] == case.results[0]:
            xs = case.numbers(seed=4)
            reference = case.op.reference(*xs)
            y = case.op.into(xs[position], *xs)
            assert y.data_ptr() == xs[position].data_ptr()
            assert_exact(y, reference)


@every_run
@pytest.mark.parametrize("strided", [False, True], ids=["dense", "strided"])
def test_what_is_written_into_given_memory_is_the_reference(case: Case, strided: bool) -> None:
    if not case.op.writes:
        return
    xs = case.numbers(seed=4)
    reference = case.op.reference(*xs)
    shape = reference.shape
    out = torch.full((*shape, 2) if strided else shape, 7.0).to(reference.dtype)
    out = out[..., 0] if strided else out
    case.op.into(out, *xs)
    assert_close(out, reference, OP)


@every_run
def test_only_a_view_shares_memory(case: Case) -> None:
    xs = case.numbers()
    before = [x.clone() for x in xs]
    own = {x.untyped_storage().data_ptr() for x in xs if x.numel()}
    for y in several(case.op.reference(*xs)):
        shared = y.numel() > 0 and y.untyped_storage().data_ptr() in own
        assert not shared or case.op.view
    assert all(torch.equal(x, y) for x, y in zip(xs, before, strict=True)), "operands changed"


@every_run
def test_three_runs_give_the_same_bits(case: Case) -> None:
    xs = case.numbers(torch.float32)
    first, *others = (several(case.op.reference(*xs)) for _ in range(3))
    for other in others:
        for a, b in zip(first, other, strict=True):
            assert_exact(a, b)


@every_case
def test_application_is_canonical(case: Case) -> None:
    again = type(case.op).of(**case.op.hypers())
    assert again == case.op
    assert hash(again) == hash(case.op)
    assert case.op.describe().startswith(f"{case.op.name}(")
    assert case.op.map_sizes(lambda size: size) is case.op


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@every_run
def test_kernel_is_the_reference_in_every_layout(case: Case, layout: torch.memory_format) -> None:
    xs = [x.contiguous(memory_format=layout) if x.dim() == 4 else x for x in case.numbers(seed=3)]
    before = [x.clone() for x in xs]
    expected = several(case.op.reference(*xs))
    for skipped in range(len(expected) if len(expected) > 1 else 0, -1, -1):
        used = tuple(i != skipped or len(expected) == 1 for i in range(len(expected)))
        found = several(case.op.kernel(case.types, used)(*xs))
        for y, reference, wanted in zip(found, expected, used, strict=True):
            if wanted and reference.is_floating_point():
                assert_close(y, reference, OP, "kernel:")
            elif wanted:
                assert_exact(y, reference)
    for x, was in zip(xs, before, strict=True):
        assert_exact(x, was, "an operand was changed:")


@every_run
def test_operands_may_be_steps_of_a_sequence(case: Case) -> None:
    """As a recurrence gives them: with gaps between the examples."""
    xs = case.numbers(seed=5)
    steps = [torch.stack([x, torch.zeros_like(x)], 1)[:, 0] if x.dim() else x for x in xs]
    pairs = zip(several(case.op.reference(*steps)), several(case.op.reference(*xs)), strict=True)
    for y, reference in pairs:
        if y.is_floating_point():
            assert_close(y, reference, OP)
        else:
            assert torch.equal(y, reference)
