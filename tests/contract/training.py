"""What a training loop does around forward and backward."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint

from contract.behaviour import NARROW, behaviour, gradients, loss, numbers


@behaviour(nets=NARROW)
def accumulated_gradients(model, x):
    for part in (x, x * 2, x.flip(0)):
        loss(model(part)).backward()
    return gradients(model)


@behaviour(nets=NARROW)
def zero_grad_to_none(model, x):
    loss(model(x)).backward()
    model.zero_grad(set_to_none=True)
    none = [p.grad is None for p in model.parameters()]
    loss(model(x)).backward()
    return none, gradients(model)


@behaviour(nets=NARROW)
def zero_grad_to_zeros(model, x):
    loss(model(x)).backward()
    model.zero_grad(set_to_none=False)
    zeros = copy.deepcopy(gradients(model))
    loss(model(x)).backward()
    return zeros, gradients(model)


@behaviour(nets=NARROW)
def clipped_norms(model, x):
    loss(model(x)).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    return norm, gradients(model)


@behaviour(nets=NARROW)
def clipped_values(model, x):
    loss(model(x)).backward()
    nn.utils.clip_grad_value_(model.parameters(), 1e-3)
    return gradients(model)


@behaviour(nets=NARROW)
def an_exponential_moving_average(model, x):
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        optimiser.zero_grad()
        loss(model(x)).backward()
        optimiser.step()
        averaged.update_parameters(model)
    with torch.no_grad():
        return averaged.eval()(x), model.eval()(x), numbers(averaged)


# without the running statistics: torch's layers move them a second time when they are recomputed,
# our net, which is recomputed as one, does not
@behaviour(nets=NARROW)
def checkpointing_without_reentry(model, x):
    y = checkpoint(model, x.requires_grad_(), use_reentrant=False)
    loss(y).backward()
    return y, x.grad, gradients(model)


@behaviour(nets=NARROW)
def checkpointing_with_reentry(model, x):
    y = checkpoint(model, x.requires_grad_(), use_reentrant=True)
    loss(y).backward()
    return y, x.grad, gradients(model), numbers(model)


@behaviour(nets=NARROW)
def gradients_set_by_hand(model, x):
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    loss(model(x)).backward()
    return gradients(model)


@behaviour(nets=NARROW)
def losses_of_torch(model, x):
    target = torch.arange(x.shape[0])
    found = []
    for criterion in (nn.CrossEntropyLoss(label_smoothing=0.1), nn.MultiMarginLoss()):
        model.zero_grad()
        value = criterion(model(x), target)
        value.backward()
        found.append((value, copy.deepcopy(gradients(model))))
    return found
