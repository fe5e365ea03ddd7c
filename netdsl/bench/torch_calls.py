"""The net as the contenders of PyTorch run it: ours, its eager twin, and a call of either.

The twin is torchvision's own class where it has one with the same state_dict. Any other net is
traced from the reference interpreter (torch.export) into a straight line of torch functions, which
is what a hand-written module would call; the interpreter itself would be no fair contender.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.fx.graph import CodeGen

from netdsl import compiler
from netdsl.bench.job import Job, Variant, inputs_of
from netdsl.module import NetModule

Hyper: TypeAlias = Mapping[str, Any]

# the shipped models that torchvision has, by their hyper-parameters
TORCHVISION: Mapping[str, Callable[[Hyper], str]] = {
    "resnet": lambda hyper: f"resnet{hyper.get('depth', 50)}",
    "vgg": lambda hyper: f"vgg{hyper.get('depth', 16)}{'_bn' if hyper.get('norm') else ''}",
    "alexnet": lambda hyper: "alexnet",
    "googlenet": lambda hyper: "googlenet",
    "densenet": lambda hyper: "densenet121",
}
OPERATORS = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
RATE, MOMENTUM = 1e-4, 0.9  # so low that thousands of steps on one batch stay finite


def ours(job: Job, backend: str = "auto") -> NetModule:
    model = compiler.load(job.target, hyper=dict(job.hyper), backend=backend, seed=job.seed)
    return model.train(job.train)


def tensors_of(job: Job) -> list[Tensor]:
    return [torch.from_numpy(x) for x in inputs_of(job)]


def twin(job: Job) -> tuple[nn.Module, str]:
    """The net in eager PyTorch with our numbers, and where it comes from."""
    model = ours(job, "reference")
    found = _torchvision(job, model)
    if found is not None:
        return found, "torchvision's class"
    return _traced(model, tensors_of(job)), "traced into torch functions"


def _torchvision(job: Job, model: NetModule) -> nn.Module | None:
    if job.target not in TORCHVISION:
        return None
    name, models = TORCHVISION[job.target](job.hyper), _models()
    make = getattr(models, name, None)
    if make is None:
        return None
    made = make(init_weights=False) if name == "googlenet" else make()
    assert isinstance(made, nn.Module)
    try:
        made.load_state_dict(model.state_dict(), strict=True)
    except RuntimeError:  # other hyper-parameters than torchvision's
        return None
    return made.train(job.train)


def _models() -> Any:
    """torchvision.models, None where it is not installed. Where torchvision's compiled part is of
    another torch, its operators are declared, which no net of it calls."""
    if find_spec("torchvision") is None:
        return None
    try:
        return import_module("torchvision.models")
    except RuntimeError:
        for name in ("nms", "qnms"):
            schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            OPERATORS.define(schema)  # type: ignore[no-untyped-call]
        return import_module("torchvision.models")


def _traced(model: NetModule, inputs: list[Tensor]) -> nn.Module:
    program = torch.export.export(model, tuple(inputs))
    module = program.module(check_guards=False)
    assert isinstance(module, torch.fx.GraphModule)
    module._forward_pre_hooks.clear()  # which check the inputs at every call
    for node in module.graph.nodes:
        if node.op == "call_function":
            node.target = _bound(node.target)
    module.graph.set_codegen(CodeGen())  # plain arguments and results, no trees of them
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _bound(target: Any) -> Any:
    """torch's own function for an overload of ATen, which is the same and quicker to call."""
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        return target
    name = target._schema.name.removeprefix("aten::")
    return getattr(torch, name, None) or getattr(torch._C._nn, name, None) or target


def call_of(
    model: nn.Module,
    job: Job,
    variant: Variant,
    change: Callable[[Any], Any] = lambda model: model,
) -> Callable[[], Any]:
    """One call of a model in the job's mode, or one training step; `change` is made once all else
    is set."""
    torch.set_num_threads(job.threads)
    inputs = tensors_of(job)
    if variant.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        inputs = [_channels_last(x) for x in inputs]
    if job.train:
        return _step(change(model), model, inputs, job)
    dtype = getattr(torch, job.dtype)
    inputs = [x.to(dtype) if x.is_floating_point() else x for x in inputs]
    changed = change(model.to(dtype))

    def call() -> Any:
        with torch.no_grad():
            return changed(*inputs)

    return call


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _step(run: Any, model: nn.Module, inputs: list[Tensor], job: Job) -> Callable[[], Any]:
    optimiser = torch.optim.SGD(model.parameters(), RATE, MOMENTUM, fused=True)
    low = job.dtype != "float32"

    def step() -> Any:
        optimiser.zero_grad()
        with torch.autocast("cpu", getattr(torch, job.dtype)) if low else nullcontext():
            loss = _loss(run(*inputs))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss

    return step


def _loss(result: Any) -> Tensor:
    """Cross-entropy of what looks like logits, the mean square of all else, summed."""
    outputs = [result] if isinstance(result, Tensor) else [y for y in result if y is not None]
    total = torch.zeros(())
    for y in outputs:
        if y.dim() == 2:
            labels = torch.arange(len(y)) % y.shape[1]
            total = total + nn.functional.cross_entropy(y, labels)
        else:
            total = total + y.square().mean()
    return total
