"""A graph as .net text: how it reads, and that it parses back to the identical graph."""

from __future__ import annotations

from textwrap import dedent

import pytest

import netdsl
from netdsl.fmt import format
from netdsl.front import models, nets, parse, parse_text
from netdsl.initial import Init
from netdsl.ir import Builder, Graph, Input, Output
from netdsl.op import Example, Param, Type, layers
from netdsl.sizes import atom
from netdsl.taps import tap
from netdsl.text import to_text


def returns(graph: Graph) -> str:
    """The text of a graph, which parses back to it and is in the one style."""
    text = to_text(graph)
    assert parse_text(text) == graph
    assert format(text) == text
    return text


def graph(text: str, net: str | None = None, **hyper: object) -> Graph:
    return parse_text(dedent(text), hyper, "t.net", net)


def body(text: str) -> list[str]:
    """The statements of a text."""
    return [line.strip() for line in text.splitlines()[2:-1]]


SHIPPED = [
    (name.removesuffix(".net"), net.name)
    for name in models()
    for net in nets(name.removesuffix(".net"))
    if net.complete
]


@pytest.mark.parametrize(("model", "net"), SHIPPED)
def test_every_net_of_every_shipped_model_returns(model: str, net: str) -> None:
    found = parse(f"{model}:{net}")
    again = parse_text(returns(found))
    assert [op.key for op in again.parameters] == [op.key for op in found.parameters]
    assert [(o.name, o.role) for o in again.outputs] == [(o.name, o.role) for o in found.outputs]


def test_every_stage_is_a_statement_with_its_path() -> None:
    net = """
    block Residual(x: [N, C, H, W]) {
      f = x -> conv(C, 3, bias=false) -> bn -> relu
      return f + 2 * x
    }
    net A(x: [N, 3, H, W]; classes = 10) -> [N, classes] {
      return x -> conv(8, 2, stride=2, pad=0) -> (Residual) as body[] -> global_avg_pool
               -> linear(classes) as fc
    }
    """
    assert netdsl.to_text(graph(net)) == dedent(
        """\
        netdsl 1
        net A(x: [N, 3, H, W]) -> [N, 10] {
          v1 = conv(x; 8, 2, stride=2, pad=0) as "conv1"
          v2 = conv(v1; 8, 3, bias=false) as "body.0.conv1"
          v3 = bn(v2) as "body.0.bn1"
          v4 = relu(v3) as "body.0.relu1"
          v5 = mul(2, v1) as "body.0.mul1"
          v6 = add(v4, v5) as "body.0.add1"
          v7 = global_avg_pool(v6) as "global_avg_pool1"
          v8 = linear(v7; 10) as "fc"
          return v8
        }
        """
    )


def test_outputs_keep_names_roles_and_order() -> None:
    net = """
    net A(x: [N, 4], y: [N, 4]) -> (b: [N, 4], train a: [N, 4], y: [N, 4], c: [N, 4]) {
      a = x -> relu
      b = x + y
      c = a
    }
    """
    assert to_text(graph(net)) == dedent(
        """\
        netdsl 1
        net A(x: [N, 4], y: [N, 4]) -> (b: [N, 4], train a: [N, 4], y: [N, 4], c: [N, 4]) {
          a = relu(x) as "relu1"
          b = add(x, y) as "add1"
          c = a
        }
        """
    )
    returns(graph(net))


def test_types_of_inputs_are_as_they_were_written() -> None:
    net = "net A(x: int[N, T], m: bool[N, 16*h, 2*w + 1], s: []) { return where(m, s, 0.5) }"
    text = returns(graph(net))
    assert "net A(x: int[N, T], m: bool[N, 16*h, 2*w + 1], s: []) -> [N, 16*h, 2*w + 1] {" in text


def test_symbolic_sizes_are_expressions() -> None:
    net = """
    net A(x: [N, 3, H, W]) {
      block_size = x -> max_pool(2, ceil=true) -> max_pool(3)
      return sizes(block_size)
    }
    block sizes(x: [N, C, H, W]) {
      return x -> reshape([N, C, H * W, 1]) -> transpose([0, 2, 1, 3]) -> reshape([N, C*H*W*1])
    }
    """
    text = returns(graph(net))
    assert 'reshape(v2; [N, 3, ((H + 1) // 6) * ((W + 1) // 6), 1]) as "sizes1.reshape1"' in text


def test_shared_layers_are_declared_once() -> None:
    net = """
    block Pair(x, y) { return relu(x + y) -> linear(3) }
    net A(x: [N, 3]) {
      layer enc = (linear(3) -> dropout(0.3)) as "deep.enc"
      layer pair = Pair
      a = x -> enc -> enc
      return pair(pair(a, x), a) + 0.1
    }
    """
    text = returns(graph(net))
    assert [line for line in body(text) if line.startswith("layer")] == [
        'layer s1 = linear(3) as "deep.enc.linear1"',
        'layer s2 = dropout(p=0.3) as "deep.enc.dropout1"',
        'layer s3 = add as "pair.add1"',
        'layer s4 = relu as "pair.relu1"',
        'layer s5 = linear(3) as "pair.linear1"',
    ]


