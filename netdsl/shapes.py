"""Shape rules that several ops share: broadcasting, axes, the extent of a window."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from netdsl.errors import Problem
from netdsl.kinds import MAX_SIZE
from netdsl.op import Type, rank_problem
from netdsl.sizes import WEIGHT, Poly, Size, ceildiv, least

# What layers of one, two and three spatial axes take.
IMAGES = {1: "a signal [N, C, L]", 2: "an image [N, C, H, W]", 3: "a volume [N, C, D, H, W]"}


RANK = 8  # what axis numbers of the language reach
ELEMENTS = 2**40  # of a tensor: 4 TB of float32


def check_extent(x: Type) -> Type:
    """The type itself; N324 where no tensor can have it."""
    if x.rank > RANK:
        raise Problem("N324", f"a tensor has at most {RANK} axes, and this one would have {x.rank}")
    known = 1
    for size in x.shape:
        if isinstance(size, int):
            known *= size
            if size > MAX_SIZE:
                raise Problem("N324", f"a size is at most 2^31 - 1, and here it would be {size}")
        elif size.weight > WEIGHT:
            raise Problem("N324", "a size of the result is too long an expression")
    if known > ELEMENTS:
        raise Problem("N324", f"{x} has more than 2^40 elements")
    return x


def broadcast(name: str, a: Type, b: Type) -> tuple[Size, ...]:
    """Sizes equal, or literally 1, or a missing leading axis; anything else is N206."""
    rank = max(a.rank, b.rank)
    left = (1,) * (rank - a.rank) + a.shape
    right = (1,) * (rank - b.rank) + b.shape
    out: list[Size] = []
    for axis, (m, n) in enumerate(zip(left, right, strict=True)):
        if m != n and m != 1 and n != 1:
            raise Problem("N206", f"cannot combine {a} and {b}", label=f"axis {axis}: {m} and {n}")
        out.append(n if m == 1 else m)
    return tuple(out)


def checked_axis(name: str, axis: int, x: Type) -> int:
    """The axis counted from the front; N201 where the tensor has no such axis."""
    if not -x.rank <= axis < x.rank:
        raise Problem("N201", f"`{name}` along axis {axis}, but {x} has {x.rank} axes")
    return axis % x.rank


def checked_axes(name: str, axes: Iterable[int], x: Type) -> tuple[int, ...]:
    """The axes counted from the front, in their order; N201 where two of them are one."""
    found = tuple(checked_axis(name, axis, x) for axis in axes)
    for i, axis in enumerate(found):
        if axis in found[:i]:
            raise Problem("N201", f"`{name}` names axis {axis} of {x} twice")
    return found


def checked_float(name: str, *operands: Type) -> None:
    """N213 where an operand is not of the module's floating dtype."""
    for x in operands:
        if not x.floating:
            raise Problem("N213", f"`{name}` needs numbers of floating type, but its input is {x}")


def promoted(x: Type, y: Type) -> str:
    """The floating dtype of what x and y make together: that of a rank above 0, else the wider."""
    ranked = [t for t in (x, y) if t.rank] or [x, y]
    dtypes = {t.dtype for t in ranked}
    return dtypes.pop() if len(dtypes) == 1 else "float"


def checked_images(name: str, x: Type, spatial: int) -> None:
    """N201, N213 where x is not [N, C, …] with `spatial` more axes, of floating type."""
    if x.rank != 2 + spatial:
        raise rank_problem(name, x, IMAGES[spatial])
    checked_float(name, x)


def axis_name(axis: int, spatial: int) -> str:
    """What messages call a spatial axis, counted from the first: H, W."""
    return {1: "L", 2: "HW", 3: "DHW"}[spatial][axis]


def implied_axis(name: str, axis: int | None, x: Type) -> int:
    """The axis written, or 1 for images and the last for [N, D]; other ranks must say it."""
    if axis is not None:
        return checked_axis(name, axis, x)
    if x.rank in (2, 4):
        return 1
    raise Problem(
        "N201",
        f"`{name}` of {x} must say its axis",
        helps=(f"write `{name}(…; axis=-1)` for the last axis",),
    )


@lru_cache(maxsize=4096)
def window(
    name: str,
    axis: str,
    n: Size,
    k: int,
    stride: int,
    pad: tuple[int, int],
    dilation: int = 1,
    ceil: bool = False,
) -> Size:
    """How many windows of k fit: floor((n + pad - dilation (k-1) - 1) / stride) + 1.

    `ceil` is torch's rule: round up, but the last window must start inside the input or its padding
    before it. N207 where no window fits: it is larger than the padded input.
    """
    span = dilation * (k - 1) + 1
    room = n + (pad[0] + pad[1] - span)
    last = ceildiv(room, stride) if ceil else room
    if not isinstance(last, Poly) and last < 0:
        raise Problem(
            "N207",
            f"the window of `{name}` is larger than its input",
            label=f"{axis}: window {span}, input {n}{f' + padding {sum(pad)}' if sum(pad) else ''}",
            helps=(f"a smaller `k`, or an input of at least {span - sum(pad)} along {axis}",),
        )
    if not ceil:
        return room // stride + 1
    rounded = last + 1
    inside = ceildiv(n + pad[0], stride)  # windows that start before the end of the input
    return rounded if span - pad[1] >= stride else (least(rounded, inside) or inside)
