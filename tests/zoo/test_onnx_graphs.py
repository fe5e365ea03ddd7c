"""Graphs of the package onnx, with our numbers in them, run by ONNX Runtime: our logits.

pip install onnx onnxruntime; without them these tests are skipped.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity import images, scatter
from tolerances import NET, assert_close
from torch import Tensor

import netdsl

pytestmark = pytest.mark.onnx

# the graph, our net, the pixels of an image: 224 is the graphs' own
GRAPHS = [
    ("bvlc_alexnet", "alexnet2012", {}, 227),  # one padded row less in the last pool, as the paper
    ("inception_v1", "googlenet2014", {"aux": False, "ceil": False}, 224),
    ("vgg19", "vgg", {"depth": 19}, 224),
    ("resnet50", "resnet", {"depth": 50}, 224),
]


@pytest.mark.parametrize(("name", "target", "hyper", "size"), GRAPHS)
def test_a_graph_of_onnx_with_our_numbers_gives_our_logits(
    name: str, target: str, hyper: dict[str, object], size: int
) -> None:
    onnx, onnxruntime = (pytest.importorskip(package) for package in ("onnx", "onnxruntime"))
    torch.manual_seed(0)
    model = netdsl.load(target, hyper=hyper)
    scatter(model.eval())
    for weight in (p for p in model.parameters() if p.dim() > 1):
        torch.nn.init.kaiming_normal_(weight)  # or little of the image would reach the logits
    numbers = [t.numpy() for key, t in model.state_dict().items() if "batches" not in key]
    graph = refilled(onnx, name, numbers, size)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = images(1, 3, size, size)
    (got,) = session.run(None, {session.get_inputs()[0].name: x.float().numpy()})
    with torch.no_grad():
        ours = logits(model(x.float()))
        exact = logits(model.double()(x))
    assert_close(torch.from_numpy(got), exact, NET, "ONNX Runtime:")
    assert_close(ours, exact, NET, "ours:")


def logits(result: Any) -> Tensor:
    return result if isinstance(result, Tensor) else result.logits


def refilled(onnx: Any, name: str, numbers: list[np.ndarray], size: int) -> Any:
    """The graph up to its logits; its weights, constants there, are our numbers in order."""
    (folder,) = find_spec("onnx").submodule_search_locations
    model = onnx.load(Path(folder, f"backend/test/data/light/light_{name}.onnx"))
    model.ir_version = 4  # from here on a weight need not be an input as well
    graph = model.graph
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    image = next(i.name for i in graph.input if i.name not in constants)
    shapes = {key: list(value.shape) for key, value in constants.items()}
    for node in [n for n in graph.node if n.op_type == "ConstantOfShape"]:
        shapes[node.output[0]] = constants[node.input[0]].tolist()
        graph.node.remove(node)

    reshaped = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Reshape"}
    weighted = [n for n in graph.node if n.op_type in ("Conv", "BatchNormalization", "Gemm")]
    weights = [reshaped.get(key, key) for n in weighted for key in n.input[1:]]
    for key, ours in zip(weights, numbers, strict=True):
        assert int(np.prod(shapes[key])) == ours.size, f"{key} {shapes[key]} is not {ours.shape}"
        constants[key] = ours.reshape(shapes[key])
    used = {key for n in graph.node for key in n.input}
    (softmax,) = (n for n in graph.node if n.op_type == "Softmax")
    for field in (graph.initializer, graph.input, graph.output):
        del field[:]
    for key in used & constants.keys():
        graph.initializer.append(onnx.numpy_helper.from_array(constants[key], key))
    describe = onnx.helper.make_tensor_value_info
    graph.input.append(describe(image, onnx.TensorProto.FLOAT, [1, 3, size, size]))
    graph.output.append(describe(softmax.input[0], onnx.TensorProto.FLOAT, [1, 1000]))
    return model
