"""Random layer graphs for hypothesis: small nets over the op table, with everything that hurts.

Values used several times and also returned, x + x, views of views, inputs and parameters returned
as they are, dead nodes, shared layers, odd sizes, symbolic sizes, frozen parameters, mixed modes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor

import netdsl.ops  # noqa: F401  (enters every family)
from netdsl.errors import Problem
from netdsl.initial import Init
from netdsl.ir import Builder, Graph, Input, Output
from netdsl.modes import modal_paths
from netdsl.module import NetModule
from netdsl.namespaces import descend
from netdsl.op import OPS, Op, Param, Type, Value, layers
from netdsl.rewrite import with_sizes
from netdsl.sizes import Size, atom

Draw = Callable[[st.SearchStrategy], object]

# Their derivative, or value, is infinite or jumps where random graphs go.
LEFT_OUT = {"exp", "pow", "argmax", "norm", "identity"}
NUMBERS = (0.0, 1.0, -1.0, 0.5, 2.0)


@dataclass(frozen=True)
class Net:
    """A graph, the sizes of its names, its mode, and what is asked of it.

    training  paths of the modules in training mode
    frozen    keys of inputs and parameters without a gradient
    used      names of the outputs that the loss depends on
    """

    graph: Graph
    sizes: dict[str, int]
    training: tuple[str, ...]
    frozen: frozenset[str]
    used: frozenset[str]
    seed: int

    def __str__(self) -> str:
        modes = f"training {self.training}, frozen {set(self.frozen)}, used {set(self.used)}"
        return f"{self.graph.text()}\nsizes {self.sizes}, seed {self.seed}, {modes}"

    def module(self, off: tuple[str, ...] = ()) -> NetModule:
        """The graph compiled: random float64 parameters, this net's mode and frozen parameters."""
        model = NetModule(self.graph, off=off).double()
        generator = torch.Generator().manual_seed(self.seed)
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        with torch.no_grad():
            for key in sorted(tensors):
                if tensors[key].is_floating_point():
                    tensors[key].copy_(_number(tensors[key].shape, generator))
                    if key.endswith("running_var"):
                        tensors[key].abs_().add_(0.5)
        for key, parameter in model.named_parameters():
            parameter.requires_grad_(key not in self.frozen)
        model.eval()
        for path in modal_paths(self.graph):
            descend(model, path).training = path in self.training
        return model

    def inputs(self) -> tuple[Tensor, ...]:
        """Random tensors for the inputs, leaves with gradients where they are not frozen."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        return tuple(
            _number(_concrete(op.type.shape, self.sizes), generator).requires_grad_(
                op.key not in self.frozen
            )
            for op in self.graph.inputs
        )


@st.composite
def nets(draw: Draw, steps: int = 8) -> Net:
    """A net of a few layers. Fewer, smaller and earlier choices come first, so that it shrinks."""
    b = Builder("Net")
    sizes: dict[str, int] = {}
    values = [_input(draw, b, i, sizes) for i in range(draw(st.integers(1, 2)))]
    for i in range(draw(st.integers(1, steps))):
        step = draw(st.sampled_from(STEPS))
        try:
            with b.at(f"s{i}", None):
                made = step(draw, b, values)
                values += [v for v in made if v.type.numel != 0]
        except Problem:  # it does not fit; the nodes before it stay, and nobody uses them
            pass
    floats = [v for v in values if v.type.dtype == "float"]
    chosen = [floats[-1], *draw(st.lists(st.sampled_from(floats), max_size=2))]
    roles = ["output", *(draw(st.sampled_from(["output", "train"])) for _ in chosen[1:])]
    outputs = tuple(
        Output(f"y{i}", value, role)
        for i, (value, role) in enumerate(zip(chosen, roles, strict=True))
    )
    graph = b.build(outputs)
    assume(_holds(graph, sizes))
    return Net(
        graph,
        sizes,
        draw(st.sampled_from([modal_paths(graph), ()]))
        or tuple(draw(st.lists(st.sampled_from(modal_paths(graph)), max_size=2))),
        frozenset(draw(st.sets(st.sampled_from(_trainable(graph)), max_size=2))),
        frozenset({"y0"} | draw(st.sets(st.sampled_from([o.name for o in outputs])))),
        draw(st.integers(0, 99)),
    )


def _input(draw: Draw, b: Builder, i: int, sizes: dict[str, int]) -> Value:
    rank = draw(st.sampled_from([4, 2, 3, 1]))
    extents = draw(st.tuples(*[st.integers(1, 5)] * rank))
    shape: list[Size] = list(extents)
    if i == 0:
        shape[0] = min(extents[0], 3)
        for axis, name in ((0, "N"), (2, "H")):
            if axis < rank and draw(st.booleans()):
                sizes[name], shape[axis] = shape[axis], atom(name)
    return b(Input(Type(tuple(shape)), f"x{i}"))


# Every step appends nodes to the builder and gives the values that later steps may use.


def _table(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    """An example of the op table on values that are there; positive ones where it needs them."""
    op, count, positive = draw(st.sampled_from(TABLE))
    xs = _several(draw, values, count)
    op.infer(*(x.type for x in xs))
    if positive:
        half = b.constant(0.5)
        xs = [b(OPS["add"](), b(OPS["sigmoid"](), x), half) for x in xs]
    return list(b.layer(op, *xs))


def _common(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    """A layer that real nets are made of."""
    x = _one(draw, values)
    return list(b.layer(draw(st.sampled_from(COMMON[x.type.rank])), x))


def _conv(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    """A convolution with uneven padding, stride, dilation, groups."""
    x = _one(draw, values, 4)
    small = st.integers(1, 3)
    groups = draw(st.sampled_from([1, 1, *x.type.shape[1:2]]))
    op = OPS["conv"](
        groups * draw(st.integers(1, 3)),
        draw(st.tuples(small, small)),
        stride=draw(st.tuples(small, small)),
        pad=draw(st.tuples(*[st.integers(0, 2)] * 4)),
        dilation=draw(st.sampled_from([1, 2])),
        groups=groups,
        bias=draw(st.booleans()),
    )
    return list(b.layer(op, x))


def _pointwise(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    return [b(draw(st.sampled_from(POINTWISE)), _one(draw, values))]


def _binary(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    """Two values, the same one perhaps, broadcast perhaps."""
    x = _one(draw, values)
    fitting = [y for y in values if y.type.rank <= x.type.rank and _broadcasts(x, y)]
    return [b(draw(st.sampled_from(BINARY)), *draw(st.permutations([x, _one(draw, fitting)])))]


def _residual(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    """x + f(g(x))."""
    x = _one(draw, values)
    f, g = draw(st.sampled_from(POINTWISE)), draw(st.sampled_from(POINTWISE))
    return [b(OPS["add"](), x, b(f, b(g, x)))]


def _scalar(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    xs = [_one(draw, values), b.constant(draw(st.sampled_from(NUMBERS)))]
    return [b(draw(st.sampled_from(BINARY)), *draw(st.permutations(xs)))]


def _constants(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    """x + (m · n): arithmetic for constant folding."""
    m, n = (b.constant(draw(st.sampled_from(NUMBERS))) for _ in range(2))
    return [b(OPS["add"](), _one(draw, values), b(draw(st.sampled_from(BINARY)), m, n))]


def _parameter(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    """A parameter of a value's shape, and a function of it alone."""
    shape = tuple(n for n in _one(draw, values).type.shape if isinstance(n, int))
    p = b.parameter(Param("scale", shape, Init("constant", (1.0,))))
    return [p, b(draw(st.sampled_from(POINTWISE)), p)]


