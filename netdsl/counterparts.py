"""Stages that are what they stand for in torch.nn: `isinstance(model.conv1, nn.Conv2d)`.

Much code goes by the classes of modules: `update_bn`, `convert_sync_batchnorm`, loops that freeze
batch norm, draw weights or group them. An op says which class of torch.nn its stage stands for, and
with which arguments (`Op.counterpart`); torch's own constructor makes the attributes of them, so
that `stride`, `eps` or `in_features` are those the stage computes with. One that is given another
value makes the stage compute by torch's own forward, as long as it differs: the net calls it then,
as it calls a child with a hook. What torch.nn has no class for, and recurrent layers, whose weights
torch.nn holds in lists of its own, are plain namespaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from netdsl.ir import Graph
from netdsl.namespaces import CHANGED, REGION, Branch, Called, Namespace
from netdsl.recur import Recur

GROWN = "#grown"  # the attributes that torch.nn's constructor made


class Stage(Namespace):
    """What the stages have in common; `CHANGED` has the attributes that are not as they were."""

    def __setattr__(self, name: str, value: Any) -> None:
        """As of any module. `qconfig` is refused: torch.ao.quantization would find no module of
        torch's own type to exchange, and change nothing."""
        if name == "qconfig":
            raise RuntimeError(
                "torch.ao.quantization exchanges modules of torch's own types, and this "
                f"{type(self).__name__} is part of a compiled net: put one of torch.nn in its "
                "place, and quantise that"
            )
        super().__setattr__(name, value)
        grown = self.__dict__.get(GROWN, {})
        if name in grown:
            if type(value) is type(grown[name]) and value == grown[name]:
                self.__dict__[CHANGED].pop(name, None)
            else:
                self.__dict__[CHANGED][name] = value

    def reset_parameters(self) -> None:
        """As torch.nn draws them, whatever the text says; nothing of a module without numbers."""
        if not any(p.is_meta for p in self.parameters()):
            super(Namespace, self).reset_parameters()  # type: ignore[misc]

    def forward(self, *tensors: Any) -> Any:
        if self.__dict__[CHANGED] or self.__dict__.get(REGION) is None:
            return super(Namespace, self).forward(*tensors)
        return super().forward(*tensors)


class Conv1d(Stage, nn.Conv1d):
    pass


class Conv2d(Stage, nn.Conv2d):
    pass


class Conv3d(Stage, nn.Conv3d):
    pass


class ConvTranspose1d(Stage, nn.ConvTranspose1d):
    pass


class ConvTranspose2d(Stage, nn.ConvTranspose2d):
    pass


class ConvTranspose3d(Stage, nn.ConvTranspose3d):
    pass


class Linear(Stage, nn.Linear):
    pass


class Embedding(Stage, nn.Embedding):
    pass


class BatchNorm1d(Stage, nn.BatchNorm1d):
    pass


class BatchNorm2d(Stage, nn.BatchNorm2d):
    pass


class BatchNorm3d(Stage, nn.BatchNorm3d):
    pass


class LayerNorm(Stage, nn.LayerNorm):
    pass


class GroupNorm(Stage, nn.GroupNorm):
    pass


class PReLU(Stage, nn.PReLU):
    pass


class Dropout(Stage, nn.Dropout):
    pass


class Dropout1d(Stage, nn.Dropout1d):
    pass


class Dropout2d(Stage, nn.Dropout2d):
    pass


class Dropout3d(Stage, nn.Dropout3d):
    pass


_CLASSES = {cls.__name__: cls for cls in Stage.__subclasses__()}
_WITHOUT_TENSORS = (Dropout, Dropout1d, Dropout2d, Dropout3d)


def stages(graph: Graph) -> dict[str, nn.Module]:
    """A module for every path whose layer has a counterpart in torch.nn, its tensors on the meta
    device; a shared layer has one."""
    found: dict[str, nn.Module] = {}
    pending = [graph]
    while pending:
        part = pending.pop()
        for n, node in part.items:
            if isinstance(node.op, Recur):
                pending.append(node.op.body)
            elif node.op.layer and node.path not in found:
                said = node.op.counterpart(*[v.type for v in part.operands(n)])
                if said is not None:
                    found[node.path] = _stage(*said)
    return found


def check_synced(called: Iterable[Called], grown: Iterable[Branch]) -> None:
    """Refuse a changed batch norm in a net whose statistics are those of all processes: torch's own
    takes the batch of one."""
    paths = {path for path, _ in called}
    for path, *_, child in grown:
        if path in paths and isinstance(child, nn.modules.batchnorm._BatchNorm):
            changed = child.__dict__.get(CHANGED)
            if changed and child.training:
                raise RuntimeError(
                    f"`{', '.join(changed)}` of `{path}` was changed, which `sync_batchnorm()` "
                    "does not allow: write it in the .net file"
                )


def _stage(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    cls = _CLASSES[name]
    where = {} if cls in _WITHOUT_TENSORS else {"device": "meta"}
    stage: nn.Module = cls(**arguments, **where)
    plain = {k: v for k, v in stage.__dict__.items() if not k.startswith("_") and k != "training"}
    stage.__dict__.update({GROWN: plain, CHANGED: {}})
    return stage
