"""Stages that are modules of torch.nn: their attributes are true, and a changed one counts."""

from __future__ import annotations

import pytest
import torch
from ops.cases import CASES, Case
from tolerances import OP, assert_close
from torch import nn

import netdsl
from netdsl.counterparts import Stage

OP_CASES = [
    case
    for case in CASES
    if case.op.layer and not case.op.modal and case.op.counterpart(*case.types) is not None
]


@pytest.mark.parametrize("case", OP_CASES, ids=str)
def test_the_class_that_an_op_names_computes_what_the_op_does(case: Case) -> None:
    name, arguments = case.op.counterpart(*case.types)
    module, xs = getattr(nn, name)(**arguments).double(), case.numbers()
    owned = dict(zip((p.name for p in case.op.params(*case.example.operands)), xs[1:], strict=True))
    module.load_state_dict(owned)
    assert_close(module(xs[0]), case.op.reference(*xs), OP)


def test_the_ops_of_the_cases_above_are_those_that_one_expects() -> None:
    assert {case.op.name for case in OP_CASES} == {
        *("conv", "conv1d", "conv3d", "up_conv", "up_conv1d", "up_conv3d"),
        *("linear", "embedding", "ln", "gn", "prelu"),
    }


def test_padding_that_torch_has_no_class_for_is_a_plain_namespace() -> None:
    text = "netdsl 1\nnet P(x: [N, 1, 4, 4]) { return x -> conv(2, 2, pad=(0, 1, 1, 0)) }"
    assert not isinstance(netdsl.loads(text).conv1, Stage | nn.Conv2d)


DROPOUT = "netdsl 1\nnet D(x: [N, 9]) { return x -> dropout(0.5) -> linear(2) }"


def test_the_p_of_a_dropout_takes_effect() -> None:
    model, x = netdsl.loads(DROPOUT, seed=0).double().train(), torch.rand(5, 9).double()
    whole = nn.functional.linear(x, model.linear1.weight, model.linear1.bias)
    assert not torch.allclose(model(x), whole)
    model.dropout1.p = 0.0
    assert_close(model(x), whole, OP)
    model.dropout1.p = 0.5
    assert not torch.allclose(model(x), whole)


STEPS = """netdsl 1
net Steps(x: [N, 3, 4]) {
  recur t in 1..3 {
    h[0]: [N, 4] = 0
    h[t] = tanh(x[t] + h[t-1]) -> ln as norm
  }
  return h
}
"""


def test_what_cannot_take_effect_inside_a_recurrence_is_refused() -> None:
    model = netdsl.loads(STEPS, seed=0)
    assert isinstance(model.norm, nn.LayerNorm)
    model.norm.eps = 0.1
    with pytest.raises(RuntimeError, match="`norm` was replaced or has a hook, but it cannot"):
        model(torch.rand(1, 3, 4))


NORM = "netdsl 1\nnet B(x: [N, 3]) { return x -> bn as norm -> linear(2) }"


def test_a_changed_norm_is_refused_where_norms_are_synchronised() -> None:
    model, x = netdsl.loads(NORM, seed=0).sync_batchnorm(), torch.rand(5, 3)
    model.norm.momentum = 0.2
    with pytest.raises(RuntimeError, match="`momentum` of `norm` was changed, which `sync_batch"):
        model(x)
    model.norm.momentum = 0.1
    model(x)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_quantising_says_that_it_would_change_nothing() -> None:
    model = netdsl.loads(NORM, seed=0).eval()
    with pytest.raises(
        RuntimeError, match="this BatchNorm1d is part of a compiled net: put one of"
    ):
        torch.ao.quantization.quantize_dynamic(model, {nn.Linear})


def test_a_stage_without_parameters_has_no_module_among_the_numbers() -> None:
    text = "netdsl 1\nnet S(x: [N, 3]) { return x -> (linear(3) -> relu -> linear(2)) as g[] }"
    model = netdsl.loads(text)
    assert model.g[-1] is model.g[2] is model.g.get_submodule("2")
    with pytest.raises(RuntimeError, match="1 is a stage without parameters: it has no module"):
        model.g[1]
    with pytest.raises(IndexError, match="there are 3 numbered stages, and 3 was asked for"):
        model.g[3]
