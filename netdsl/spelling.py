"""What was meant: names of PyTorch, Keras and TensorFlow, and names that are nearly right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netdsl.errors import Edit, Span

LAYERS = {
    "Conv1d": "conv1d",
    "Conv2d": "conv",
    "Conv3d": "conv3d",
    "Conv1D": "conv1d",
    "Conv2D": "conv",
    "Conv3D": "conv3d",
    "conv2d": "conv",
    "convolution": "conv",
    "Convolution2D": "conv",
    "Conv": "conv",
    "ConvTranspose1d": "up_conv1d",
    "ConvTranspose2d": "up_conv",
    "ConvTranspose3d": "up_conv3d",
    "conv_transpose2d": "up_conv",
    "ConvTranspose": "up_conv",
    "deconv": "up_conv",
    "Conv2DTranspose": "up_conv",
    "Linear": "linear",
    "Dense": "linear",
    "dense": "linear",
    "fc": "linear",
    "FC": "linear",
    "affine": "linear",
    "fully_connected": "linear",
    "LazyLinear": "linear",
    "LazyConv2d": "conv",
    "BatchNorm1d": "bn1d",
    "BatchNorm2d": "bn",
    "BatchNorm3d": "bn3d",
    "BatchNormalization": "bn",
    "BatchNorm": "bn",
    "SyncBatchNorm": "bn",
    "LazyBatchNorm2d": "bn",
    "batch_norm": "bn",
    "batchnorm": "bn",
    "LayerNorm": "ln",
    "LayerNormalization": "ln",
    "layer_norm": "ln",
    "GroupNorm": "gn",
    "GroupNormalization": "gn",
    "group_norm": "gn",
    "InstanceNorm2d": "instance_norm",
    "LocalResponseNorm": "lrn",
    "local_response_norm": "lrn",
    "local_response_normalization": "lrn",
    "MaxPool2d": "max_pool",
    "MaxPool1d": "max_pool1d",
    "MaxPool3d": "max_pool3d",
    "MaxPool2D": "max_pool",
    "MaxPooling1D": "max_pool1d",
    "MaxPooling2D": "max_pool",
    "MaxPooling3D": "max_pool3d",
    "max_pool2d": "max_pool",
    "maxpool": "max_pool",
    "AvgPool1d": "avg_pool1d",
    "AvgPool3d": "avg_pool3d",
    "AvgPool2d": "avg_pool",
    "AveragePooling1D": "avg_pool1d",
    "AveragePooling2D": "avg_pool",
    "avg_pool2d": "avg_pool",
    "avgpool": "avg_pool",
    "mean_pool": "avg_pool",
    "AdaptiveAvgPool2d": "adaptive_avg_pool",
    "AdaptiveMaxPool2d": "adaptive_max_pool",
    "AdaptiveAvgPool1d": "adaptive_avg_pool1d",
    "AdaptiveMaxPool1d": "adaptive_max_pool1d",
    "AdaptiveAvgPool3d": "adaptive_avg_pool3d",
    "AdaptiveMaxPool3d": "adaptive_max_pool3d",
    "adaptive_avg_pool2d": "adaptive_avg_pool",
    "adaptive_max_pool2d": "adaptive_max_pool",
    "GlobalAvgPool2D": "global_avg_pool",
    "GlobalMaxPool2D": "global_max_pool",
    "GlobalAveragePooling2D": "global_avg_pool",
    "GlobalMaxPooling2D": "global_max_pool",
    "ReLU": "relu",
    "Relu": "relu",
    "ReLU6": "relu6",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
    "ELU": "elu",
    "GELU": "gelu",
    "SiLU": "silu",
    "swish": "silu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Softplus": "softplus",
    "Hardswish": "hardswish",
    "hard_swish": "hardswish",
    "HardSwish": "hardswish",
    "Hardsigmoid": "hardsigmoid",
    "hard_sigmoid": "hardsigmoid",
    "Hardtanh": "hardtanh",
    "hard_tanh": "hardtanh",
    "LeakyRelu": "leaky_relu",
    "lrelu": "leaky_relu",
    "PRelu": "prelu",
    "Swish": "silu",
    "logsoftmax": "log_softmax",
    "LogSoftmax": "log_softmax",
    "Dropout": "dropout",
    "Dropout1d": "dropout1d",
    "Dropout2d": "dropout2d",
    "Dropout3d": "dropout3d",
    "SpatialDropout2D": "dropout2d",
    "Flatten": "flatten",
    "ravel": "flatten",
    "Embedding": "embedding",
    "Embed": "embedding",
    "OneHot": "one_hot",
    "onehot": "one_hot",
    "SimpleRNN": "rnn",
    "MultiheadAttention": "attend",
    "MultiHeadAttention": "attend",
    "scaled_dot_product_attention": "attend",
    "attention": "attend",
    "LSTM": "lstm",
    "GRU": "gru",
    "RNN": "rnn",
    "cat": "concat",
    "concatenate": "concat",
    "Concatenate": "concat",
    "Concat": "concat",
    "Add": "add",
    "Multiply": "mul",
    "multiply": "mul",
    "Average": "average",
    "bmm": "matmul",
    "mm": "matmul",
    "einsum": "matmul",
    "chunk": "split",
    "squeeze": "reshape",
    "unsqueeze": "reshape",
    "expand_dims": "reshape",
    "Upsample": "resize",
    "UpSampling2D": "resize",
    "interpolate": "resize",
    "Identity": "identity",
    "Permute": "transpose",
    "permute": "transpose",
    "Reshape": "reshape",
    "view": "reshape",
    "clip": "clamp",
    "ZeroPadding2D": "pad",
    "ZeroPad2d": "pad",
    "ReflectionPad1d": "pad1d",
    "ReflectionPad2d": "pad",
    "ReflectionPad3d": "pad3d",
    "ReplicationPad1d": "pad1d",
    "ReplicationPad2d": "pad",
    "ReplicationPad3d": "pad3d",
    "CircularPad2d": "pad",
    "reduce_mean": "mean",
    "reduce_sum": "sum",
    "reduce_max": "max",
}

HYPERS = {
    "kernel_size": "k",
    "pool_size": "k",
    "kernel": "k",
    "out_channels": "c",
    "filters": "c",
    "channels": "c",
    "out_features": "d",
    "units": "d",
    "strides": "stride",
    "padding": "pad",
    "dilation_rate": "dilation",
    "use_bias": "bias",
    "rate": "p",
    "ceil_mode": "ceil",
    "count_include_pad": "count_pad",
    "padding_mode": "mode",
    "dim": "axis",
    "keepdim": "keep",
    "epsilon": "eps",
    "hidden_size": "hidden",
    "num_layers": "layers",
    "bidirectional": "both",
    "negative_slope": "slope",
    "kernel_initializer": "init",
    "output_size": "size",
    "start_dim": "from",
    "nonlinearity": "act",
    "num_groups": "groups",
}

# what stands in front of a layer's name elsewhere: `nn.Conv2d`, `tf.keras.layers.Dense`
MODULES = {
    *("nn", "F", "torch", "functional", "tf", "keras", "layers", "jax", "jnp", "lax", "flax"),
    *("linen", "eqx", "hk", "np", "mx", "self"),
}

# what other libraries want to be told, and why it is not said here
UNNEEDED = {
    "in_channels": "the input's channels are known",
    "in_features": "the input's features are known",
    "input_size": "the input's features are known",
    "num_features": "the input's channels are known",
    "normalized_shape": "the axes are those of one example: `axes=` changes them",
    "input_shape": "the signature of the net says it: `x: [N, 3, 224, 224]`",
    "input_dim": "the signature of the net says it",
    "batch_first": "sequences are [N, T, D] here, always",
    "data_format": "images are [N, C, H, W] here, always",
    "inplace": "memory is planned by the compiler",
    "training": "train and eval are the module's: `model.train()`, `model.eval()`",
    "is_training": "train and eval are the module's: `model.train()`, `model.eval()`",
    "use_running_average": "train and eval are the module's: `model.train()`, `model.eval()`",
    "deterministic": "train and eval are the module's: `model.train()`, `model.eval()`",
    "device": "a net runs where its module is: `model.to(device)`",
    "dtype": "the module's dtype counts: `model.to(dtype)`",
    "return_sequences": "a recurrent layer gives every step; `h[T]` is the last",
    "align_corners": "`mode=` says how",
}

WORDS = {"True": "true", "False": "false", "None": "none"}


def layer_spelling(name: str) -> str | None:
    """The layer that other libraries call so."""
    return LAYERS.get(name)


def hyper_spelling(name: str) -> str | None:
    """The hyper-parameter that other libraries call so."""
    return HYPERS.get(name)


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is nearly the same, if one is."""
    from difflib import get_close_matches  # needed for errors only

    names = {other.lower(): other for other in reversed(list(known)) if other != name}
    cutoff = 0.7 if len(name) > 4 else 0.65  # one slip is much of a short name
    found = get_close_matches(name.lower(), names, n=1, cutoff=cutoff)
    return names[found[0]] if found else None


def did_you_mean(span: Span, known: Iterable[str], name: str = "") -> dict[str, Any]:
    """The help and the edit for a name that is nearly right, as arguments of `Problem`; `name` is
    what stands at `span`, where that is not the name alone."""
    close = closest(name or span.text, known)
    if close is None:
        return {}
    return {"helps": (f"did you mean `{close}`?",), "edits": (Edit(span, close),)}
