"""Texts that would grow without end, and what each is refused with; run as a program, their costs.

`python bombs.py` checks all of them in 1 GB of memory and prints a line of JSON for each.
"""

from __future__ import annotations

import json
import resource
import time
from dataclasses import dataclass

DEPTH = 20_000
ROOM = 250_000  # characters of a file
MEMORY = 1 << 30


@dataclass(frozen=True)
class Bomb:
    """A text, and the code and line of its first error (None: it is legal)."""

    text: str
    code: str | None
    line: int | None = 2


def net(body: str, x: str = "[N, 3, H, W]", before: str = "") -> str:
    return f"{before}net A(x: {x}) {{\n{body}\n}}\n"


def let(value: str) -> str:
    return net(f"let n = {value}\nreturn x")


def nested(before: str, inner: str, after: str = "") -> str:
    """An expression in itself, 20,000 times or as often as a file has room for."""
    depth = min(DEPTH, ROOM // len(before + after))
    return before * depth + inner + after * depth


def chained(operand: str, operator: str) -> str:
    return f" {operator} ".join([operand] * DEPTH)


def doubled(first: str, step: str, last: str, x: str = "[N, 3, H, W]", times: int = 40) -> str:
    """Statements of which each uses the one before twice."""
    steps = "\n".join(step.format(new=i + 1, old=i) for i in range(times))
    return net(f"{first}\n{steps}\n{last}", x)


def blocks(body: str, x: str = "[N]") -> str:
    steps = "".join(f"block B{i + 1}(x) {{ {body.format(old=f'B{i}')} }}\n" for i in range(40))
    return f"block B0(x) {{ return x -> relu }}\n{steps}net A(x: {x}) {{ return x -> B40 }}\n"


def recurrence(body: str, bounds: str = "1..8") -> str:
    return net(f"recur t in {bounds} {{\n{body}\n}}\nreturn h", "[N, 8, 3]")


EQUATION = "h[0]: [N, 3] = 0\nh[t] = h[t-1] + "
IN_ITSELF = {
    "parentheses": let(nested("(", "1", ")")),
    "lists": let(nested("[", "1", "]")),
    "tuples": let(nested("(", "1", ",)")),
    "tables": let(nested("{1: ", "1", "}")),
    "comprehensions": let(nested("[", "1", " for i in a]")),
    "comprehensions over": let(nested("[1 for i in ", "a", "]")),
    "choices in else": let(nested("if true then 1 else ", "1")),
    "choices in then": let(nested("if true then ", "1", " else 1")),
    "choices in if": let(nested("if (", "true", ") then true else true")),
    "minus": let(nested("-", "1")),
    "not": let(nested("not ", "true")),
    "powers": let(chained("2", "^")),
    "powers of minus": let(nested("2^-", "1")),
    **{f"chain of {op}": let(chained("1", op)) for op in ("+", "-", "*", "/", "//", "%", "@")},
    "chain of and": let(chained("true", "and")),
    "chain of or": let(chained("true", "or")),
    "indices": let("a" + "[0]" * DEPTH),
    "indices in indices": let(nested("a[", "0", "]")),
    "fields": net("return x" + ".y" * DEPTH),
    "calls": net("return " + nested("relu(", "x", ")")),
    "keywords": net("return " + nested("conv(c=", "x", ")")),
    "arguments behind a semicolon": net("return " + nested("conv(x; ", "1", ")")),
    "chains": net("return " + nested("(", "x", " -> relu)")),
    "groups": net("return x -> " + nested("(", "relu", ")")),
    "labelled groups": net("return x -> " + nested("(", "relu", ") as a")),
    "repeats": net("return x -> " + nested("repeat 1 { ", "relu", "}")),
    "loops": net("return x -> " + nested("for i in a { ", "relu", "}")),
    "choices of stages": net("return x -> " + nested("(if true then ", "relu", " else relu)")),
    "parts of a label": net(f'return x -> relu as "{{{nested("(", "1", ")")}}}"'),
    "recurrences": net(nested("recur t in 1..2 {", "h[t] = x", "}") + "\nreturn x"),
}
BOMBS = {
    **{name: Bomb(text, "N321") for name, text in IN_ITSELF.items()},
    "sizes": Bomb(net("return x", f"[{nested('(', 'N', ')')}]"), "N321", 1),
    "comparisons": Bomb(let(chained("1", "<")), "N006"),
    "braces in a label": Bomb(net(f'return x -> relu as "{nested("{", "1", "}")}"'), "N322"),
    "a long chain is legal": Bomb(net("return x" + " -> relu" * DEPTH), None),
    # loops
    "repeat 10^9": Bomb(net("return x -> repeat 1000000000 { relu }"), "N323"),
    "repeat 10^18": Bomb(net("return x -> repeat 10^18 { relu }"), "N323"),
    "for 10^9": Bomb(net("return x -> for i in range(10^9) { relu }"), "N323"),
    "comprehension 10^9": Bomb(let("[i for i in range(0, 10^9)]"), "N323"),
    "repeat 10^9 of nothing": Bomb(net("return x -> repeat 10^9 { repeat 0 { relu } }"), "N323"),
    "repeat 10^9 of a choice": Bomb(
        net("return x -> repeat 10^9 { if true then relu else repeat 0 { relu } }"), "N323"
    ),
    "loops in loops": Bomb(
        net("return x -> repeat 900+99 { repeat 900+99 { repeat 999 { relu } } }"), "N323"
    ),
    "comprehensions in comprehensions": Bomb(
        let("[[[i for i in range(999)] for j in range(999)] for k in range(999)]"), "N323"
    ),
    "sums in a comprehension": Bomb(let("[sum(range(99999)) for i in range(99999)]"), "N323"),
    "labels in a loop": Bomb(
        net('return x -> for i in range(99999) { relu as "a{i*i+i*i+i*i+i*i+i*i+i*i}" }'), "N323"
    ),
    "errors in a loop": Bomb(net("return x -> for i in range(99999) { conv(no, no) }"), "N101"),
    # lists, numbers, sizes
    "lists twice in lists": Bomb(
        doubled("let l0 = [1, 2]", "let l{new} = [l{old}, l{old}]", "return x -> conv(l40, 1)"),
        "N323",
        20,
    ),
    "lists compared": Bomb(
        doubled("let l0 = [1, 2]", "let l{new} = [l{old}, l{old}]", "require l40 == l39\nreturn x"),
        "N323",
        20,
    ),
    "lists joined": Bomb(
        doubled("let l0 = [1, 2]", "let l{new} = l{old} + l{old}", "return x"), "N143", 18
    ),
    "lists in lists": Bomb(
        doubled("let l0 = [1]", "let l{new} = [l{old}]", "return x", times=5000), "N321", 66
    ),
    "tower of powers": Bomb(let("2^2^2^2^2^2"), "N143"),
    "long number": Bomb(let("1" * 200_000), "N322"),
    "long name": Bomb(let("a" * 200_000), "N322"),
    "power of a size": Bomb(net("let n = (A + B + C + D + 1)^8\nreturn x", "[A, B, C, D]"), "N143"),
    "squares of a size": Bomb(
        doubled("let a0 = 99*A", "let a{new} = a{old}*a{old}", "return x", "[A]"), "N143", 10
    ),
    "quotients of a size": Bomb(
        doubled("let a0 = A", "let a{new} = (3*a{old}//2 + 5*a{old}//3)//7", "return x", "[A]"),
        "N143",
        8,
    ),
    "axes": Bomb(net("return x", f"[{', '.join(f'N{i}' for i in range(DEPTH))}]"), "N324", 1),
    "a weight of 2^62": Bomb(net("return x -> linear(2147483647)", "[N, 2147483647]"), "N324"),
    "concatenated 200 times": Bomb(
        doubled("y0 = x", "y{new} = concat(y{old}, y{old})", "return y200", times=200), "N324", 32
    ),
    # blocks
    "2^40 nodes": Bomb(blocks("return x -> {old} -> {old}"), "N323", 42),
    "2^40 nodes through let": Bomb(blocks("let f = {old}  return x -> f -> f"), "N323", None),
    "2^40 nodes through layer": Bomb(blocks("layer f = {old}  return x -> f -> f"), "N312", None),
    "2^40 uses of a layer": Bomb(
        doubled("layer l0 = relu", "layer l{new} = (l{old} -> l{old})", "return x -> l40"),
        "N323",
        43,
    ),
    "a layer in itself": Bomb(net("layer f = (f -> f)\nreturn x -> f"), "N312"),
    "recursion that doubles": Bomb(
        "block B(x; n) { return if n == 0 then x else x -> B(n-1) -> B(n-1) }\n"
        + net("return x -> B(50)"),
        "N323",
        None,
    ),
    "recursion without end": Bomb(
        "block B(x) { return x -> B -> B }\n" + net("return x -> B"), "N312", 1
    ),
    "a block that nobody uses": Bomb(
        "block B(x) { return x -> repeat 10^9 { relu } }\n" + net("return x"), "N323", 1
    ),
    "a block of 18,000 parameters": Bomb(
        f"block B(x; {', '.join(f'a{i}=1' for i in range(18_000))}) {{ return x }}\n"
        + net("return x -> repeat 9999 { B }"),
        "N323",
        3,
    ),
    # recurrences
    "10^18 steps": Bomb(recurrence(EQUATION + "x[t]", "1..10^18"), "N305"),
    "a lag of 10^9": Bomb(recurrence("h[0]: [N, 3] = 0\nh[t] = h[t-1000000000]"), "N304", 4),
    "a step from itself": Bomb(recurrence("h[0]: [N, 3] = 0\nh[t] = h[t]"), "N301", 4),
    "a recurrence of 2^40 nodes": Bomb(
        recurrence(EQUATION + "(x[t] -> repeat 10^9 { relu })"), "N323", 4
    ),
    "3,000 equations in a circle": Bomb(
        recurrence(
            "".join(f"h{i}[0]: [N, 3] = 0\nh{i}[t] = h{i - 1}[t-1]\n" for i in range(1, 3000))
            + "h0[0]: [N, 3] = 0\nh0[t] = h2999[t-1]\nh[t] = h0[t]"
        ),
        None,
    ),
    # long files
    "100,000 errors": Bomb(net("y = \n" * 50_000), "N006", 3),
    "50,000 unknown names": Bomb(net("".join(f"y{i} = no{i}\n" for i in range(14_000))), "N101"),
    "one line": Bomb(net("return x" + " -> relu" * 27_000 + " relu").replace("\n", " "), "N003", 1),
    "comments": Bomb(net("# nothing\n" * 25_000 + "return x"), None),
    "one name": Bomb(net("let a = 1\n" * 24_000 + "return x"), "N120", 3),
    "nets": Bomb("net A(x: [N]) { return x }\n" * 9_000, "N320", 101),
    "arguments": Bomb(net(f"return x -> conv({', '.join(['1'] * DEPTH)})"), "N104"),
    "a table": Bomb(let(f"{{{', '.join(f'{i}:1' for i in range(25_000))}}}"), None),
    "imports": Bomb("".join(f"from m{i} import A\n" for i in range(12_000)), "N150", 1),
    "an import of itself": Bomb("from bomb import A\n" + net("return x"), "N151", 1),
}


def main() -> None:
    from netdsl import sources
    from netdsl.errors import NetError
    from netdsl.front import check_sources

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for name, bomb in BOMBS.items():
        sources.parsed.cache_clear()
        start = time.process_time()
        try:
            found = check_sources(sources.given(bomb.text, "bomb.net"))
        except NetError as error:
            found = error.diagnostics
        first = next((d for d in found if d.is_error), None)
        longest = max((len(d.render().encode()) for d in found), default=0)
        line = first.span.line if first and first.span else None
        code = first.code if first else None
        print(json.dumps([name, code, line, longest, time.process_time() - start]), flush=True)


if __name__ == "__main__":
    main()
