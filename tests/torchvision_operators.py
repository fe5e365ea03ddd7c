"""torchvision's own operators, declared where its compiled part does not load (its CUDA build
beside the CPU build of torch): importing the package asks for them, the nets never call them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

LIBRARY = torch.library.Library("torchvision", "FRAGMENT")


def declare_operators() -> None:
    spec = find_spec("torchvision")
    assert spec is not None and spec.origin is not None, "pip install '.[test]'"
    try:
        torch.ops.load_library(Path(spec.origin).with_name("_C.so"))
    except OSError:
        for name in ("nms", "qnms"):
            LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


declare_operators()
