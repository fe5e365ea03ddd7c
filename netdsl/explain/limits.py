"""N312, N32x: limits, which keep any text harmless."""

from netdsl.explain.code import Code

LIMITS = (
    Code(
        "N312",
        "blocks in each other without end",
        "A block may use itself, with an end: `if depth == 0 then x else …`. Blocks are nested "
        "at most 64 "
        "deep.",
        "block Level(x) { return x -> relu -> Level }\nnet A(x: [N, 8]) {\n"
        "  return x -> Level\n}\n",
        "block Level(x; depth) {\n"
        "  return if depth == 0 then x else x -> relu -> Level(depth - 1)\n}\n"
        "net A(x: [N, 8]) {\n  return x -> Level(3)\n}\n",
    ),
    Code(
        "N320",
        "a file that is too long",
        "A .net file has at most 256 kB and 100 nets: tables and blocks of a long one go into "
        "files that it imports, at most 256 with 1 MB in all of them.",
        "# a very long comment\n" * 12_000,
        "net A(x: [N, 8]) {\n  return x -> relu\n}\n",
    ),
    Code(
        "N321",
        "an expression that is nested too deep",
        "Brackets, operators and choices in each other are at most 64 deep; a part of it can "
        "have a name.",
        f"let n = {'(' * 64}1{')' * 64}\nnet A(x: [N, 8]) {{\n  return x -> linear(n)\n}}\n",
        "let n = 1\nnet A(x: [N, 8]) {\n  return x -> linear(n)\n}\n",
    ),
    Code(
        "N322",
        "a number or name that is too long",
        "Numbers have at most 18 digits, names at most 128 characters, in labels too, and the path "
        "of an instance at most 1024.",
        "net A(x: [N, 8]) {\n  return x -> linear(1000000000000000000)\n}\n",
        "net A(x: [N, 8]) {\n  return x -> linear(1000)\n}\n",
    ),
    Code(
        "N323",
        "a net that grows too large",
        "A net has at most 100,000 nodes, and three times as many steps of loops, blocks and "
        "lists lead to it; `limit=` of netdsl.parse raises both. What would grow beyond it is "
        "refused before it is made.",
        "net A(x: [N, 8]) {\n  return x -> repeat 1000000000 { relu }\n}\n",
        "net A(x: [N, 8]) {\n  return x -> repeat 10 { relu }\n}\n",
    ),
    Code(
        "N324",
        "a tensor that cannot be",
        "A tensor or parameter has at most 8 axes, 2^31 - 1 places along each, and 2^40 elements; "
        "where sizes are names, what is known of them counts.",
        "net A(x: [N, 2000000000]) {\n  return x -> linear(2000000000)\n}\n",
        "net A(x: [N, 2000]) {\n  return x -> linear(2000)\n}\n",
    ),
)
