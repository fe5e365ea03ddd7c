"""N1xx: names, arguments, outputs, values of compile time, imports."""

from netdsl.errors import Problem
from netdsl.explain.code import Code
from netdsl.ir import Graph
from netdsl.supplied import Supplied, missing


def _nothing_supplied(graph: Graph) -> Problem:
    return missing(next(n.op for _, n in graph.items if isinstance(n.op, Supplied)))


NAMES = (
    Code(
        "N101",
        "a name that stands for nothing",
        "No layer, block, value or word has this name here. Names that PyTorch, Keras, "
        "TensorFlow and JAX "
        "use are known and answered with the one of the language.",
        "net A(x: [N, 3, H, W]) {\n  return x -> Conv2d(8, 3)\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3)\n}\n",
    ),
    Code(
        "N103",
        "a hyper-parameter that the layer does not have",
        "Hyper-parameters keep one spelling everywhere: `k stride pad dilation groups bias eps "
        "p axis`. The "
        "note shows the signature.",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, kernel_size=3)\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, k=3)\n}\n",
    ),
    Code(
        "N104",
        "an argument too many, or given twice",
        "Positional arguments fill the hyper-parameters in the order of the signature; each is "
        "given once, "
        "by its place or by its name.",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3, k=5)\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 5)\n}\n",
    ),
    Code(
        "N105",
        "a hyper-parameter is missing",
        "A hyper-parameter without a default must be given. The help proposes what is usual, "
        "which is a "
        "guess.",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8)\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3)\n}\n",
    ),
    Code(
        "N106",
        "a value that the hyper-parameter cannot have",
        "Every hyper-parameter has a kind and a range: a whole number from 1, a probability, "
        "true or false, "
        "one of a few words.",
        "net A(x: [N, 8]) {\n  return x -> dropout(p=2)\n}\n",
        "net A(x: [N, 8]) {\n  return x -> dropout(p=0.2)\n}\n",
    ),
    Code(
        "N110",
        "the wrong number of tensors",
        "A layer takes the tensors of its signature. The pipe brings the first of them, positional "
        "arguments the others.",
        "net A(x: [N, 8]) {\n  return x -> relu(x)\n}\n",
        "net A(x: [N, 8]) {\n  return x -> relu\n}\n",
    ),
    Code(
        "N111",
        "a layer where a tensor is wanted",
        "A layer is no tensor before it is applied: `x -> relu` or `relu(x)`.",
        "net A(x: [N, 8]) {\n  return relu + x\n}\n",
        "net A(x: [N, 8]) {\n  return (x -> relu) + x\n}\n",
    ),
    Code(
        "N112",
        "a value of another sort",
        "Tensors get their names by `=`, values of compile time (numbers, lists, layers) by "
        "`let`. A pipe "
        "goes into layers; what a body returns is a tensor.",
        "net A(x: [N, 8], y: [N, 8]) {\n  return x -> y\n}\n",
        "net A(x: [N, 8], y: [N, 8]) {\n  return x + y\n}\n",
    ),
    Code(
        "N113",
        "something that is no tensor where one is wanted",
        "Without a pipe the arguments before the `;` are tensors, those behind it "
        "hyper-parameters.",
        "net A(x: [N, 3, H, W]) {\n  return conv(x, 8, 3)\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return conv(x; 8, 3)\n}\n",
    ),
    Code(
        "N114",
        "more or fewer names than results",
        "`a, b = …` unpacks a layer or block with two results. `_` takes a result that is not "
        "needed.",
        "net A(x: [N, 8]) {\n  a, b = x -> relu\n  return a\n}\n",
        "net A(x: [N, 8]) {\n  a = x -> relu\n  return a\n}\n",
    ),
    Code(
        "N115",
        "an output that does not exist",
        "`v.c` is the output `c` of a block or layer with several results; a pipe carries the "
        "first one.",
        "block Two(x: [N, 8]) -> (a: [N, 8], b: [N, 8]) {\n  a = x -> relu\n  b = x -> tanh\n}\n"
        "net A(x: [N, 8]) {\n  v = x -> Two\n  return v.c\n}\n",
        "block Two(x: [N, 8]) -> (a: [N, 8], b: [N, 8]) {\n  a = x -> relu\n  b = x -> tanh\n}\n"
        "net A(x: [N, 8]) {\n  v = x -> Two\n  return v.b\n}\n",
    ),
    Code(
        "N116",
        "an op that Python has not supplied",
        "`extern` declares an op that comes with the program, `netdsl.load(…, ops={name: f})`: "
        "checking and showing work without it, running does not.",
        "extern swish(x: [N, D]) -> [N, D]\nnet A(x: [N, 8]) {\n  return x -> swish\n}\n",
        "net A(x: [N, 8]) {\n  return x -> silu\n}\n",
        runs=_nothing_supplied,
    ),
    Code(
        "N120",
        "a name that is given twice",
        "A name keeps its value for good, so that a reader need not look for the last change. "
        "A new value "
        "gets a new name.",
        "net A(x: [N, 8]) {\n  y = x -> relu\n  y = y -> tanh\n  return y\n}\n",
        "net A(x: [N, 8]) {\n  y = x -> relu\n  z = y -> tanh\n  return z\n}\n",
    ),
    Code(
        "N121",
        "two instances with one name",
        "The names of instances become the keys of the state_dict, so that each must have its "
        "own. Labels "
        "give names: `as fc`.",
        "net A(x: [N, 8]) {\n  return x -> linear(8) as fc -> linear(8) as fc\n}\n",
        "net A(x: [N, 8]) {\n  return x -> linear(8) as fc1 -> linear(8) as fc2\n}\n",
    ),
    Code(
        "N123",
        "a label that cannot be a name",
        "A label is made of letters, digits and `_`, with dots between such parts; `{expr}` in "
        "it is "
        "replaced by a value.",
        'net A(x: [N, 8]) {\n  return x -> linear(8) as "fc-1"\n}\n',
        'net A(x: [N, 8]) {\n  return x -> linear(8) as "fc_1"\n}\n',
    ),
    Code(
        "N130",
        "a body that returns nothing",
        "A body without named outputs ends in `return …`.",
        "net A(x: [N, 8]) {\n  y = x -> relu\n}\n",
        "net A(x: [N, 8]) {\n  return x -> relu\n}\n",
    ),
    Code(
        "N131",
        "a named output that the body does not give",
        "A signature with named outputs, `-> (a: […], b: […])`, has a body that assigns each "
        "of them and "
        "returns nothing.",
        "net A(x: [N, 8]) -> (logits: [N, 8]) {\n  logit = x -> linear(8)\n}\n",
        "net A(x: [N, 8]) -> (logits: [N, 8]) {\n  logits = x -> linear(8)\n}\n",
    ),
    Code(
        "N133",
        "no such net in the file",
        "`my.net:Name` picks a net of a file with several. Without a name the file must have "
        "one net that "
        "is no alias.",
        "net Encoder(x: [N, 8]) {\n  return x -> relu\n}\n",
        "net Encoder(x: [N, 8]) {\n  return x -> relu\n}\n",
        net="Encodr",
    ),
    Code(
        "N140",
        "a requirement that does not hold",
        '`require condition, "text"` is checked when the net is made; the text is the author\'s.',
        'net A(x: [N, 8]; depth = 21) {\n  require depth % 6 == 2, "the depth is 6n+2"\n'
        "  return x\n}\n",
        'net A(x: [N, 8]; depth = 20) {\n  require depth % 6 == 2, "the depth is 6n+2"\n'
        "  return x\n}\n",
    ),
    Code(
        "N141",
        "an entry that the table does not have",
        "`table[key]` takes a key that stands in `{ key: value, … }`.",
        "let widths = { 18: 64, 50: 256 }\nnet A(x: [N, 8]; depth = 51) {\n"
        "  return x -> linear(widths[depth])\n}\n",
        "let widths = { 18: 64, 50: 256 }\nnet A(x: [N, 8]; depth = 50) {\n"
        "  return x -> linear(widths[depth])\n}\n",
    ),
    Code(
        "N142",
        "an element that the list does not have",
        "The elements of a list are counted from 0; negative numbers count from its end.",
        "let widths = [64, 128]\nnet A(x: [N, 8]) {\n  return x -> linear(widths[2])\n}\n",
        "let widths = [64, 128]\nnet A(x: [N, 8]) {\n  return x -> linear(widths[1])\n}\n",
    ),
    Code(
        "N143",
        "an operation on values that do not allow it",
        "Values of compile time are numbers, sizes, lists, tables, texts, true and false; "
        "arithmetic is of "
        "numbers and sizes, loops run over lists.",
        "net A(x: [N, 8]) {\n  return x -> for i in 3 { linear(8) }\n}\n",
        "net A(x: [N, 8]) {\n  return x -> for i in range(3) { linear(8) }\n}\n",
    ),
    Code(
        "N150",
        "a file that is not there",
        "An import is looked for in the folder of the importing file, then among the shipped "
        "models.",
        "from reznet import Bottleneck\nnet A(x: [N, 256, H, W]) {\n"
        "  return x -> Bottleneck(64)\n}\n",
        "from resnet import Bottleneck\nnet A(x: [N, 256, H, W]) {\n"
        "  return x -> Bottleneck(64)\n}\n",
    ),
    Code(
        "N151",
        "files that import each other",
        "Imports have no cycles: what two files need goes into a third one.",
        "from blocks import Unit\nblock Pair(x) { return x -> Unit -> Unit }\n"
        "net A(x: [N, 8]) {\n  return x -> Unit\n}\n",
        "from units import Unit\nnet A(x: [N, 8]) {\n  return x -> Unit -> Unit\n}\n",
        files={
            "blocks.net": "from example import Pair\n"
            "block Unit(x) { return x -> linear(8) -> relu }\n",
            "units.net": "block Unit(x) { return x -> linear(8) -> relu }\n",
        },
    ),
    Code(
        "N152",
        "a name that the file does not have",
        "An import names blocks, nets and `let` values of the other file.",
        "from units import Unit, Pairs\nnet A(x: [N, 8]) {\n  return x -> Unit -> Pairs\n}\n",
        "from units import Unit, Pair\nnet A(x: [N, 8]) {\n  return x -> Unit -> Pair\n}\n",
        files={
            "units.net": "block Unit(x) { return x -> linear(8) -> relu }\n"
            "block Pair(x) { return x -> Unit -> Unit }\n"
        },
    ),
    Code(
        "N153",
        "an import that leads out of the folder",
        "A file imports from its own folder and below, and from the shipped models: never "
        "through a link "
        "to somewhere else, so that a folder is all that a net needs.",
        "from outside import Unit\nnet A(x: [N, 8]) {\n  return x -> Unit\n}\n",
        "from units import Unit\nnet A(x: [N, 8]) {\n  return x -> Unit\n}\n",
        files={
            "units.net": "block Unit(x) { return x -> linear(8) -> relu }\n",
        },
        links=("outside.net",),
    ),
)
