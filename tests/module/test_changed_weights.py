"""Folded weights never go stale: every way to change a weight, between calls in eval and in
training, each time compared with the reference, which folds nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tolerances import NET, assert_close
from torch import Tensor, nn

import netdsl
from netdsl.module import NetModule

NET_TEXT = """netdsl 1
net Folding(x: [N, 3, H, W]) {
  return x -> conv(70, 3) -> bn -> relu -> conv(5, 3, bias=false) -> bn
           -> global_avg_pool -> linear(300) -> bn
}
"""


def every_number(model: nn.Module) -> None:
    for p in model.parameters():
        p.data.mul_(1.5)


def one_row(model: nn.Module) -> None:
    model.conv1.weight.data[37] = 0.5


def one_column(model: nn.Module) -> None:
    model.conv2.weight.data[:, 61] = 0.5


def one_place_in_the_window(model: nn.Module) -> None:
    model.conv1.weight.data[:, :, 2, 1] = 0.5


def one_row_of_a_matrix(model: nn.Module) -> None:
    model.linear1.weight.data[299] = 0.5


def one_number_of_a_scale(model: nn.Module) -> None:
    model.bn1.weight.data[66] = 3


def one_number_of_a_statistic(model: nn.Module) -> None:
    model.bn3.running_var.data[123] = 9


def one_number_under_no_grad(model: nn.Module) -> None:
    with torch.no_grad():
        model.conv1.weight[37, 1, 0, 2] = 5


def one_number_in_inference_mode(model: nn.Module) -> None:
    with torch.inference_mode():
        model.conv1.weight[37, 1, 0, 2] = 5


def one_number_behind_autograd(model: nn.Module) -> None:
    model.conv1.weight.data[37, 1, 0, 2] = 5


def one_sign(model: nn.Module) -> None:
    model.linear1.weight.data[299, 4].neg_()


def two_rows_exchanged(model: nn.Module) -> None:
    weight = model.conv1.weight.data
    weight[[3, 40]] = weight[[40, 3]]


def two_columns_exchanged(model: nn.Module) -> None:
    weight = model.conv2.weight.data
    weight[:, [3, 40]] = weight[:, [40, 3]]


def every_sign(model: nn.Module) -> None:
    model.conv1.weight.data.neg_()


def mirrored_windows(model: nn.Module) -> None:
    weight = model.conv1.weight.data
    weight.copy_(weight.flip(-1))


def one_number_through_numpy(model: nn.Module) -> None:
    model.linear1.weight.detach().numpy()[200, 3] = 7


def all_of_it_through_numpy(model: nn.Module) -> None:
    model.conv1.weight.detach().numpy()[...] *= 2


def other_memory(model: nn.Module) -> None:
    for p in model.parameters():
        p.data = torch.randn_like(p)


def other_memory_twice(model: nn.Module) -> None:
    other_memory(model)
    call(model)
    other_memory(model)


def a_vector_of_parameters(model: nn.Module) -> None:
    vector = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    nn.utils.vector_to_parameters(vector * 1.5, model.parameters())


def another_parameter(model: nn.Module) -> None:
    model.conv1.weight = nn.Parameter(torch.randn_like(model.conv1.weight))


def a_state_dict(model: nn.Module) -> None:
    model.load_state_dict(shifted(model))


def a_state_dict_assigned(model: nn.Module) -> None:
    model.load_state_dict(shifted(model), assign=True)


def the_state_dict_of_a_part(model: nn.Module) -> None:
    model.bn1.load_state_dict(shifted(model.bn1))


def single_precision_and_back(model: nn.Module) -> None:
    model.float()
    for p in model.parameters():
        p.data.mul_(1.5)
    model.double()


def a_call_in_training(model: nn.Module) -> None:
    model.train()
    model(images())
    model.eval()


def statistics_of_a_part_in_training(model: nn.Module) -> None:
    model.bn1.train()
    with torch.no_grad():
        model(images() * 3)
    model.bn1.eval()


def an_average_of_models(model: nn.Module) -> None:
    other = netdsl.loads(NET_TEXT, seed=5).double()
    average = torch.optim.swa_utils.AveragedModel(model)
    average.update_parameters(model)
    average.update_parameters(other)
    call(model)
    model.load_state_dict(average.module.state_dict())


def steps(kind: type[torch.optim.Optimizer], **options: object) -> Callable[[nn.Module], None]:
    """Steps in training and in eval, where only the hook sees them; calls in between."""

    def step(model: nn.Module) -> None:
        optimiser = kind(model.parameters(), **options)
        for training in (True, False, False, True, False):
            model.train(training)
            model(images()).square().sum().backward()
            assert_close(call(model.eval()), reference(model), NET)
            optimiser.step()
            assert_close(call(model), reference(model), NET)
            optimiser.zero_grad()

    return step


def one_fused_step_of_next_to_nothing(model: nn.Module) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-9, fused=True)
    model(images()).square().sum().backward()
    call(model)
    optimiser.step()


def a_fused_kernel_without_its_optimiser(model: nn.Module) -> None:
    weights = [model.conv1.weight.detach()]
    torch._fused_sgd_(
        weights,
        [torch.ones_like(weights[0])],
        [],
        weight_decay=0.0,
        momentum=0.0,
        lr=0.1,
        dampening=0.0,
        nesterov=False,
        maximize=False,
        is_first_step=True,
    )


KINDS = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}
FORMS = {"": {"foreach": False}, ", fused": {"fused": True}, ", foreach": {"foreach": True}}

WRITES = {
    **{
        name + form: steps(kind, lr=0.01, **options)
        for name, kind in KINDS.items()
        for form, options in FORMS.items()
    },
    **{
        write.__name__.replace("_", " "): write
        for write in (
            one_fused_step_of_next_to_nothing,
            a_fused_kernel_without_its_optimiser,
            every_number,
            one_row,
            one_column,
            one_place_in_the_window,
            one_row_of_a_matrix,
            one_number_of_a_scale,
            one_number_of_a_statistic,
            one_number_under_no_grad,
            one_number_in_inference_mode,
            one_number_behind_autograd,
            one_sign,
            two_rows_exchanged,
            two_columns_exchanged,
            every_sign,
            mirrored_windows,
            one_number_through_numpy,
            all_of_it_through_numpy,
            other_memory,
            other_memory_twice,
            a_vector_of_parameters,
            another_parameter,
            a_state_dict,
            a_state_dict_assigned,
            the_state_dict_of_a_part,
            single_precision_and_back,
            a_call_in_training,
            statistics_of_a_part_in_training,
            an_average_of_models,
        )
    },
}


@pytest.mark.parametrize("name", WRITES)
def test_a_changed_weight_is_seen_by_the_next_call(name: str) -> None:
    model = folding()
    before = call(model)
    assert model._executable.folded, "nothing was folded: this tests nothing"
    WRITES[name](model)
    after = call(model)
    assert not torch.equal(after, before)
    assert_close(after, reference(model), NET)
    model.train()
    model(images(1)).sum().backward()
    with torch.no_grad():
        assert_close(model(images()), reference(model), NET)
    assert_close(call(model.eval()), reference(model), NET)


def test_weights_given_for_one_call_are_that_calls_only() -> None:
    model = folding()
    before = call(model)
    doubled = {name: p.detach() * 2 for name, p in model.named_parameters()}
    with torch.no_grad():
        given = torch.func.functional_call(model, doubled, (images(),))
    twin = folding("reference")
    twin.load_state_dict(model.state_dict() | doubled)
    assert_close(given, call(twin), NET)
    assert torch.equal(call(model), before)


def test_a_write_in_inference_mode_is_seen() -> None:
    with torch.inference_mode():
        model = folding()
        call(model)
        model.conv1.weight[37, 1, 0, 2] = 5
        assert_close(model(images()), reference(model), NET)


def test_folded_weights_are_kept_while_nothing_changes() -> None:
    model = folding()
    call(model)
    (first,) = model._executable.folded.values()
    call(model)
    assert list(model._executable.folded.values()) == [first]


def test_a_copy_has_folded_weights_of_its_own() -> None:
    model = folding()
    call(model)
    copied = folding()
    copied.load_state_dict(model.state_dict())
    copied.bn1.weight.data.mul_(2)
    assert_close(call(copied), reference(copied), NET)
    assert_close(call(model), reference(model), NET)


def folding(backend: str = "auto") -> NetModule:
    model = netdsl.loads(NET_TEXT, seed=0, backend=backend).double().eval()
    generator = torch.Generator().manual_seed(3)
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return model


def reference(model: NetModule) -> Tensor:
    """The output of the same numbers in the same mode, node by node."""
    twin = netdsl.loads(NET_TEXT, backend="reference").double().train(model.training)
    twin.load_state_dict(model.state_dict())
    return call(twin)


def call(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(images())


def images(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 6, 5, generator=generator, dtype=torch.float64)


def shifted(model: nn.Module) -> dict[str, Tensor]:
    return {key: t * 1.5 if t.is_floating_point() else t for key, t in model.state_dict().items()}
