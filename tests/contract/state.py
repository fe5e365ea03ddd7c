"""Names, state_dicts, files and copies."""

from __future__ import annotations

import copy
import io
import pickle

import torch
from torch import nn

from contract.behaviour import NARROW, behaviour, gradients, holders, loss, numbers, parts


def through_a_file(thing, **options):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, **options)


def load(model, state, **options):
    """The missing and the unexpected keys that a load reports."""
    found = model.load_state_dict(state, **options)
    return found.missing_keys, found.unexpected_keys


@behaviour()
def names_of_parameters(model, x):
    return [(name, p.shape, p.requires_grad) for name, p in model.named_parameters()]


@behaviour()
def names_of_buffers(model, x):
    buffers = [(name, b.shape, b.dtype) for name, b in model.named_buffers()]
    return buffers, len(list(model.parameters()))


@behaviour()
def keys_of_the_state(model, x):
    return [(name, t.shape, t.dtype, t.requires_grad) for name, t in model.state_dict().items()]


@behaviour()
def keys_with_a_prefix(model, x):
    return list(model.state_dict(prefix="net."))


@behaviour()
def a_state_that_keeps_gradients(model, x):
    state = model.state_dict(keep_vars=True)
    return [(name, t.requires_grad) for name, t in state.items()]


@behaviour()
def a_state_shares_memory_with_the_model(model, x):
    with torch.no_grad():
        for t in model.state_dict().values():
            t.mul_(2)
    return model.eval()(x)


@behaviour()
def children_with_parameters(model, x):
    named = {child: name for name, child in model.named_children()}
    return [named[child] for child in parts(model)]


@behaviour()
def layers_by_path(model, x):
    paths = [name for name, m in model.named_modules() if m in holders(model)]
    found = [[n for n, _ in model.get_submodule(path).named_parameters()] for path in paths]
    return paths, found, [model.get_parameter(f"{paths[0]}.weight").shape]


@behaviour(raises=AttributeError)
def a_path_that_is_not_there(model, x):
    model.get_submodule("conv1.nothing")


@behaviour(raises=AttributeError)
def an_attribute_that_is_not_there(model, x):
    model.nothing  # noqa: B018


@behaviour()
def a_representation_shows_every_child(model, x):
    named = {child: name for name, child in model.named_children()}
    return [f"({named[child]}): " in repr(model) for child in parts(model)]


@behaviour()
def a_state_loaded_again(model, x):
    state = copy.deepcopy(model.state_dict())
    model.eval()(x)
    with torch.no_grad():
        for t in model.parameters():
            t.mul_(2)
    middle = model(x)
    return load(model, state), middle, model(x)


@behaviour()
def a_state_through_a_file(model, x):
    state = through_a_file(model.state_dict(), weights_only=True)
    return load(model, {name: t * 2 for name, t in state.items()}), model.eval()(x)


@behaviour(nets=NARROW)
def a_state_that_is_assigned(model, x):
    state = {name: t.clone() * 2 for name, t in model.state_dict().items()}
    found = load(model, state, assign=True)
    assert next(model.parameters()).data_ptr() == next(iter(state.values())).data_ptr()
    loss(model(x)).backward()
    return found, gradients(model), numbers(model)


@behaviour(raises=RuntimeError)
def a_state_that_lacks_a_key(model, x):
    state = model.state_dict()
    state.popitem()
    model.load_state_dict(state)


@behaviour(raises=RuntimeError)
def a_state_with_a_key_too_many(model, x):
    model.load_state_dict({**model.state_dict(), "nothing": x})


@behaviour(raises=RuntimeError)
def a_state_of_other_shapes(model, x):
    state = model.state_dict()
    first = next(iter(state))
    model.load_state_dict({**state, first: state[first][:1]})


@behaviour()
def a_state_that_need_not_fit(model, x):
    state = model.state_dict()
    first, *_, last = state
    state["nothing"] = state.pop(last)
    state[first] = state[first] * 2
    return load(model, state, strict=False), model.eval()(x)


@behaviour(nets=NARROW)
def a_deep_copy(model, x):
    loss(model(x)).backward()
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for p in copied.parameters():
            p.mul_(2)
    loss(copied(x)).backward()
    return gradients(model), gradients(copied), numbers(model), numbers(copied)


@behaviour(nets=NARROW)
def a_pickled_copy(model, x):
    model.eval()(x)
    copied = pickle.loads(pickle.dumps(model))
    assert not copied.training
    return copied(x), numbers(copied)


@behaviour(nets=NARROW)
def a_model_through_a_file(model, x):
    copied = through_a_file(model.train(), weights_only=False)
    loss(copied(x)).backward()
    return gradients(copied), gradients(model), numbers(copied)


@behaviour()
def apply_reaches_every_layer(model, x):
    reached = []

    def change(module: nn.Module) -> None:
        if module in holders(model):
            reached.append([n for n, _ in module.named_parameters(recurse=False)])
            with torch.no_grad():
                for p in module.parameters(recurse=False):
                    p.fill_(0.01)

    assert model.apply(change) is model
    return reached, model.eval()(x)


@behaviour()
def a_buffer_and_a_parameter_of_ones_own(model, x):
    model.register_buffer("mean", x.mean())
    model.register_parameter("scale", nn.Parameter(torch.ones(1, dtype=x.dtype)))
    y = model(x - model.mean) * model.scale
    loss(y).backward()
    return y, sorted(model.state_dict()), model.scale.grad


@behaviour()
def an_attribute_of_ones_own(model, x):
    model.note = "kept"
    return copy.deepcopy(model).note, model(x)


@behaviour()
def a_hook_of_the_state(model, x):
    model.register_state_dict_post_hook(lambda module, state, *_: state.update(extra=x))
    return list(model.state_dict())
