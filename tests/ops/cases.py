"""The op table as test cases: every example of every op, and numbers for its operands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import netdsl.ops  # noqa: F401  (enters every family)
from netdsl.ir import Builder, Graph, Input, Output
from netdsl.op import OPS, Example, Op, Type, Value
from netdsl.ops.norm import BatchNorm, BatchNormInference

DTYPES = {"int": torch.int64, "bool": torch.bool}


@dataclass(frozen=True)
class Case:
    """One example of an op; its id is what a .net file would say."""

    op: Op
    example: Example

    def __str__(self) -> str:
        types = " ".join(str(t).replace(" ", "") for t in self.example.operands)
        return f"{self.op.describe()} of {types}".replace(" ", "_")

    @property
    def types(self) -> tuple[Type, ...]:
        """Of all operands: the tensors, then what the layer owns."""
        tensors = self.example.operands
        return (*tensors, *(Type(p.shape, p.dtype) for p in self.op.params(*tensors)))

    @property
    def results(self) -> tuple[Type, ...]:
        return several(self.op.infer(*self.types))

    def numbers(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, ...]:
        """Operands: floats within the example's domain, ints from 0 to 3, bools."""
        generator = torch.Generator().manual_seed(seed)
        low, high = self.example.domain

        def draw(t: Type) -> Tensor:
            if t.dtype == "float":
                x = torch.rand(t.shape, generator=generator, dtype=torch.float64)
                return (low + (high - low) * x).to(dtype)
            return torch.randint(0, 4 if t.dtype == "int" else 2, t.shape, generator=generator).to(
                DTYPES[t.dtype]
            )

        return tuple(draw(t) for t in self.types)


CASES = [Case(e.op, e) for cls in OPS.values() for e in cls.examples]
RUN = [case for case in CASES if not case.op.modal]
DIFFERENTIABLE = [c for c in RUN if type(c.op.differentiable_form()).vjp is not Op.vjp]


def several(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


def same_dtype(t: Type, x: Tensor, dtype: torch.dtype) -> bool:
    return x.dtype == (dtype if t.dtype == "float" else DTYPES[t.dtype])


def leaves(op: Op, xs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Copies of the operands, the floating ones with gradients, running statistics without."""
    fixed = isinstance(op, (BatchNorm, BatchNormInference))
    count = 1 + 2 * op.affine if fixed else len(xs)  # type: ignore[attr-defined]
    wanted = [x.is_floating_point() and i < count for i, x in enumerate(xs)]
    return tuple(x.clone().requires_grad_(w) for x, w in zip(xs, wanted, strict=True))


def sources(b: Builder, name: str, types: tuple[Type, ...]) -> tuple[Value, ...]:
    return tuple(b(Input(t, f"{name}{i}")) for i, t in enumerate(types))


def backward(op: Op, types: tuple[Type, ...]) -> tuple[Graph, tuple[int, ...]]:
    """The graph of an op's vjp on inputs x0, x1 … and dy0, dy1 …, and which operands have one."""
    b = Builder()
    xs = sources(b, "x", types)
    ys = b.all(op, *xs)
    dys = sources(b, "dy", tuple(y.type for y in ys))
    dxs = op.vjp(b, xs, ys, dys)
    assert len(dxs) == len(xs), "a gradient, or None, for every operand"
    for x, dx in zip(xs, dxs, strict=True):
        assert dx is None or dx.type == x.type, f"the gradient of {x.type} is {dx.type}"
    found = tuple(i for i, dx in enumerate(dxs) if dx is not None)
    outputs = tuple(Output(f"dx{i}", dxs[i], "gradient") for i in found)  # type: ignore[arg-type]
    return b.build(outputs), found


def specialised(
    op: Op, xs: tuple[Tensor, ...], training: bool, stream: int = 0
) -> tuple[Graph, tuple[str, ...]]:
    """A modal op in one mode on inputs x0, x1 …, and the names of the outputs: y, then buffers."""
    b = Builder()
    names = {torch.int64: "int", torch.bool: "bool"}
    types = tuple(Type(tuple(x.shape), names.get(x.dtype, "float")) for x in xs)
    new = op.specialise(b, sources(b, "x", types), training, stream)
    outputs = {"y": new.results[0], **new.updates}
    return b.build(tuple(Output(k, v) for k, v in outputs.items())), tuple(outputs)
