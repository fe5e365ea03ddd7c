"""Other dtypes, devices and memory."""

from __future__ import annotations

import copy

import torch

from contract.behaviour import NARROW, behaviour, gradients, loss, numbers


def computed(model, x, dtype):
    """An inference in another dtype."""
    with torch.no_grad():
        return model.eval().to(dtype)(x.to(dtype)), numbers(model)


@behaviour()
def float32(model, x):
    return computed(model, x, torch.float32)


@behaviour()
def bfloat16(model, x):
    return computed(model, x, torch.bfloat16)


@behaviour()
def half(model, x):
    with torch.no_grad():
        return model.eval().half()(x.half())


@behaviour(nets=NARROW)
def to_another_dtype_and_back(model, x):
    before = model.eval()(x)
    return before, model.float()(x.float()), model.double()(x), numbers(model)


@behaviour()
def a_step_in_float32(model, x):
    loss(model.eval().float()(x.float())).backward()
    return gradients(model)


@behaviour(nets=NARROW)
def moving_keeps_the_parameters_themselves(model, x):
    before = list(model.parameters())
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    same = [p is q for p, q in zip(model.float().double().parameters(), before, strict=True)]
    loss(model(x)).backward()
    optimiser.step()
    return same, numbers(model)


@behaviour()
def gradients_move_with_the_model(model, x):
    loss(model(x)).backward()
    return [p.grad is not None and p.grad.dtype for p in model.float().parameters()]


@behaviour(nets=NARROW)
def to_channels_last(model, x):
    loss(model.to(memory_format=torch.channels_last)(x)).backward()
    return gradients(model), numbers(model)


@behaviour(nets=NARROW)
def shared_memory(model, x):
    assert all(p.is_shared() for p in model.share_memory().parameters())
    loss(model(x)).backward()
    return gradients(model), numbers(model)


@behaviour()
def without_memory_and_with_it_again(model, x):
    state = copy.deepcopy(model.state_dict())
    empty = copy.deepcopy(model).to("meta")
    assert all(p.is_meta for p in empty.parameters())
    filled = empty.to_empty(device="cpu")
    filled.load_state_dict(state)
    return filled.eval()(x)


@behaviour(nets=NARROW)
def a_state_assigned_to_a_model_without_memory(model, x):
    state = copy.deepcopy(model.state_dict())
    model.to("meta").load_state_dict(state, assign=True)
    loss(model(x)).backward()
    return gradients(model), numbers(model)


@behaviour()
def a_model_on_the_meta_device(model, x):
    y = model.eval().to("meta")(x.to("meta"))
    return y.shape, y.dtype, y.device, len(list(model.parameters()))


@behaviour(raises=RuntimeError)
def numbers_of_a_model_without_memory(model, x):
    model.to("meta")(x).sum().item()


@behaviour()
def requires_grad_survives_moving(model, x):
    first = next(model.parameters()).requires_grad_(False)
    return first.requires_grad, [p.requires_grad for p in model.float().double().parameters()]