def test_parameters_keep_key_shape_and_initial_value() -> None:
    net = """
    block Cell(x: [N, D]) {
      param W: [D, 3] = orthogonal
      param b: [3]
      return x @ W + b
    }
    net A(x: [N, 4]) {
      param scale: [] = 0.1
      param spare: [2, 3] = normal(0.0123456789)
      return (x -> Cell as cell) * scale
    }
    """
    text = returns(graph(net))
    assert body(text)[:3] == [
        'param v1: [] = 0.1 as "scale"',
        'param v2: [2, 3] = normal(0.0123456789) as "spare"',
        'param v3: [4, 3] = orthogonal as "cell.W"',
    ]


def test_values_that_nothing_uses_stay() -> None:
    net = """
    net A(x: [N, 4], y: [N, 4]) {
      unused = x -> linear(3) -> relu
      a, b = x -> split([1, 3], axis=1)
      return b
    }
    """
    text = returns(graph(net))
    assert '_, v3 = split(x; [1, 3], axis=1) as "split1"' in text


def test_numbers_are_exact() -> None:
    net = """
    net A(x: [N, 4]) {
      a = (x + 0.1 * 3) * (1/3) - -2.5e-7 / x
      return a * 1e300 + 100000000000000000 -> clamp(min=-0.30000000000000004) -> dropout(1/3)
    }
    """
    returns(graph(net))


def test_names_of_the_signature_do_not_hide_layers() -> None:
    net = """
    from hidden import B
    net he(relu: [N, he, v1], conv: [N, 2, v1, v1], none: [N, 2, v1, v1]) -> (v2: [N, 3, v1, v1]) {
      v2 = B(conv, none)
    }
    """
    block = "block B(x, y) { return x + y -> conv(3, 1, init=he) -> relu -> bn(momentum=none) }"
    text = f"{block}\n{dedent(net).replace('from hidden import B', '')}"
    found = graph(text.replace("he, v1]", "d, v1]").replace("net he", "net A"))
    assert "let v4 = conv" in returns(found).splitlines()


def test_a_net_with_the_name_of_a_layer_gets_another() -> None:
    b = Builder("relu")
    x = b(Input(Type((2, 3)), "x"))
    with b.at("relu1", None):
        y = b(layers()["relu"](), x)
    assert "net relu_(x: [2, 3]) -> [2, 3] {" in returns(b.build((Output("return", y),)))


@pytest.mark.parametrize(
    ("op", "i"), [(op, i) for op in layers() for i in range(len(layers()[op].examples))]
)
def test_every_example_of_a_layer_returns(op: str, i: int) -> None:
    example: Example = layers()[op].examples[i]
    b = Builder("A")
    tensors = len(example.operands) - len(example.op.constants)
    xs = [b(Input(type, f"x{n}")) for n, type in enumerate(example.operands[:tensors])]
    with b.at("path.to.it", None):
        results = b.layer(example.op, *xs)
    returns(b.build(tuple(Output(f"y{n}", y) for n, y in enumerate(results))))


