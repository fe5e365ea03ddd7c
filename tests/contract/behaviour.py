"""A behaviour: what is done with a model and a batch, and what comes of it on both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tolerances import NET_GRADIENT, assert_close, assert_gradients_close
from torch import Tensor, nn

Do = Callable[[nn.Module, Tensor], Any]

ALL = ("lenet", "resnet18", "groups")
NARROW = ("lenet", "narrow", "groups")  # for what takes long with 11 million parameters


@dataclass(frozen=True)
class Behaviour:
    """`do` returns what is compared: tensors, plain values, and tuples, lists and dicts of them.

    nets    the names of the nets that it is done with
    raises  the class of the exception that torch raises, and ours too
    """

    do: Do
    nets: tuple[str, ...]
    raises: type[Exception] | None

    def __str__(self) -> str:
        return self.do.__name__.replace("_", " ")


BEHAVIOURS: list[Behaviour] = []


def behaviour(
    *, nets: tuple[str, ...] = ALL, raises: type[Exception] | None = None
) -> Callable[[Do], Do]:
    """Enters a function in the list of behaviours."""

    def enter(do: Do) -> Do:
        BEHAVIOURS.append(Behaviour(do, nets, raises))
        return do

    return enter


def alike(behaviour: Behaviour, ours: nn.Module, theirs: nn.Module, x: Tensor) -> None:
    """Do it with both, each with a batch of its own; fails unless the same comes of it."""
    expected, got = (_outcome(behaviour.do, model, x.clone()) for model in (theirs, ours))
    if behaviour.raises is None:
        for outcome in (expected, got):
            if isinstance(outcome, Exception):
                raise outcome
        same(got, expected)
    else:
        assert type(expected) is behaviour.raises, f"torch: {expected!r}"
        assert isinstance(got, behaviour.raises), f"ours: {got!r}"


def _outcome(do: Do, model: nn.Module, x: Tensor) -> Any:
    try:
        return do(model, x)
    except Exception as error:
        return error


def same(got: Any, expected: Any, note: str = "") -> None:
    """The same structure, and in it the same plain values and nearly the same tensors."""
    assert type(got) is type(expected), f"{note} {type(got)} is not {type(expected)}"
    if isinstance(expected, Tensor):
        assert got.dtype == expected.dtype, f"{note} {got.dtype} is not {expected.dtype}"
        assert got.requires_grad == expected.requires_grad, f"{note} requires_grad"
        assert_close(got, expected, NET_GRADIENT, note)
    elif isinstance(expected, Mapping):
        assert list(got) == list(expected), note
        tensors = [isinstance(t, Tensor) for t in (*got.values(), *expected.values())]
        if tensors and all(tensors):
            assert [t.dtype for t in got.values()] == [t.dtype for t in expected.values()]
            assert_gradients_close(got, expected)
        else:
            for key in expected:
                same(got[key], expected[key], f"{note} {key}")
    elif isinstance(expected, list | tuple):
        assert len(got) == len(expected), f"{note} {got} is not {expected}"
        for i, (one, other) in enumerate(zip(got, expected, strict=True)):
            same(one, other, f"{note} {i}")
    else:
        assert got == expected, f"{note} {got} is not {expected}"


def loss(y: Tensor) -> Tensor:
    """Every output counts, each with a gradient of its own."""
    return y.sin().sum()


def gradients(model: nn.Module) -> dict[str, Tensor | None]:
    """Of every parameter, None where there is none."""
    return {name: p.grad for name, p in model.named_parameters()}


def numbers(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters and buffers."""
    return {name: t.detach().clone() for name, t in model.state_dict().items()}


def holders(model: nn.Module) -> list[nn.Module]:
    """The modules that hold parameters, which both sides have, in order."""
    return [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]


def parts(model: nn.Module) -> list[nn.Module]:
    """The children with parameters anywhere in them, in order."""
    return [child for child in model.children() if any(True for _ in child.parameters())]
