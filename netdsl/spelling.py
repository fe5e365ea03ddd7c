"""What was meant: names of PyTorch, Keras and TensorFlow, and names that are nearly right."""

from __future__ import annotations

from collections.abc import Iterable

LAYERS = {
    "Conv1d": "conv1d",
    "Conv2d": "conv",
    "Conv3d": "conv3d",
    "Conv1D": "conv1d",
    "Conv2D": "conv",
    "Conv3D": "conv3d",
    "conv2d": "conv",
    "ConvTranspose2d": "up_conv",
    "Conv2DTranspose": "up_conv",
    "Linear": "linear",
    "Dense": "linear",
    "dense": "linear",
    "fc": "linear",
    "BatchNorm1d": "bn1d",
    "BatchNorm2d": "bn",
    "BatchNorm3d": "bn3d",
    "BatchNormalization": "bn",
    "batch_norm": "bn",
    "batchnorm": "bn",
    "LayerNorm": "ln",
    "LayerNormalization": "ln",
    "layer_norm": "ln",
    "GroupNorm": "gn",
    "LocalResponseNorm": "lrn",
    "MaxPool2d": "max_pool",
    "MaxPooling2D": "max_pool",
    "maxpool": "max_pool",
    "AvgPool2d": "avg_pool",
    "AveragePooling2D": "avg_pool",
    "avgpool": "avg_pool",
    "AdaptiveAvgPool2d": "adaptive_avg_pool",
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
    "LogSoftmax": "log_softmax",
    "Dropout": "dropout",
    "Dropout2d": "dropout2d",
    "Flatten": "flatten",
    "Embedding": "embedding",
    "LSTM": "lstm",
    "GRU": "gru",
    "RNN": "rnn",
    "cat": "concat",
    "Concatenate": "concat",
    "Upsample": "resize",
    "UpSampling2D": "resize",
    "interpolate": "resize",
    "Identity": "identity",
    "permute": "transpose",
    "view": "reshape",
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

    found = get_close_matches(name, list(known), n=1, cutoff=0.7)
    return found[0] if found else None
