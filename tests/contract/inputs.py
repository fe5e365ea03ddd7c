"""Inputs of every layout, by position and by name, and those that do not fit."""

from __future__ import annotations

import numpy as np
import torch

from contract.behaviour import NARROW, behaviour, gradients, loss


def with_gradient(model, x):
    """Outputs and all gradients, x's too, where x is any view."""
    leaf = x.detach()
    y = model(leaf.requires_grad_() if leaf.is_leaf else leaf)
    loss(y).backward()
    return y, leaf.grad, gradients(model)


@behaviour()
def a_transposed_input(model, x):
    return with_gradient(model, x.transpose(2, 3).contiguous().transpose(2, 3))


@behaviour()
def an_input_in_channels_last(model, x):
    return with_gradient(model, x.contiguous(memory_format=torch.channels_last))


@behaviour()
def an_expanded_input(model, x):
    return with_gradient(model, x[:1].expand(3, -1, -1, -1))


@behaviour()
def a_sliced_input(model, x):
    return with_gradient(model, torch.cat([x, x], 3)[..., ::2])


@behaviour(nets=NARROW)
def a_reversed_view_of_a_larger_batch(model, x):
    return with_gradient(model, torch.cat([x, x * 2])[1::2])


@behaviour(nets=NARROW)
def a_misaligned_input(model, x):
    flat = torch.cat([x.new_zeros(1), x.flatten()])
    return with_gradient(model, flat[1:].view(x.shape))


@behaviour()
def an_input_of_numpy(model, x):
    return model(torch.from_numpy(np.ascontiguousarray(x.numpy())))


@behaviour()
def an_input_stays_as_it_was(model, x):
    before = x.clone()
    model(x)
    assert torch.equal(x, before)
    return x, model(x)


@behaviour()
def an_input_by_name(model, x):
    return model(x=x)


@behaviour(raises=TypeError)
def an_input_of_another_name(model, x):
    model(z=x)


@behaviour(raises=TypeError)
def an_input_by_position_and_by_name(model, x):
    model(x, x=x)


@behaviour(raises=TypeError)
def no_input(model, x):
    model()


@behaviour(raises=TypeError)
def an_input_too_many(model, x):
    model(x, x)


@behaviour(raises=TypeError, nets=("resnet18", "groups"))
def an_array_for_a_tensor(model, x):
    model(x.numpy())


@behaviour(raises=TypeError)
def nothing_for_a_tensor(model, x):
    model(None)


@behaviour(raises=RuntimeError)
def channels_that_do_not_fit(model, x):
    model(torch.cat([x, x], 1))


@behaviour(raises=RuntimeError)
def a_rank_too_many(model, x):
    model(x[None])


@behaviour(raises=RuntimeError)
def a_rank_too_few(model, x):
    model(x[0, 0])


@behaviour(raises=RuntimeError)
def an_input_of_another_floating_dtype(model, x):
    model(x.float())


@behaviour(raises=RuntimeError)
def an_input_of_integers(model, x):
    model(x.long())


@behaviour(raises=RuntimeError, nets=("lenet",))
def an_image_too_large(model, x):
    model(torch.nn.functional.pad(x, (4, 4, 4, 4)))


@behaviour(raises=RuntimeError, nets=("lenet",))
def an_image_too_small_for_a_window(model, x):
    model(x[..., :4, :4])