RECURRENCES = """
block LSTM(x: [N, T, D]; hidden, forget = true) -> (h: [N, T, hidden], c: [N, T, hidden]) {
  recur t in 1..T {
    h[0]: [N, hidden] = 0
    c[0]: [N, hidden] = 0
    z = concat(x[t], h[t-1])
    f = if forget then sigmoid(z -> linear(hidden) as forget_gate) else 1
    i = sigmoid(z -> linear(hidden) as input_gate)
    g = tanh(z -> linear(hidden) as candidate)
    c[t] = f * c[t-1] + i * g
    h[t] = tanh(c[t])
  }
}
net Deep(x: [N, T, 5]) -> [N, T, 6] {
  return x -> LSTM(6) as lstm1 -> LSTM(6, forget=false) as lstm2
}
net Both(x: [N, T, 5]) -> (both: [N, T, 8], ends: [N, 8]) {
  recur t in 1..T {
    f[0]: [N, 4] = 0
    b[T+1]: [N, 4] = 0.5
    f[t] = tanh(concat(x[t], f[t-1]) -> linear(4) as forward)
    b[t] = tanh(concat(x[t], b[t+1]) -> linear(4) as backward)
  }
  both = concat(f, b; axis=-1)
  ends = concat(f[T], b[1])
}
net Weights(x: int[N, T]) -> [N, 3] {
  param W: [4 + 8, 8] = orthogonal
  recur t in 1..T {
    h[0]: [N, 8] = 0
    h[t] = relu(concat(one_hot(x[t]; 4), h[t-1]) @ W) -> dropout(0.3)
  }
  return h[T] -> linear(3)
}
net Parts(x: [N, T, 4], h0: [N, 3]) -> (y: [N, T, 3], z: [N, T, 3], h: [N, T, 3]) {
  recur t in 1..T {
    h[0] = h0
    s = x[t] -> linear(3) -> dropout(0.3)
    h[t] = tanh(s + h[t-1])
    y[t] = relu(s) * h[t]
    z[t] = y[t] -> linear(3)
  }
}
net Lags(x: [N, T, 3], h0: [N, 3], h1: [N, 3]) -> (h: [N, T - 1, 3], p: [N, T - 1, 3]) {
  layer l = linear(3)
  recur t in 2..T {
    h[1] = h0
    h[0] = h1
    h[t] = tanh(l(h[t-1]) + h[t-2] + l(x[t]) * 0.5 + x[t-1])
    p[t] = h[t-1] * 2
  }
}
net Delayed(x: [N, T, 3]) -> (h: [N, T, 3], y: [N, T, 3], first: [N, 3]) {
  recur t in 1..T {
    h[0]: [N, 3] = 0.5
    h[t] = tanh(x[t] + h[t-1])
    y[t] = h[t-1] * 2
  }
  first = h[0]
}
net Tied(x: [N, 3]) -> [N, 3] {
  recur t in 1..8 { h[0] = x  h[t] = h[t-1] -> linear(3) -> tanh }
  return h[8]
}
"""


@pytest.mark.parametrize("net", ["Deep", "Both", "Weights", "Parts", "Lags", "Delayed", "Tied"])
def test_recurrences_return(net: str) -> None:
    returns(graph(RECURRENCES, net))


def test_a_recurrence_is_written_as_its_equations() -> None:
    assert to_text(graph(RECURRENCES, "Both")) == dedent(
        """\
        netdsl 1
        net Both(x: [N, T, 5]) -> (both: [N, T, 8], ends: [N, 8]) {
          recur t in 1..T {
            v1[0]: [N, 4] = 0
            v2 = concat(x[t], v1[t-1]) as "concat1"
            v3 = linear(v2; 4) as "forward"
            v1[t] = tanh(v3) as "tanh1"
          } as "recur1"
          recur t in 1..T {
            v4[T+1]: [N, 4] = 0.5
            v5 = concat(x[t], v4[t+1]) as "concat2"
            v6 = linear(v5; 4) as "backward"
            v4[t] = tanh(v6) as "tanh2"
          } as "recur2"
          both = concat(v1, v4; axis=-1) as "concat3"
          v7 = slice(v1; 1, T - 1, T) as "slice1"
          v8 = reshape(v7; [N, 4]) as "reshape1"
          v9 = slice(v4; 1, 0, 1) as "slice2"
          v10 = reshape(v9; [N, 4]) as "reshape2"
          ends = concat(v8, v10) as "concat4"
        }
        """
    )


def test_externs_are_declared_for_all_their_uses() -> None:
    net = """
    extern deform(x: [N, C, H, W], offset: [N, 18, H, W]; k = 3) -> [N, C, H, W]
    net Mobile(x: [N, 3, H, W]) -> [N, 5] {
      a = x -> conv(32, 3, stride=2)
      b = a -> deform(a -> conv(18, 3) as offset) -> conv(4, 3)
      return b -> deform(b -> conv(18, 3); 2.0) -> global_avg_pool -> linear(5)
    }
    """
    text = returns(graph(net))
    assert (
        "extern deform(operand0: [size0, size1, size2, size3], "
        "operand1: [size0, 18, size2, size3]; k)" in text
    )
    assert 'deform(v1, v2; k=3) as "deform1"' in text


def test_what_no_file_says_is_refused() -> None:
    tapped = tap(graph("net A(x: [N, 4]) { return x -> relu -> tanh }"), ["relu1"])
    with pytest.raises(ValueError, match="a net has no output `relu1` of the role tap"):
        to_text(tapped)
    b = Builder("A")
    x = b(Input(Type((atom("N"), 3)), "x"))
    with b.at("same", None):
        y = b(layers()["tanh"](), b(layers()["relu"](), x))
    with pytest.raises(ValueError, match="`same` is relu and tanh: one path, two layers"):
        to_text(b.build((Output("return", y),)))


def test_a_parameter_of_nothing_is_declared() -> None:
    b = Builder("A")
    x = b(Input(Type((2, 3)), "x"))
    with b.at("deep.cell", None):
        b.parameter(Param("W", (3, 3), Init("uniform", (-0.1, 0.1))))
    text = returns(b.build((Output("return", x),)))
    assert body(text) == ['param v1: [3, 3] = uniform(-0.1, 0.1) as "deep.cell.W"', "return x"]
