"""What goes by the classes of modules and by their attributes."""

from __future__ import annotations

import copy
import io
import pickle

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.optim.swa_utils import update_bn

from contract.behaviour import behaviour, gradients, holders, loss, numbers

RESIDUAL = ("resnet18",)
KINDS = (nn.Conv2d, nn.Linear, _BatchNorm, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def norms(model):
    return [m for m in model.modules() if isinstance(m, _BatchNorm)]


def step(model, x):
    y = model(x)
    loss(y).backward()
    return y, gradients(model), numbers(model)


@behaviour()
def the_classes_of_modules(model, x):
    return [[isinstance(m, kind) for kind in KINDS] for m in holders(model)]


@behaviour()
def the_attributes_of_modules(model, x):
    return [
        {k: v for k, v in vars(m).items() if k[0] not in "_#"} | {"repr": repr(m)}
        for m in holders(model)
    ]


@behaviour(nets=RESIDUAL)
def running_statistics_estimated_by_update_bn(model, x):
    update_bn([x, (x + 1, None), 2 * x], model.eval())
    return numbers(model), model(x), [m.momentum for m in norms(model)]


@behaviour()
def weights_drawn_by_class(model, x):
    torch.manual_seed(0)
    model.to(memory_format=torch.contiguous_format)  # torch draws in the order of memory
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, std=0.01)
            if m.bias is not None:
                nn.init.zeros_(m.bias)
    return model(x), list(numbers(model))


@behaviour()
def weights_drawn_again_by_reset_parameters(model, x):
    torch.manual_seed(0)
    model.to(memory_format=torch.contiguous_format)
    for m in holders(model):
        m.reset_parameters()
    return model(x), list(numbers(model))


@behaviour(nets=RESIDUAL)
def batch_norm_frozen_by_class(model, x):
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.eval()
            m.weight.requires_grad_(False)
    return step(model, x)


@behaviour()
def weight_decay_by_class(model, x):
    plain = [p for m in holders(model) if not isinstance(m, nn.Conv2d) for p in m.parameters()]
    rest = [p for m in holders(model) if isinstance(m, nn.Conv2d) for p in m.parameters()]
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.5}]
    optimiser = torch.optim.SGD(groups, lr=0.1)
    loss(model(x)).backward()
    optimiser.step()
    return numbers(model)


@behaviour(nets=RESIDUAL)
def momentum_changed(model, x):
    for m in norms(model):
        m.momentum = 0.5
    model(x)
    norms(model)[0].momentum = None
    return step(model, x)


@behaviour(nets=RESIDUAL)
def momentum_changed_and_restored(model, x):
    norms(model)[1].momentum = 0.5
    model(x)
    norms(model)[1].momentum = 0.1
    return step(model, x)


@behaviour(nets=("resnet18", "groups"))
def eps_changed_everywhere(model, x):
    for m in holders(model):
        if hasattr(m, "eps"):
            m.eps = 0.5
    return step(model, x), model.eval()(x)


@behaviour(nets=RESIDUAL)
def blocks_by_their_numbers(model, x):
    return [
        model.layer1[1].conv2.weight,
        model.layer4[-1].bn1.running_var,
        [len(list(block.parameters())) for block in model.layer2],
        model.fc.weight,
    ]


@behaviour(nets=RESIDUAL)
def stride_changed_in_the_last_stage(model, x):
    model.layer4[0].conv1.stride = (1, 1)
    model.layer4[0].downsample[0].stride = (1, 1)
    return step(model, x)


@behaviour(nets=RESIDUAL)
def dilation_changed_in_a_copy_and_a_pickle(model, x):
    model.conv1.dilation = (2, 2)
    copied, again = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return [m(x) for m in (copied, again, torch.load(file, weights_only=False))]


@behaviour(nets=RESIDUAL)
def converted_to_torchs_synchronised_batch_norm(model, x):
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model).eval()
    return model(x), [type(m).__name__ for m in norms(model)]


@behaviour(nets=RESIDUAL)
def convolution_and_norm_fused_by_torch(model, x):
    model.eval()
    model.conv1 = fuse_conv_bn_eval(model.conv1, model.bn1)
    model.bn1 = nn.Identity()
    return model(x), sorted(numbers(model))


@behaviour()
def a_part_called_on_its_own(model, x):
    return model.conv1(x), holders(model)[-1].weight
