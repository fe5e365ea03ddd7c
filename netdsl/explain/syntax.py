"""N00x: text that is no .net file."""

from netdsl.explain.code import Code

SYNTAX = (
    Code(
        "N001",
        "a character that the language does not have",
        "A .net file is UTF-8; names are ASCII letters, digits and `_`. Arrows, quotes and "
        "signs of other "
        "scripts look alike but are other characters: the help says which one is meant.",
        "net A(x: [N, 8]) {\n  return x → relu\n}\n",
        "net A(x: [N, 8]) {\n  return x -> relu\n}\n",
    ),
    Code(
        "N002",
        "a bracket without its partner",
        "Every `(`, `[` and `{` is closed by its own partner. The message points at the one "
        "that is alone, "
        "and the help at the place where the other one makes the text readable.",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3 -> relu\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3) -> relu\n}\n",
    ),
    Code(
        "N003",
        "a statement that is not complete",
        "A statement gives a value a name, `y = x -> relu`, or says something about the net "
        "with a keyword "
        "in front. It may go on in the next line, behind an arrow for instance.",
        "net A(x: [N, 8]) {\n  y x -> relu\n  return y\n}\n",
        "net A(x: [N, 8]) {\n  y = x -> relu\n  return y\n}\n",
    ),
    Code(
        "N004",
        "a keyword as a name",
        "Keywords cannot be names of values, blocks and nets. They can be labels, "
        "hyper-parameters and "
        "fields: `as in`, `f(from=1)`.",
        "net A(x: [N, 8]) {\n  let in = 3\n  return x -> linear(in)\n}\n",
        "net A(x: [N, 8]) {\n  let width = 3\n  return x -> linear(width)\n}\n",
    ),
    Code(
        "N005",
        "something is missing between two words",
        "One more token makes the text readable: a comma between arguments, an arrow between "
        "stages, the "
        "`in` of a loop.",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8 3)\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3)\n}\n",
    ),
    Code(
        "N006",
        "something that cannot stand here",
        "The text cannot go on like this. Where it is Python, PyTorch or Keras, the help says "
        "how the "
        "language writes it.",
        "net A(x: [N, 3, H, W]) {\n  return F.relu(x)\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return relu(x)\n}\n",
    ),
    Code(
        "N007",
        "another edition of the language",
        "`netdsl 1` pins the defaults (eps, initial values) that a file was written for. A "
        "newer edition "
        "needs a newer netdsl.",
        "netdsl 2\nnet A(x: [N, 8]) { return x -> relu }\n",
        "netdsl 1\nnet A(x: [N, 8]) { return x -> relu }\n",
    ),
)
