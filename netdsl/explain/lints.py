"""N122, W4xx: what works and is probably not meant."""

from netdsl.explain.code import Code

_BACKWARD = """\
net A(x: [N, T, 8]) {{
  recur t in 1..T {{
    b[T+1]: [N, 8] = 0
    b[t] = tanh(concat(x[t], b[t+1]) -> linear(8))
  }}
  return b[{}] -> linear(2)
}}
"""

LINTS = (
    Code(
        "N122",
        "a value that is never used",
        "A name that nothing reads is left over, or what should read it reads something else. "
        "`_` in front "
        "of the name says that it is meant.",
        "net A(x: [N, 8]) {\n  y = x -> relu\n  return x -> tanh\n}\n",
        "net A(x: [N, 8]) {\n  y = x -> relu\n  return y -> tanh\n}\n",
    ),
    Code(
        "W401",
        "a bias right before `bn`",
        "`bn` takes the mean away, and the bias with it: it costs memory and time and learns "
        "nothing.",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3) -> bn -> relu\n}\n",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3, bias=false) -> bn -> relu\n}\n",
    ),
    Code(
        "W402",
        "a net that ends in `softmax`",
        "Losses such as cross entropy take logits and apply the softmax themselves; applied "
        "twice it learns "
        "slowly. Where probabilities are wanted from the net, `log_softmax` or a softmax "
        "outside of it says so.",
        "net A(x: [N, 8]; classes = 10) -> [N, classes] {\n"
        "  return x -> linear(classes) -> softmax\n}\n",
        "net A(x: [N, 8]; classes = 10) -> [N, classes] {\n  return x -> linear(classes)\n}\n",
    ),
    Code(
        "W403",
        "a shared layer that is never used",
        "`layer enc = …` makes no instance before it is used.",
        "net A(x: [N, 8]) {\n  layer enc = linear(8)\n  return x -> linear(8)\n}\n",
        "net A(x: [N, 8]) {\n  layer enc = linear(8)\n  return x -> enc -> enc\n}\n",
    ),
    Code(
        "W404",
        "the last step of a state that runs backward",
        "A state that reads `b[t+1]` starts at the end: `b[T]` has seen one step, `b[1]` all "
        "of them.",
        _BACKWARD.format("T"),
        _BACKWARD.format("1"),
    ),
    Code(
        "W405",
        "a sum that goes into a pipe",
        "`x + y -> f` is `(x + y) -> f`. Where that is meant, parentheses say so.",
        "net A(x: [N, 8], y: [N, 8]) {\n  return x + y -> linear(8) -> relu\n}\n",
        "net A(x: [N, 8], y: [N, 8]) {\n  return x + (y -> linear(8) -> relu)\n}\n",
    ),
)
