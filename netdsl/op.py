"""What an op is: one frozen dataclass whose fields are its hyper-parameters and whose methods are
its shape rule, parameters, reference, gradient and cost. The op table is the register of them.

An instance is one application (`Conv(64, 3)`), canonical once built: `__post_init__` coerces every
field by its kind, so that equal meaning is equal data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import Field, dataclass, field, fields
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
)

from netdsl.errors import Problem
from netdsl.kinds import REQUIRED, Kind
from netdsl.sizes import Poly, Size, map_sizes

if TYPE_CHECKING:
    from torch import Tensor

    from netdsl.initial import Init


@dataclass(frozen=True)
class Type:
    """The type of a tensor: `float` is the module's floating dtype, `int` int64, `bool` bool; under
    autocast `bfloat16` or `float16`, too."""

    shape: tuple[Size, ...]
    dtype: str = "float"

    @property
    def floating(self) -> bool:
        return self.dtype not in ("int", "bool")

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def numel(self) -> Size:
        product: Size = 1
        for size in self.shape:
            product = product * size
        return product

    def with_shape(self, *shape: Size) -> Type:
        return Type(shape, self.dtype)

    def map(self, change: Callable[[Size], Size]) -> Type:
        """The type with its symbolic sizes changed."""
        if any(isinstance(size, Poly) for size in self.shape):
            return Type(map_sizes(self.shape, change), self.dtype)  # type: ignore[arg-type]
        return self

    def __str__(self) -> str:
        return f"{'' if self.dtype == 'float' else self.dtype}[{', '.join(map(str, self.shape))}]"


Types: TypeAlias = Type | tuple[Type, ...]


@dataclass(frozen=True)
class Value:
    """Result number `result` of node `node`, in one graph."""

    node: int
    result: int
    type: Type = field(compare=False)


Values: TypeAlias = tuple[Value, ...]
Gradients: TypeAlias = tuple[Value | None, ...]
Places: TypeAlias = tuple[int | None, ...]


class Build(Protocol):
    """What a `vjp`, an `expand` or a rule uses to append nodes: `b(Relu(), x)`."""

    def __call__(self, op: Op, *operands: Value) -> Value:
        """The first result of a new node."""

    def all(self, op: Op, *operands: Value) -> Values:
        """Every result of a new node."""

    def constant(self, number: float) -> Value:
        """A number as a tensor of rank 0."""


@dataclass(frozen=True)
class Param:
    """A parameter or buffer that a layer owns: its name in the state_dict, shape, initial value."""

    name: str
    shape: tuple[int, ...]
    init: Init
    buffer: bool = False
    dtype: str = "float"


@dataclass(frozen=True)
class Example:
    """An application that the generic tests run: the op and the types of its tensor operands.

    `domain` bounds the random float operands, where the function is smooth enough for gradcheck.
    """

    op: Op
    operands: tuple[Type, ...]
    domain: tuple[float, float] = (-2.0, 2.0)


@dataclass(frozen=True, eq=False, repr=False)
class Specialised:
    """A modal layer in one mode: its results, and the new values of its buffers by name."""

    results: Values
    updates: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Batched:
    """An op over more examples at once; the results `summed` are sums over them, the others have
    them along axis 0."""

    op: Op
    summed: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Joined:
    """One op whose result is those of several, one after the other along axis `result`; its
    operands after the first are theirs, along the axes `operands`."""

    op: Op
    operands: tuple[int, ...]
    result: int


def hyper(kind: Kind, default: Any = REQUIRED) -> Any:
    """Declare a hyper-parameter of an op: its kind (schema, range) and its default."""
    if default is REQUIRED:
        return field(metadata={"kind": kind})
    return field(default=default, metadata={"kind": kind})


@dataclass(frozen=True, eq=False, repr=False)
class Op:
    """The family's contract. A subclass overrides what is not the plain case.

    name       as written in a .net file and in dumps
    layer      whether the language knows it (gradients and expansions are internal)
    tensors    names of the tensor operands; `variadic`: the last may repeat; `optional`: how many
               of the last may be left out
    results    names of the results
    pointwise  every result element depends on the broadcast operands' same element
    exact      moves or selects numbers, so any backend gives the same bits
    per_example  operands that have examples along axis 0, where no example of a result depends on
               another one; all other operands are the same for all examples
    summed     results that are sums over the examples instead
    view       the result may share memory with operand 0
    writes     whether `into` writes the result into memory that is given
    overwrites operands whose memory that may be
    updates    of how many operands, the last ones, new values are the last results (`updating`)
    lengths    (position of lengths, position of the sequences [N, T, …] whose steps these count)
    constants  numbers that follow the tensors as operands, where these bring no floating dtype
    neutral    (position, number): with that number there, the result is the other operand, exactly
    modal      depends on training or eval: `specialise` replaces it before anything runs
    random     a modal layer that draws numbers in training: `specialise` is given a seed
    draws_once a random layer that draws the same numbers in every step of a recurrence
    autocast   what torch.autocast does with floating operands: `low` casts all to its dtype,
               `float32` to float32, `promote` to the widest among them, `keep` leaves them mixed,
               `inside` is up to what runs inside the op
    autocast_cuda  the same on CUDA, where it is another
    """

    name: ClassVar[str]
    layer: ClassVar[bool] = True
    tensors: ClassVar[tuple[str, ...]] = ("x",)
    variadic: ClassVar[bool] = False
    optional: ClassVar[int] = 0
    results: ClassVar[tuple[str, ...]] = ("y",)
    pointwise: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    per_example: ClassVar[tuple[int, ...]] = ()
    summed: ClassVar[tuple[int, ...]] = ()
    view: ClassVar[bool] = False
    writes: ClassVar[bool] = False
    overwrites: ClassVar[tuple[int, ...]] = ()
    updates: ClassVar[int] = 0
    lengths: ClassVar[tuple[int, int] | None] = None
    constants: ClassVar[tuple[float, ...]] = ()
    neutral: ClassVar[tuple[tuple[int, float], ...]] = ()
    modal: ClassVar[bool] = False
    random: ClassVar[bool] = False
    draws_once: ClassVar[bool] = False
    autocast: ClassVar[str] = "promote"
    autocast_cuda: ClassVar[str | None] = None
    examples: ClassVar[tuple[Example, ...]] = ()
    _fields: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:

        def __init__(self, *hypers: Any, **named: Any) -> None:
            """Takes what a .net file may write (`stride=2`); the fields are canonical."""

    # Equality, hash and repr are as a dataclass has them, but written once: generating them for a
    # hundred ops is what `netdsl check` would spend its time on.

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))
        return f"{type(self).__qualname__}({shown})"

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self._fields])

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            coerced = f.metadata["kind"].coerce(value, _written(f), self)
            if coerced is not value:
                object.__setattr__(self, f.name, coerced)

    # `*_: Any, **__: Any` lets a subclass name its operands: `def infer(self, x: Type) -> Type`.

    def infer(self, *operands: Any, **_: Any) -> Types:
        """The result types; raises `Problem` where the operands do not fit.

        Called with the tensors alone before the parameters exist, then with all operands.
        """
        raise NotImplementedError(self.name)

    def params(self, *tensors: Any, **_: Any) -> tuple[Param, ...]:
        """What the layer owns; they follow the tensors and constants as operands."""
        return ()

    def result_name(self, i: int) -> str:
        """What its result `i` is called, where it has more than `results` names too."""
        return self.results[i] if i < len(self.results) else f"y{i}"

    def reference(self, *operands: Any, **_: Any) -> Any:
        """The meaning, in a few differentiable lines of torch: the CPU default and the oracle.

        A tensor, or a tuple where the node has several results.
        """
        raise NotImplementedError(self.name)

    def kernel(self, operands: tuple[Type, ...], used: tuple[bool, ...]) -> Callable[..., Any]:
        """`reference` with all decided that the operands' concrete types decide; a result that is
        not `used` may be None."""
        return self.reference

    def into(self, out: Tensor, *operands: Tensor) -> Tensor:
        """The one result written into `out`, which may be an operand in `overwrites`."""
        raise NotImplementedError(self.name)

    def updating(self, *operands: Tensor) -> Any:
        """`reference`, with the new values of the last operands, as many as `updates` says, written
        into them; they are the last results."""
        raise NotImplementedError(self.name)

    def vjp(self, b: Build, xs: Values, ys: Values, dys: Values) -> Gradients:
        """The gradient of each operand (None: none), given operands, results and the gradients of
        the results, as a graph."""
        raise NotImplementedError(f"{self.name} has no gradient")

    def again(self, xs: Values, ys: Values) -> tuple[Op, Values] | None:
        """An op and its operands, among `xs` and the later `ys`, that give the first result once
        more, bit for bit, in about the time that reading it takes; None where nothing does."""
        return (self, xs) if self.pointwise or self.view else None

    def batched(
        self, operands: tuple[Type, ...], each: Collection[int], count: Size
    ) -> Batched | None:
        """The op over `count` examples at once instead of as many as `operands` have, where those
        at the positions `each` have examples along axis 0; None where an example would change
        another one's results."""
        if self.pointwise:
            rank = max(x.rank for x in operands)
            aligned = all(
                x.rank == rank if i in each else x.rank < rank or x.shape[0] == 1
                for i, x in enumerate(operands)
            )
            return Batched(self) if aligned else None
        if not self.per_example or set(each) != set(self.per_example):
            return None
        return Batched(self, self.summed)

    def contraction(self, operands: tuple[Type, ...]) -> tuple[int, int] | None:
        """The axes of operands 0 and 1 over which the result sums their products; `unbiased` is the
        op without what is added to that. None: it is no such op."""
        return None

    def unbiased(self) -> Op:
        """The op without the operands after the first two, which it adds."""
        return self

    def joined(self, others: Sequence[Op]) -> Joined | None:
        """One op for this one and others on the same operand 0; None where there is none."""
        return None

    def differentiable_form(self) -> Op:
        """The op to run under differentiation: the same results first, then what `vjp` needs."""
        return self

    def across(self, group: str) -> Op:
        """The op to run where its statistics are those of all processes of a group ("": of the
        default one): the same results first, then more."""
        return self

    def specialise(self, b: Build, xs: Values, training: bool, stream: int) -> Specialised:
        """A modal layer as ops of one mode; `xs` are tensors, then parameters, then (of a random
        layer in training) the seed; `stream` tells apart the layers that share a seed."""
        raise NotImplementedError(self.name)

    def expand(self, b: Build, xs: Values) -> Values | None:
        """The results by simpler ops, which stand for the layer before anything runs, so that no
        pass and no backend sees it; None: it stays itself."""
        return None

    def as_affine(self, b: Build, xs: Values) -> tuple[Value, Value] | None:
        """(scale [C], shift [C]) if y = scale x + shift channel by channel, else None."""
        return None

    def absorb_affine(self, b: Build, xs: Values, scale: Value, shift: Value) -> Value | None:
        """scale y + shift, channel by channel, by factors in the weights; None if it cannot."""
        return None

    def counterpart(self, *operands: Any, **_: Any) -> tuple[str, dict[str, Any]] | None:
        """The class of torch.nn that the layer is, by name, and its arguments; None if none is."""
        return None

    def along(self, axes: Places, operands: tuple[Type, ...]) -> int | None:
        """Which axis of the results is an axis of operands, if what stands at each of its places
        follows from the same place of the operands alone; None: it does not, or nobody said so.

        `axes`: where each operand has it (None: the operand is without it, and the same for all
        places). Time along which an op treats the steps apart is such an axis.
        """
        if not self.pointwise:
            return None
        rank = max(x.rank for x in operands)
        behind = {rank - x.rank + a for a, x in zip(axes, operands, strict=True) if a is not None}
        axis = behind.pop()
        without = [x for a, x in zip(axes, operands, strict=True) if a is None]
        one = all(x.rank < rank - axis or x.shape[axis - rank] == 1 for x in without)
        return axis if one and not behind else None

    def macs(self, operands: tuple[Type, ...], results: tuple[Type, ...]) -> Size:
        """Multiply-accumulates of one application (0 for what is no contraction)."""
        return 0

    def kept(self, device: str, operands: tuple[Type, ...]) -> tuple[int, ...]:
        """The positions of operands that `low` leaves in their dtype."""
        return ()

    def autocast_on(self, device: str) -> str:
        """What torch.autocast does with the operands on a kind of device."""
        return (self.autocast_cuda if device == "cuda" else None) or self.autocast

    @classmethod
    def schema(cls) -> dict[str, Field[Any]]:
        """The hyper-parameters by name: a field `from_` is `from` in the language."""
        return {_written(f): f for f in fields(cls)}

    @classmethod
    def of(cls, **hypers: Any) -> Self:
        """An application by the language's names; each must be one of `schema`."""
        schema = cls.schema()
        return cls(**{schema[name].name: value for name, value in hypers.items()})

    def hypers(self) -> dict[str, Any]:
        """Hyper-parameters by name, canonical."""
        return {name: getattr(self, f.name) for name, f in self.schema().items()}

    def replace(self, **hypers: Any) -> Self:
        """The op with some hyper-parameters changed."""
        return self.of(**{**self.hypers(), **hypers})

    def describe(self) -> str:
        """The application as text: `conv(c=64, k=3)`."""
        return f"{self.name}({self.arguments()})"

    def arguments(self) -> str:
        """The hyper-parameters as text, defaults left out: `c=64, k=3`."""
        shown = [
            f"{name}={f.metadata['kind'].show(getattr(self, f.name))}"
            for name, f in self.schema().items()
            if f.metadata["kind"].shown(getattr(self, f.name), f.default)
        ]
        return ", ".join(shown)

    @classmethod
    def signature(cls) -> str:
        """The call as documentation shows it: `conv(c, k, stride=1, …)`."""
        shown = [
            name if f.default is REQUIRED else f"{name}={f.metadata['kind'].show(f.default)}"
            for name, f in cls.schema().items()
        ]
        return f"{cls.name}({', '.join(shown)})"

    def map_sizes(self, change: Callable[[Size], Size]) -> Op:
        """The op with symbolic sizes among its hyper-parameters changed."""
        new = {k: map_sizes(v, change) for k, v in self.hypers().items()}
        return self if new == self.hypers() else self.of(**new)

    def at_sizes(self, size: Callable[[Size], Any]) -> Op:
        """The op with a tracer's symbols for the symbolic sizes among its hyper-parameters: no
        rule for hyper-parameters is asked, and no equality."""
        found = {name: getattr(self, name) for name in self._fields}
        symbolic = [name for name, value in found.items() if _symbolic(value)]
        if not symbolic:
            return self
        new = copy(self)
        for name in symbolic:
            object.__setattr__(new, name, map_sizes(found[name], size))
        return new


def _symbolic(value: object) -> bool:
    if isinstance(value, tuple):
        return any(map(_symbolic, value))
    return isinstance(value, Poly)


def _written(f: Field[Any]) -> str:
    return f.name.rstrip("_")


OPS: dict[str, type[Op]] = {}

C = TypeVar("C", bound=type[Op])


def op(name: str) -> Callable[[C], C]:
    """Enter a class in the op table under the name that .net files and dumps use."""

    def enter(cls: C) -> C:
        assert name not in OPS, f"two ops are called {name}"
        cls.name = name
        if "__annotations__" in vars(cls):  # without fields of its own it inherits all it needs
            dataclass(frozen=True, eq=False, repr=False)(cls)
        cls._fields = tuple(f.name for f in fields(cls))
        OPS[name] = cls
        return cls

    return enter


def layers() -> dict[str, type[Op]]:
    """The vocabulary of the language: the op table without internal ops."""
    return {name: cls for name, cls in OPS.items() if cls.layer}


def rank_problem(name: str, x: Type, expected: str) -> Problem:
    """The error for a tensor of a rank that a layer does not take."""
    return Problem(
        "N201",
        f"`{name}` needs {expected}, but its input is {x}",
        label=f"{x} has rank {x.rank}",
    )