def _view(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    x = _one(draw, values)
    axis = draw(st.integers(0, max(x.type.rank - 1, 0)))
    size = x.type.shape[axis] if x.type.rank else 1
    known = isinstance(size, int)
    options: list[Op] = [OPS["identity"](), OPS["reshape"]((1, *x.type.shape))]
    if x.type.rank:
        options.append(OPS["flatten"](axis))
        options.append(OPS["transpose"](tuple(draw(st.permutations(range(x.type.rank))))))
        options.append(
            OPS["reshape"]((*x.type.shape[:axis], x.type.with_shape(*x.type.shape[axis:]).numel))
        )
    if x.type.rank and known:
        first = draw(st.integers(0, size - 1))
        options.append(OPS["slice"](axis, first, draw(st.integers(first + 1, size))))
        options.append(OPS["slice"](axis, 0, size, step=2))
        options.append(OPS["split"]((first, size - first) if first else (size,), axis=axis))
    return list(b.all(draw(st.sampled_from(options)), x))


def _join(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    """The same value twice, or two of one shape, joined."""
    x = _one(draw, values)
    y = _one(draw, [v for v in values if v.type == x.type])
    axis = draw(st.integers(0, max(x.type.rank - 1, 0)))
    joins = (OPS["concat"](axis), OPS["stack"](axis), OPS["average"]())
    return [b(draw(st.sampled_from(joins)), x, y)]


def _reduce(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    x = _one(draw, values)
    axis = draw(st.sampled_from([None, *range(x.type.rank)]))
    name = draw(st.sampled_from(["sum", "mean", "max", "min"]))
    return [b(OPS[name](axis=axis, keep=draw(st.booleans())), x)]


def _shared(draw: Draw, b: Builder, values: list[Value]) -> list[Value]:
    """One layer applied twice, so with one set of parameters."""
    x = _one(draw, values)
    options: list[Op] = [OPS["bn"](), OPS["ln"]()]
    if x.type.rank == 4:
        options.insert(0, OPS["conv"](x.type.shape[1], 1))
    elif x.type.rank >= 2:
        options.insert(0, OPS["linear"](x.type.shape[-1]))
    layer = draw(st.sampled_from(options))
    first, *_ = b.layer(layer, x)
    second, *_ = b.layer(layer, b(OPS["tanh"](), first))
    return [first, second]


STEPS = (
    _pointwise,
    _common,
    _binary,
    _view,
    _conv,
    _residual,
    _scalar,
    _join,
    _reduce,
    _constants,
    _parameter,
    _shared,
    _table,
    _table,
)
POINTWISE = tuple(
    OPS[name]() for name in ("relu", "tanh", "sigmoid", "abs", "neg", "silu", "softplus", "elu")
)
BINARY = tuple(OPS[name]() for name in ("add", "sub", "mul", "maximum", "minimum"))
COMMON = {
    0: POINTWISE,
    1: POINTWISE,
    2: (OPS["linear"](3), OPS["bn"](), OPS["dropout"](), OPS["ln"](), OPS["linear"](2, bias=False)),
    3: (OPS["conv1d"](2, 3), OPS["bn1d"](), OPS["ln"](), OPS["max_pool1d"](2), OPS["linear"](3)),
    4: (
        OPS["conv"](4, 3),
        OPS["bn"](),
        OPS["conv"](3, 1, bias=False),
        OPS["bn"](momentum=None),
        OPS["max_pool"](2),
        OPS["dropout"](0.3),
        OPS["dropout2d"](),
        OPS["avg_pool"](2, stride=1),
        OPS["max_pool"](3, stride=2, pad=1),
        OPS["global_avg_pool"](),
        OPS["bn"](affine=False),
        OPS["bn"](track=False),
        OPS["flatten"](),
    ),
    5: (OPS["bn3d"](), OPS["conv3d"](2, 1), OPS["max_pool3d"](1)),
}
TABLE = tuple(
    (e.op, len(e.operands), e.domain[0] > 0)
    for name, cls in layers().items()
    for e in cls.examples
    if name not in LEFT_OUT and all(t.dtype == "float" for t in e.operands)
)


def _one(draw: Draw, values: list[Value], rank: int | None = None) -> Value:
    """A value, the newest first; of one rank where such are there."""
    fitting = [v for v in values if rank in (None, v.type.rank)] or values
    return draw(st.sampled_from(fitting[::-1]))


def _several(draw: Draw, values: list[Value], count: int) -> list[Value]:
    first = _one(draw, values)
    alike = [v for v in values if v.type.rank == first.type.rank]
    return [first, *(_one(draw, alike) for _ in range(count - 1))]


def _broadcasts(x: Value, y: Value) -> bool:
    tail = x.type.shape[x.type.rank - y.type.rank :]
    return all(m == n or 1 in (m, n) for m, n in zip(tail, y.type.shape, strict=True))


def _trainable(graph: Graph) -> list[str]:
    return [
        *(op.key for op in graph.inputs),
        *(op.key for op in graph.parameters if not op.buffer),
    ]


def _holds(graph: Graph, sizes: dict[str, int]) -> bool:
    """Whether its shape rules, which hold for most sizes, do for these."""
    try:
        with_sizes(graph, sizes)
    except Problem:
        return False
    return True


def _concrete(shape: tuple[Size, ...], sizes: dict[str, int]) -> tuple[int, ...]:
    return tuple(n if isinstance(n, int) else sizes[str(n)] for n in shape)


def _number(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)
