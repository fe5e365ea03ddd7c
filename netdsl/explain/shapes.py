"""N2xx: ranks, sizes and types of tensors."""

from netdsl.explain.code import Code

SHAPES = (
    Code(
        "N201",
        "a tensor of another rank",
        "Layers of images take [N, C, H, W], those with `1d` [N, C, L], those with `3d` [N, C, "
        "D, H, W]; "
        "sequences are [N, T, D]. Some layers must say their axis at other ranks.",
        "net A(x: [N, 3, L]) {\n  return x -> conv(8, 3)\n}\n",
        "net A(x: [N, 3, L]) {\n  return x -> conv1d(8, 3)\n}\n",
    ),
    Code(
        "N202",
        "a tensor that is not of the declared type",
        "What goes into a block and what comes out of a body is compared with the signature; "
        "`forward` "
        "compares its inputs in the same way.",
        "net A(x: [N, 8]; classes = 10) -> [N, classes] {\n  return x -> linear(9)\n}\n",
        "net A(x: [N, 8]; classes = 10) -> [N, classes] {\n  return x -> linear(classes)\n}\n",
    ),
    Code(
        "N203",
        "a size that is not of the declared form",
        "`16*h` in a signature binds `h` and demands a multiple of 16. Sizes are divided by "
        "`/` only where "
        "nothing is left over; `//` rounds down.",
        "block Halve(x: [N, 2*d]) { return x -> linear(d) }\nnet A(x: [N, 9]) {\n"
        "  return x -> Halve\n}\n",
        "block Halve(x: [N, 2*d]) { return x -> linear(d) }\nnet A(x: [N, 10]) {\n"
        "  return x -> Halve\n}\n",
    ),
    Code(
        "N205",
        "a shared layer with two widths",
        "`layer enc = linear(4)` is one instance: every use shares its parameters, so that "
        "every input has "
        "the same number of features.",
        "net A(a: [N, 8], b: [N, 9]) {\n  layer enc = linear(4)\n"
        "  return (a -> enc) + (b -> enc)\n}\n",
        "net A(a: [N, 8], b: [N, 8]) {\n  layer enc = linear(4)\n"
        "  return (a -> enc) + (b -> enc)\n}\n",
    ),
    Code(
        "N206",
        "tensors that cannot be combined",
        "Sizes are equal, or literally 1, or a leading axis is missing; anything else is an "
        "error and never "
        "a partial addition. A skip connection whose block changes the channels needs a "
        "projection.",
        "net A(x: [N, 64, H, W]) {\n  f = x -> conv(256, 3) -> relu\n  return relu(f + x)\n}\n",
        "net A(x: [N, 64, H, W]) {\n  f = x -> conv(256, 3) -> relu\n"
        "  return relu(f + (x -> conv(256, 1)))\n}\n",
    ),
    Code(
        "N207",
        "a window larger than its input",
        "A convolution or pool needs at least one whole window in its padded input.",
        "net A(x: [N, 3, 6, 6]) {\n  return x -> max_pool(7)\n}\n",
        "net A(x: [N, 3, 6, 6]) {\n  return x -> max_pool(6)\n}\n",
    ),
    Code(
        "N208",
        "an even window without its padding",
        "`pad=half` puts (k-1)/2 on both sides, which is no whole number for an even window: "
        "it must say "
        "its padding.",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 4, stride=2)\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 4, stride=2, pad=1)\n}\n",
    ),
    Code(
        "N209",
        "TensorFlow's padding",
        "TensorFlow's `same` pads one side more at stride 2: the same shapes with other "
        "numbers. `half` is "
        "symmetric.",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3, pad=same)\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3, pad=half)\n}\n",
    ),
    Code(
        "N210",
        "a parameter of unknown size",
        "Weights have their sizes when the net is made, so that channels and features are "
        "numbers. Pool an "
        "image of any size before `linear`.",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3) -> flatten -> linear(10)\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3) -> global_avg_pool -> linear(10)\n}\n",
    ),
    Code(
        "N211",
        "channels that do not fit, or a condition that cannot be decided",
        "`groups` divides the channels; conditions are decided when the net is made, so that "
        "they are about "
        "numbers and never about elements of tensors.",
        "net A(x: [N, 8, H, W]) {\n  return x -> conv(8, 3, groups=3)\n}\n",
        "net A(x: [N, 8, H, W]) {\n  return x -> conv(8, 3, groups=4)\n}\n",
    ),
    Code(
        "N212",
        "tensors that cannot be joined",
        "`concat` joins tensors that agree on every other axis. Where a size is halved and "
        "doubled again, a "
        "multiple in the signature makes the halving exact.",
        "net A(x: [N, 3, H, W]) {\n  d = x -> max_pool(2) -> up_conv(3, 2, stride=2)\n"
        "  return concat(x, d)\n}\n",
        "net A(x: [N, 3, 2*h, 2*w]) {\n  d = x -> max_pool(2) -> up_conv(3, 2, stride=2)\n"
        "  return concat(x, d)\n}\n",
    ),
    Code(
        "N213",
        "a tensor of another dtype",
        "Inputs are float unless the signature says `int[…]` or `bool[…]`; layers with weights "
        "take floats.",
        "net A(x: int[N, 8]) {\n  return x -> exp\n}\n",
        "net A(x: [N, 8]) {\n  return x -> exp\n}\n",
    ),
)
