"""Optimisers and schedulers of torch.optim, with calls in eval between their steps."""

from __future__ import annotations

import torch
from torch import nn

from contract.behaviour import NARROW, behaviour, loss, numbers, parts


def in_rows(model):
    """With weights in the order of their axes, where ours may have channels_last: what takes
    `view(-1)` of weights, or fills them at random, wants that of any model."""
    return model.to(memory_format=torch.contiguous_format)


def trained(model, x, optimiser, scheduler=None):
    """Losses, outputs in eval after each of two steps, and the numbers in the end."""
    found = []
    for _ in range(2):
        optimiser.zero_grad()
        value = loss(model.train()(x))
        value.backward()
        optimiser.step()
        if scheduler is not None:
            scheduler.step()
        with torch.no_grad():
            found.append((value.detach(), model.eval()(x)))
    return found, numbers(model)


@behaviour(nets=NARROW)
def sgd_one_by_one(model, x):
    rest = {"lr": 1e-3, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-2}
    return trained(model, x, torch.optim.SGD(model.parameters(), foreach=False, **rest))


@behaviour(nets=NARROW)
def sgd_foreach(model, x):
    return trained(model, x, torch.optim.SGD(model.parameters(), 1e-3, 0.9, foreach=True))


@behaviour(nets=NARROW)
def sgd_fused(model, x):
    return trained(model, x, torch.optim.SGD(model.parameters(), 1e-3, 0.9, fused=True))


# Adam divides by the size of a gradient: a step of an element whose gradient is rounding alone is
# rounding too, so eps is large here
@behaviour(nets=NARROW)
def adam_one_by_one(model, x):
    rest = {"lr": 1e-3, "eps": 1e-3, "amsgrad": True}
    return trained(model, x, torch.optim.Adam(model.parameters(), foreach=False, **rest))


@behaviour(nets=NARROW)
def adam_foreach(model, x):
    return trained(model, x, torch.optim.Adam(model.parameters(), 1e-3, eps=1e-3, foreach=True))


@behaviour(nets=NARROW)
def adam_fused(model, x):
    return trained(model, x, torch.optim.AdamW(model.parameters(), 1e-3, eps=1e-3, fused=True))


@behaviour(nets=NARROW)
def groups_of_parameters(model, x):
    first, *others = parts(model)
    rest = [p for part in others for p in part.parameters()]
    groups = [{"params": first.parameters(), "lr": 1e-2}, {"params": rest, "weight_decay": 0.1}]
    return trained(model, x, torch.optim.SGD(groups, lr=1e-3))


@behaviour(nets=NARROW)
def a_cosine_schedule(model, x):
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 2)
    return trained(model, x, optimiser, schedule), schedule.get_last_lr()


@behaviour(nets=NARROW)
def an_optimiser_with_a_closure(model, x):
    optimiser = torch.optim.LBFGS(in_rows(model).eval().parameters(), lr=1e-3, max_iter=2)

    def closure():
        optimiser.zero_grad()
        value = model(x).square().sum()
        value.backward()
        return value

    return optimiser.step(closure).detach(), model(x)


@behaviour(nets=NARROW)
def an_optimisers_state_loaded_again(model, x):
    optimiser = torch.optim.SGD(model.parameters(), 1e-3, 0.9)
    trained(model, x, optimiser)
    again = torch.optim.SGD(model.parameters(), 1.0)
    again.load_state_dict(optimiser.state_dict())
    return trained(model, x, again)


@behaviour()
def writes_through_data(model, x):
    model.eval()(x)
    for p in model.parameters():
        p.data.mul_(0.9)
    return model(x)


@behaviour()
def data_set_anew(model, x):
    model.eval()(x)
    for p in model.parameters():
        p.data = p.data * 0.9
    return model(x)


@behaviour(nets=NARROW)
def a_vector_of_all_parameters(model, x):
    in_rows(model).eval()(x)
    vector = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(vector * 0.9, model.parameters())
    return vector, model(x)


@behaviour(nets=NARROW)
def parameters_drawn_anew(model, x):
    in_rows(model).eval()(x)
    generator = torch.Generator().manual_seed(1)
    for p in model.parameters():
        nn.init.normal_(p, 0, 0.1, generator=generator)
    return model(x), numbers(model)


@behaviour()
def buffers_changed_in_place(model, x):
    model.eval()(x)
    for b in model.buffers():
        b.mul_(2)
    return model(x), numbers(model)
