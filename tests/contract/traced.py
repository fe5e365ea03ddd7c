"""torch.compile and torch.export around the model."""

from __future__ import annotations

import io

import torch

from contract.behaviour import NARROW, behaviour, gradients, loss, numbers

SMALL = ("lenet", "groups")  # tracing takes torch's ResNet-18 several seconds


def compiled(model, **options):
    """The model in one graph, never called before, traced anew."""
    torch._dynamo.reset()
    return torch.compile(model, backend="aot_eager", fullgraph=True, **options)


@behaviour(nets=SMALL)
def compiled_in_training(model, x):
    y = compiled(model)(x)
    loss(y).backward()
    return y, gradients(model), numbers(model)


@behaviour(nets=("lenet",))
def compiled_for_batches_of_any_size(model, x):
    fast = compiled(model, dynamic=True)
    found = []
    for part in (x, x[:2], torch.cat([x, x])):
        y = fast(part)
        loss(y).backward()
        found.append(y)
    return found, gradients(model)


@behaviour(nets=SMALL)
def compiled_with_other_weights_afterwards(model, x):
    with torch.no_grad():
        fast = compiled(model.eval())
        first = fast(x)
        for p in model.parameters():
            p.mul_(0.9)
        return first, fast(x)


def exported(model, x):
    """The bytes of an exported program; torch warns where it saves weights in channels_last."""
    model = model.to(memory_format=torch.contiguous_format)
    file = io.BytesIO()
    torch.export.save(torch.export.export(model.eval(), (x,)), file)
    return file.getvalue()


@behaviour(nets=NARROW)
def exported_and_loaded_again(model, x):
    program = torch.export.load(io.BytesIO(exported(model, x)))
    return program.module()(x).detach(), sorted(program.state_dict)
