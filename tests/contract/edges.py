"""Batches of none, of one, of many sizes; numbers that are none; many threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from contract.behaviour import NARROW, behaviour, gradients, loss, numbers


@behaviour(nets=("resnet18",), raises=ValueError)
def one_value_a_channel_in_training(model, x):
    model(x[:1, :, :32, :32])


@behaviour(nets=("resnet18",))
def one_value_a_channel_in_eval(model, x):
    return model.eval()(x[:1, :, :32, :32])


@behaviour()
def a_batch_of_one(model, x):
    loss(model(x[:1])).backward()
    return gradients(model), numbers(model)


@behaviour()
def a_batch_of_none_in_eval(model, x):
    y = model.eval()(x[:0].requires_grad_())
    loss(y).backward()
    return y, gradients(model)


@behaviour()
def a_batch_of_none_in_training(model, x):
    y = model(x[:0])
    loss(y).backward()
    return y, gradients(model), numbers(model)


@behaviour(nets=("narrow", "groups"))
def images_of_many_sizes(model, x):
    model.eval()
    found = []
    for height, width in ((33, 40), (48, 34), (41, 41), (33, 40)):
        image = torch.nn.functional.interpolate(x, (height, width))
        y = model(image)
        loss(y).backward()
        found.append(y)
    return found, gradients(model)


@behaviour(nets=NARROW)
def batches_of_many_sizes(model, x):
    model.eval()
    return [model(x.repeat(2, 1, 1, 1)[:n]) for n in (1, 5, 2, 6, 1)]


@behaviour()
def not_a_number_in_one_image(model, x):
    x[1, 0, 3, 3] = torch.nan
    y = model.eval()(x)
    loss(y).backward()
    return y, gradients(model)


@behaviour()
def infinity_in_one_image(model, x):
    x[1, 0, 3, 3] = torch.inf
    return model.eval()(x)


@behaviour(nets=("resnet18",))
def not_a_number_in_training(model, x):
    x[1, 0, 3, 3] = torch.nan
    return model(x), numbers(model)


@behaviour()
def not_a_number_in_a_weight(model, x):
    with torch.no_grad():
        list(model.parameters())[-1][0] = torch.nan
    return model.eval()(x)


@behaviour()
def zeros(model, x):
    loss(model.eval()(torch.zeros_like(x))).backward()
    return gradients(model)


@behaviour(nets=NARROW)
def eight_threads_in_inference(model, x):
    model.eval()

    def call(i: int) -> torch.Tensor:
        with torch.no_grad():
            return model(x[:1] * i)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(call, range(8)))


@behaviour(nets=NARROW)
def eight_threads_with_gradients(model, x):
    model.eval()

    def call(i: int) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(loss(model(x[:1] * i)), list(model.parameters()))

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(call, range(8)))


@behaviour(nets=NARROW)
def threads_in_grad_modes_of_their_own(model, x):
    model.eval()

    def call(i: int) -> torch.Tensor:
        with torch.set_grad_enabled(i % 2 == 0):
            return model(x)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(call, range(8)))
