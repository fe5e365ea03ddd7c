"""Training and eval bits, gradient masks and torch's global switches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contract.behaviour import NARROW, behaviour, gradients, holders, loss, numbers, parts


def step(model: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor | None], dict[str, Tensor]]:
    """Outputs, gradients and the state after a forward and a backward."""
    y = model(x)
    loss(y).backward()
    return y, gradients(model), numbers(model)


@behaviour()
def a_training_step(model, x):
    return step(model.train(), x)


@behaviour()
def a_step_in_eval(model, x):
    return step(model.eval(), x)


@behaviour(nets=NARROW)
def every_other_child_in_eval(model, x):
    for i, child in enumerate(parts(model)):
        child.train(i % 2 == 0)
    return step(model, x)


@behaviour(nets=NARROW)
def every_other_layer_in_eval(model, x):
    for i, layer in enumerate(holders(model)):
        layer.train(i % 2 == 0)
    return step(model, x)


@behaviour()
def train_and_eval_reach_every_layer(model, x):
    flags = []
    for change in (model.eval, model.train, parts(model)[1].eval, lambda: model.train(False)):
        change()
        flags.append([layer.training for layer in holders(model)])
    return flags


@behaviour()
def train_and_eval_return_the_model(model, x):
    return model.eval() is model, model.train()(x)


@behaviour(nets=NARROW)
def eval_between_training_steps(model, x):
    first = step(model, x)
    with torch.no_grad():
        middle = model.eval()(x)
    return first, middle, step(model.train(), x)


@behaviour(nets=NARROW)
def frozen_first_child(model, x):
    parts(model)[0].requires_grad_(False)
    return step(model, x)


@behaviour()
def frozen_all_but_the_last_child(model, x):
    model.requires_grad_(False)
    parts(model)[-1].requires_grad_(True)
    return step(model, x)


@behaviour(nets=NARROW)
def every_other_parameter_frozen(model, x):
    for i, p in enumerate(model.parameters()):
        p.requires_grad_(i % 2 == 0)
    return step(model, x)


@behaviour(nets=NARROW)
def freezing_and_thawing_between_steps(model, x):
    found = []
    for wanted in (False, True):
        parts(model)[-1].requires_grad_(wanted)
        found.append(step(model, x))
    return found


@behaviour()
def all_frozen(model, x):
    y = model.requires_grad_(False)(x)
    return y, y.grad_fn is None


@behaviour(raises=RuntimeError)
def backward_where_all_is_frozen(model, x):
    loss(model.requires_grad_(False)(x)).backward()


@behaviour()
def all_frozen_but_the_input(model, x):
    model.requires_grad_(False)
    y = model(x.requires_grad_())
    loss(y).backward()
    return y, x.grad, gradients(model)


@behaviour(nets=NARROW)
def no_grad(model, x):
    with torch.no_grad():
        y = model(x)
    return y, y.grad_fn is None, y.is_leaf, numbers(model)


@behaviour()
def set_grad_enabled(model, x):
    found = []
    for enabled in (False, True):
        with torch.set_grad_enabled(enabled):
            found.append(model(x))
    return found


@behaviour(nets=NARROW)
def enable_grad_within_no_grad(model, x):
    with torch.no_grad(), torch.enable_grad():
        y = model(x)
    loss(y).backward()
    return y, gradients(model)


@behaviour()
def inference_mode(model, x):
    with torch.inference_mode():
        y = model(x)
    return y, y.is_inference(), numbers(model)


@behaviour()
def an_inference_tensor_as_input_of_a_frozen_model(model, x):
    with torch.inference_mode():
        inside = x * 2
    return model.eval().requires_grad_(False)(inside)


# a net of large images reads a copy in channels_last, which may be saved
@behaviour(raises=RuntimeError, nets=("lenet", "groups"))
def an_inference_tensor_as_input_of_a_model_with_gradients(model, x):
    with torch.inference_mode():
        inside = x * 2
    loss(model(inside)).backward()


@behaviour(nets=NARROW)
def default_dtype(model, x):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if before == torch.float32 else torch.float32)
    try:
        return step(model, x)
    finally:
        torch.set_default_dtype(before)


@behaviour(nets=NARROW)
def deterministic_algorithms(model, x):
    torch.use_deterministic_algorithms(True)
    try:
        return step(model, x)
    finally:
        torch.use_deterministic_algorithms(False)


@behaviour(nets=NARROW)
def repeated_results_are_the_same_bits(model, x):
    model.eval()
    first = step(model, x)
    for _ in range(2):
        model.zero_grad()
        again = step(model, x)
        assert torch.equal(first[0], again[0])
        assert all(
            torch.equal(first[1][k], again[1][k]) for k in again[1] if again[1][k] is not None
        )
    return first[0]
