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
        "A .net file has at most 256 kB: tables and blocks of a long one go into files that it "
        "imports.",
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
        "Numbers have at most 18 digits, names at most 128 characters.",
        "net A(x: [N, 8]) {\n  return x -> linear(1000000000000000000)\n}\n",
        "net A(x: [N, 8]) {\n  return x -> linear(1000)\n}\n",
    ),
    Code(
        "N323",
        "a net that grows too large",
        "A net has at most 100,000 nodes; `limit=` of netdsl.parse raises that. What would "
        "grow beyond it is "
        "refused before it is made.",
        "net A(x: [N, 8]) {\n  return x -> repeat 1000000000 { relu }\n}\n",
        "net A(x: [N, 8]) {\n  return x -> repeat 10 { relu }\n}\n",
    ),
)
