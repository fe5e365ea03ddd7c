"""What autograd can be asked for: several calls, kept graphs, partial gradients, cotangents."""

from __future__ import annotations

import torch

from contract.behaviour import NARROW, behaviour, gradients, loss, parts


@behaviour(nets=NARROW)
def two_forwards_before_one_backward(model, x):
    y, z = model(x), model(x.flip(0) * 2)
    (loss(y) + (y * z).sum()).backward()
    return y, z, gradients(model)


@behaviour(nets=NARROW)
def two_forwards_and_their_backwards_in_turn(model, x):
    y, z = model(x), model(x.flip(3))
    loss(y).backward()
    loss(z).backward()
    return gradients(model)


@behaviour(nets=NARROW)
def backwards_in_the_other_order(model, x):
    y, z = model(x), model(x.flip(3))
    loss(z).backward()
    loss(y).backward()
    return gradients(model)


@behaviour(nets=NARROW)
def a_kept_graph(model, x):
    y = loss(model(x))
    y.backward(retain_graph=True)
    y.backward()
    return gradients(model)


@behaviour(nets=NARROW, raises=RuntimeError)
def backward_twice(model, x):
    y = loss(model(x))
    y.backward()
    y.backward()


@behaviour(raises=RuntimeError)
def a_weight_changed_before_backward(model, x):
    y = loss(model(x.requires_grad_()))
    with torch.no_grad():
        next(iter(parts(model)[-1].parameters())).mul_(2)
    y.backward()


@behaviour(nets=NARROW)
def an_unread_bias_changed_before_backward(model, x):
    y = loss(model(x))
    with torch.no_grad():
        list(parts(model)[-1].parameters())[1].mul_(2)
    y.backward()
    return gradients(model)


@behaviour(nets=NARROW)
def an_output_changed_in_place(model, x):
    y = model(x).mul_(2).add_(1)
    loss(y).backward()
    return y, gradients(model)


@behaviour()
def gradient_of_an_input_alone(model, x):
    (dx,) = torch.autograd.grad(loss(model(x.requires_grad_())), (x,))
    return dx, gradients(model)


@behaviour()
def gradients_of_some_parameters(model, x):
    wanted = list(model.parameters())[::2]
    return torch.autograd.grad(loss(model(x)), wanted), gradients(model)


@behaviour(nets=NARROW)
def a_tensor_that_is_not_used(model, x):
    other = x.clone().requires_grad_()
    wanted = (other, *model.parameters())
    return torch.autograd.grad(loss(model(x)), wanted, allow_unused=True)


@behaviour(raises=RuntimeError)
def a_tensor_that_is_not_used_and_not_allowed(model, x):
    torch.autograd.grad(loss(model(x)), (x.clone().requires_grad_(),))


@behaviour()
def backward_with_inputs(model, x):
    first = next(model.parameters())
    loss(model(x)).backward(inputs=[first])
    return gradients(model)


@behaviour(nets=NARROW)
def a_gradient_through_what_made_the_input(model, x):
    scale = torch.ones(1, dtype=x.dtype, requires_grad=True)
    loss(model(x * scale)).backward()
    return scale.grad, gradients(model)


@behaviour()
def an_input_used_beside_the_model(model, x):
    y = model(x.requires_grad_())
    (loss(y) + x.square().sum()).backward()
    return x.grad


@behaviour(nets=NARROW)
def a_cotangent_of_zeros(model, x):
    y = model(x)
    y.backward(torch.zeros_like(y))
    return gradients(model)


@behaviour(nets=NARROW)
def expanded_cotangents(model, x):
    y = model(x)
    y.backward(torch.ones((), dtype=y.dtype).expand_as(y))
    return gradients(model)


@behaviour(nets=NARROW)
def transposed_cotangents(model, x):
    y = model(x)
    y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape[::-1]).t())
    return gradients(model)


@behaviour(nets=NARROW)
def sliced_cotangents(model, x):
    y = model(x)
    long = torch.linspace(-1, 1, 2 * y.numel(), dtype=y.dtype).view(y.shape[0], -1)
    y.backward(long[:, ::2])
    return gradients(model)


@behaviour(raises=RuntimeError)
def cotangents_of_another_shape(model, x):
    y = model(x)
    y.backward(torch.ones(y.shape[0] + 1, y.shape[1], dtype=y.dtype))


@behaviour(nets=NARROW)
def a_loss_of_one_row(model, x):
    y = model(x.requires_grad_())
    y[1].sum().backward()
    return x.grad, gradients(model)


@behaviour(nets=NARROW)
def detached_output(model, x):
    y = model(x)
    loss(y.detach() * y).backward()
    return gradients(model)


@behaviour()
def retained_gradient_of_the_output(model, x):
    y = model(x)
    y.retain_grad()
    loss(y).backward()
    return y.grad


@behaviour(nets=NARROW)
def hooks_of_tensors(model, x):
    seen = []
    y = model(x.requires_grad_())
    x.register_hook(lambda g: seen.append(("x", g)) or g * 2)
    y.register_hook(lambda g: seen.append(("y", g)))
    loss(y).backward()
    return seen, x.grad


@behaviour(nets=NARROW)
def hooks_of_parameters(model, x):
    seen = []
    for name, p in model.named_parameters():
        p.register_hook(lambda g: g * 3)
        p.register_post_accumulate_grad_hook(lambda p, name=name: seen.append(name))
    loss(model(x)).backward()
    return sorted(seen), gradients(model)


@behaviour(nets=NARROW)
def hooks_of_the_model(model, x):
    seen = []
    model.register_forward_pre_hook(lambda _, args: (args[0] * 2,))
    model.register_forward_hook(lambda _, args, y: seen.append(args[0]) or y * 3)
    model.register_full_backward_hook(lambda _, dx, dy: seen.append(dy[0]))
    y = model(x.requires_grad_())
    loss(y).backward()
    return y, seen, x.grad, gradients(model)


@behaviour(nets=NARROW)
def anomaly_detection(model, x):
    with torch.autograd.set_detect_anomaly(True, check_nan=True):
        loss(model(x)).backward()
    return gradients(model)


@behaviour()
def saved_tensors_packed_by_hooks(model, x):
    with torch.autograd.graph.save_on_cpu():
        y = loss(model(x.requires_grad_()))
    y.backward()
    return x.grad, gradients(model)
