"""The model as a part of something larger, and called by torch.func's and torch.nn's means."""

from __future__ import annotations

import copy

import torch
from torch import nn

from contract.behaviour import NARROW, behaviour, gradients, loss, numbers


class Ends(nn.Module):
    """A model between layers of its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), 0.5, dtype=torch.float64))
        self.model = model

    def forward(self, x):
        return self.model(x * self.scale).relu() + self.scale


@behaviour(nets=NARROW)
def in_a_sequence(model, x):
    whole = nn.Sequential(nn.Tanh(), model, nn.LogSoftmax(1))
    loss(whole(x)).backward()
    return gradients(whole), numbers(whole)


@behaviour(nets=NARROW)
def in_a_list_and_a_dict(model, x):
    whole = nn.ModuleDict({"models": nn.ModuleList([model, copy.deepcopy(model).eval()])})
    first, second = (each(x) for each in whole["models"])
    loss(first - second).backward()
    return gradients(whole), numbers(whole)


@behaviour(nets=NARROW)
def between_parameters_of_another_module(model, x):
    whole = Ends(model)
    optimiser = torch.optim.SGD(whole.parameters(), lr=1e-3)
    loss(whole(x)).backward()
    optimiser.step()
    return numbers(whole), whole.eval()(x)


@behaviour(nets=NARROW)
def twice_in_one_graph(model, x):
    y = model(x)
    z = model(x * y.mean())
    loss(z).backward()
    return z, gradients(model)


@behaviour(nets=NARROW)
def one_model_after_another(model, x):
    other = copy.deepcopy(model)
    y = model.eval()(x)
    z = other.eval()(x + y.mean())
    (loss(y) * loss(z)).backward()
    return gradients(model), gradients(other)


@behaviour(nets=NARROW)
def called_with_other_weights(model, x):
    weights = {name: t * 0.9 for name, t in model.named_parameters()}
    y = torch.func.functional_call(model.eval(), weights, (x,))
    loss(y).backward()
    return y, gradients(model), model(x)


@behaviour()
def called_with_other_buffers(model, x):
    buffers = {name: t * 2 for name, t in model.named_buffers()}
    y = torch.func.functional_call(model.eval(), buffers, (x,))
    return y, numbers(model)


@behaviour()
def called_with_weights_by_name(model, x):
    weights = {name: t.detach() for name, t in model.named_parameters()}
    return torch.func.functional_call(model.eval(), weights, kwargs={"x": x})


@behaviour()
def hooks_of_every_module(model, x):
    seen = []

    def hook(module: nn.Module, *_: object) -> None:
        if module is model:
            seen.append("called")

    with nn.modules.module.register_module_forward_hook(hook):
        y = model(x)
    return seen, y


@behaviour(nets=NARROW)
def a_tied_model(model, x):
    whole = Ends(model)
    whole.again = model
    loss(whole(x)).backward()
    return list(whole.state_dict()), gradients(whole)
