"""The net as a function of JAX: the core ATen program of torch.export, op by op in lax.

A row an op, with the arguments of its schema, of those that convolutional nets are made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import torch
from jax import lax

from netdsl.bench.job import Job
from netdsl.bench.torch_calls import ours, tensors_of

Array: TypeAlias = Any  # jax.Array, where jax is installed
Ints: TypeAlias = Sequence[int]


def function_of(job: Job) -> tuple[Callable[..., Any], dict[str, Array]]:
    """A function of the numbers by name and the inputs, and the numbers."""
    program = torch.export.export(ours(job, "reference"), tuple(tensors_of(job)))
    program = program.run_decompositions()
    said = program.graph_signature
    keys = {
        **said.inputs_to_parameters,
        **said.inputs_to_buffers,
        **said.inputs_to_lifted_tensor_constants,
    }
    tensors = {**program.state_dict, **program.constants}
    state = {key: jnp.asarray(tensors[key].detach().numpy()) for key in keys.values()}

    def call(numbers: Mapping[str, Array], *inputs: Array) -> Any:
        values: dict[str, Any] = {}
        given = iter(inputs)
        for node in program.graph.nodes:
            if node.op == "placeholder":
                values[node.name] = numbers[keys[node.name]] if node.name in keys else next(given)
            elif node.op == "call_function":
                arguments = torch.fx.node.map_arg(
                    (node.args, node.kwargs), lambda n: values[n.name]
                )
                values[node.name] = _rule(node.target)(*arguments[0], **arguments[1])
            else:
                return [values[n.name] for n in node.args[0]]
        raise AssertionError("a graph has an output")

    return call, state


def _rule(target: Any) -> Callable[..., Any]:
    name = str(target).removeprefix("aten.")
    if name not in RULES:
        raise NotImplementedError(f"no rule for {target}")
    return RULES[name]


def _convolution(
    x: Array,
    w: Array,
    b: Array,
    stride: Ints,
    pad: Ints,
    dilation: Ints,
    transposed: bool,
    output_pad: Ints,
    groups: int,
) -> Array:
    if transposed:
        raise NotImplementedError("no rule for transposed convolutions")
    y = lax.conv_general_dilated(
        x,
        w,
        stride,
        [(p, p) for p in pad],
        rhs_dilation=dilation,
        feature_group_count=groups,
    )
    return y if b is None else y + b.reshape(1, -1, *[1] * len(stride))


def _batch_norm(
    x: Array, w: Array, b: Array, mean: Array, var: Array, momentum: float, eps: float
) -> tuple[Array]:
    scale = w * lax.rsqrt(var + eps)
    along = (1, -1, *[1] * (x.ndim - 2))
    return (x * scale.reshape(along) + (b - mean * scale).reshape(along),)


def _max_pool(
    x: Array,
    k: Ints,
    stride: Ints = (),
    pad: Ints = (0, 0),
    dilation: Ints = (1, 1),
    ceil: bool = False,
) -> tuple[Array]:
    stride = stride or k
    over = [_over(*sizes, ceil) for sizes in zip(x.shape[2:], k, stride, pad, strict=True)]
    pads = [(0, 0), (0, 0), *((p, p + more) for p, more in zip(pad, over, strict=True))]
    window, steps, holes = (1, 1, *k), (1, 1, *stride), (1, 1, *dilation)
    return (lax.reduce_window(x, -jnp.inf, lax.max, window, steps, pads, window_dilation=holes),)


def _over(size: int, k: int, stride: int, pad: int, ceil: bool) -> int:
    """What the last window of a pool with ceil has beyond the padding."""
    rest = (size + 2 * pad - k) % stride
    return stride - rest if ceil and rest else 0


def _avg_pool(
    x: Array, k: Ints, stride: Ints = (), pad: Ints = (0, 0), ceil: bool = False, count: bool = True
) -> Array:
    if ceil or (not count and any(pad)):
        raise NotImplementedError("no rule for average pools that count otherwise")
    pads = [(0, 0), (0, 0), *((p, p) for p in pad)]
    summed = lax.reduce_window(x, 0.0, lax.add, (1, 1, *k), (1, 1, *(stride or k)), pads)
    return summed / math.prod(k)


def _adaptive_avg_pool(x: Array, size: Ints) -> Array:
    n, c, h, w = x.shape
    if h % size[0] or w % size[1]:
        raise NotImplementedError("no rule for adaptive pools of unequal windows")
    return x.reshape(n, c, size[0], h // size[0], size[1], w // size[1]).mean((3, 5))


def _pad(x: Array, pad: Ints, value: float = 0.0) -> Array:
    ends = [(pad[i], pad[i + 1], 0) for i in range(0, len(pad), 2)][::-1]
    return lax.pad(x, jnp.asarray(value, x.dtype), [(0, 0, 0)] * (x.ndim - len(ends)) + ends)


def _slice(x: Array, axis: int = 0, start: int = 0, end: int = 2**63 - 1, step: int = 1) -> Array:
    return lax.slice_in_dim(x, start, min(end, x.shape[axis]), step, axis)


RULES: Mapping[str, Callable[..., Any]] = {
    "convolution.default": _convolution,
    "_native_batch_norm_legit_no_training.default": _batch_norm,
    "max_pool2d_with_indices.default": _max_pool,
    "avg_pool2d.default": _avg_pool,
    "_adaptive_avg_pool2d.default": _adaptive_avg_pool,
    "mean.dim": lambda x, axes, keep=False: x.mean(tuple(axes), keepdims=keep),
    "constant_pad_nd.default": _pad,
    "slice.Tensor": _slice,
    "view.default": lambda x, shape: x.reshape(shape),
    "permute.default": lambda x, axes: x.transpose(axes),
    "cat.default": lambda xs, axis=0: jnp.concatenate(xs, axis),
    "clone.default": lambda x, memory_format=None: x,
    "addmm.default": lambda b, x, w: x @ w + b,
    "mm.default": lambda x, w: x @ w,
    "add.Tensor": lambda x, y: x + y,
    "sub.Tensor": lambda x, y: x - y,
    "mul.Tensor": lambda x, y: x * y,
    "div.Tensor": lambda x, y: x / y,
    "relu.default": jax.nn.relu,
    "tanh.default": jnp.tanh,
    "sigmoid.default": jax.nn.sigmoid,
    "_softmax.default": lambda x, axis, half: jax.nn.softmax(x, axis),
    "<built-in function getitem>": lambda xs, i: xs[i],
}
