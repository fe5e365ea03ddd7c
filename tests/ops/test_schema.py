"""Hyper-parameters: what is refused and how it is said, what is equal, how an application reads."""

from __future__ import annotations

from typing import Any

import pytest

import netdsl.ops  # noqa: F401  (enters every family)
from netdsl.errors import Problem
from netdsl.initial import Init, Initial
from netdsl.kinds import (
    Axes,
    Axis,
    Choice,
    Extent,
    Flag,
    Int,
    Kind,
    Number,
    Padding,
    Shape,
    Spatial,
)
from netdsl.op import OPS, Op, Type
from netdsl.ops.conv import Conv, Conv1d
from netdsl.ops.max_pool import MaxPool
from netdsl.ops.norm import BN
from netdsl.ops.sync_norm import GroupName
from netdsl.sizes import atom

BAD: dict[type[Kind], tuple[Any, ...]] = {
    Int: (-1, 1.5, True, "many", 2**31, (1, 2)),
    Number: ("much", True, (1.0,), float("nan")),
    Flag: (0, 1, "true", 1.0),
    Choice: ("bogus", 1, True),
    Spatial: (0, -1, 1.5, True, "big", (1, 2, 3, 4), ()),
    Padding: (-1, 1.5, True, "wide", "same", (1, 2, 3, 4, 5), (0, -1)),
    Axis: (1.5, "last", True, 8, (1,)),
    Axes: ((), (1, 1), "all", 1.5, (1, True)),
    Extent: (-1, 1.5, True, "n"),
    Shape: (-1, 1.5, "abc", (2, 1.5), (2, True)),
    Initial: ("bogus", True, (1, 2)),
    GroupName: (0, True, ("a", "b")),
}


@pytest.mark.parametrize(
    ("cls", "name"), [(cls, name) for cls in OPS.values() for name in cls.schema()]
)
def test_bad_hyperparameter_is_a_problem_that_names_it(cls: type[Op], name: str) -> None:
    op = cls.examples[0].op
    kind = cls.schema()[name].metadata["kind"]
    refused = [*BAD[type(kind)], *([] if kind.optional else [None])]
    if getattr(kind, "empty", False):
        refused.remove(())
    if isinstance(kind, Spatial) and kind.low == 0:
        refused.remove(0)
    for value in refused:
        with pytest.raises(Problem) as caught:
            op.replace(**{name: value})
        diagnostic = caught.value.diagnostic
        assert diagnostic.code in ("N106", "N209")
        assert name in diagnostic.message or diagnostic.code == "N209"


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (cls, name)
        for cls in OPS.values()
        for name, field in cls.schema().items()
        if isinstance(field.metadata["kind"], (Int, Spatial, Padding))
    ],
)
def test_symbolic_hyperparameter_is_n210(cls: type[Op], name: str) -> None:
    with pytest.raises(Problem) as caught:
        cls.examples[0].op.replace(**{name: atom("H")})
    assert caught.value.diagnostic.code == "N210"


def test_equal_meaning_is_equal_data() -> None:
    assert Conv(8, 3) == Conv(c=8, k=(3, 3), stride=[1, 1], pad=1, dilation=1)
    assert Conv(8, 3) == Conv(8, 3, pad=(1, 1)) == Conv(8, 3, pad=(1, 1, 1, 1))
    assert Conv(8, (3, 1), dilation=2) == Conv(8, (3, 1), dilation=2, pad=(2, 0))
    assert MaxPool(2) == MaxPool(2, stride=2) == MaxPool((2, 2), stride="k")
    assert BN(eps=1) == BN(eps=1.0)
    assert Conv(8, 3) != Conv(8, 3, pad=0)
    assert len({Conv(8, 3), Conv(8, 3, init="torch"), Conv(8, 3, init=0)}) == 2


def test_windows_of_more_axes_are_told_apart() -> None:
    assert Conv(8, (3, 5), pad=(0, 1)).pad == ((0, 0), (1, 1))
    assert Conv(8, 3, pad=(0, 1, 2, 3)).pad == ((0, 1), (2, 3))
    assert Conv1d(8, 3, pad=(0, 1)).pad == ((0, 1),)


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        (
            "conv",
            "conv(c, k, stride=1, pad=half, dilation=1, groups=1, bias=true, mode=zeros, "
            "init=torch, bias_init=none)",
        ),
        ("linear", "linear(d, bias=true, init=torch, bias_init=none)"),
        (
            "up_conv",
            "up_conv(c, k, stride=1, pad=0, out_pad=0, dilation=1, groups=1, bias=true, "
            "init=torch, bias_init=none)",
        ),
        ("gn", "gn(groups, eps=1e-5, affine=true)"),
        ("instance_norm", "instance_norm(eps=1e-5, affine=false)"),
        ("prelu", "prelu(per=channel)"),
        ("embedding", "embedding(n, d)"),
        ("one_hot", "one_hot(n)"),
        ("resize", "resize(size=none, scale=none, mode=nearest)"),
        ("attend", "attend(heads=1, causal=false)"),
        ("lrn", "lrn(size, alpha=0.0001, beta=0.75, k=1)"),
        ("max_pool", "max_pool(k, stride=k, pad=0, dilation=1, ceil=false)"),
        ("avg_pool1d", "avg_pool1d(k, stride=k, pad=0, ceil=false, count_pad=true)"),
        ("bn", "bn(eps=1e-5, momentum=0.1, affine=true, track=true)"),
        ("ln", "ln(eps=1e-5, affine=true, bias=true, axes=none)"),
        ("flatten", "flatten(from=1)"),
        ("slice", "slice(axis, from, to, step=1)"),
        ("norm", "norm(p=2, axis=none, keep=false)"),
        ("dropout", "dropout(p=0.5, shared=false)"),
        ("gelu", "gelu(approx=none)"),
        ("pad", "pad(sizes, mode=zeros, value=0)"),
        ("relu", "relu()"),
    ],
)
def test_signature_is_what_the_documentation_says(text: str, signature: str) -> None:
    assert OPS[text].signature() == signature


@pytest.mark.parametrize(
    ("op", "text"),
    [
        (Conv(64, 3), "conv(c=64, k=3, pad=1)"),
        (Conv(64, (1, 7), pad=(0, 3), bias=False), "conv(c=64, k=(1, 7), pad=(0, 3), bias=false)"),
        (Conv(8, 2, pad=(0, 1, 1, 0)), "conv(c=8, k=2, pad=(0, 1, 1, 0))"),
        (MaxPool(3, stride=2, pad=1), "max_pool(k=3, stride=2, pad=1)"),
        (BN(), "bn()"),
        (BN(momentum=None), "bn(momentum=none)"),
        (BN(eps=0.001), "bn(eps=0.001)"),
        (OPS["flatten"](2), "flatten(from=2)"),
        (OPS["slice"](1, 0, 4), "slice(axis=1, from=0, to=4)"),
        (OPS["sum"](axis=(0, 2)), "sum(axis=[0, 2])"),
        (OPS["sum"](axis=1), "sum(axis=1)"),
        (OPS["reshape"]((atom("N"), 1)), "reshape(shape=[N, 1])"),
        (OPS["dropout"](0.5), "dropout()"),
        (OPS["linear"](4, bias_init=1), "linear(d=4, bias_init=1)"),
        (
            OPS["linear"](4, bias_init=Init("normal", (0.0, 0.5))),
            "linear(d=4, bias_init=normal(0.5))",
        ),
    ],
)
def test_application_reads_as_net_text(op: Op, text: str) -> None:
    assert op.describe() == text


IMAGE, ROWS = Type(("N", 3, 9, 9)), Type((2, 5))  # type: ignore[arg-type]
IMAGE = Type((atom("N"), 3, 9, 9))


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("N208", lambda: Conv(8, 2)),
        ("N208", lambda: Conv(8, (3, 4))),
        ("N211", lambda: Conv(8, 3, groups=3)),
        ("N211", lambda: Conv(9, 3, groups=9).infer(IMAGE)),
        ("N201", lambda: Conv(8, 3).infer(ROWS)),
        ("N201", lambda: Conv1d(8, 3).infer(IMAGE)),
        ("N207", lambda: Conv(8, 11, pad=0).infer(IMAGE)),
        ("N210", lambda: Conv(8, 3).params(Type((1, atom("C"), 9, 9)))),
        ("N213", lambda: Conv(8, 3).infer(Type((1, 3, 9, 9), "int"))),
        ("N207", lambda: Conv(8, 3, pad=9, mode="reflect").infer(IMAGE)),
        ("N207", lambda: OPS["pad"](10, mode="circular").infer(IMAGE)),
        ("N106", lambda: OPS["pad"](1, mode="reflect", value=1)),
        ("N106", lambda: OPS["hardtanh"](min=1, max=0)),
        ("N106", lambda: MaxPool(2, pad=2)),
        ("N106", lambda: MaxPool(3, pad=(0, 1, 0, 1))),
        ("N207", lambda: MaxPool(10).infer(IMAGE)),
        ("N201", lambda: BN().infer(Type((2, 3, 4)))),
        ("N210", lambda: BN().params(Type((2, atom("C"))))),
        ("N206", lambda: OPS["add"]().infer(IMAGE, Type((atom("N"), 4, 9, 9)))),
        ("N213", lambda: OPS["add"]().infer(Type((2,), "bool"), Type((2,), "bool"))),
        ("N213", lambda: OPS["div"]().infer(Type((2,), "int"), Type((2,), "int"))),
        ("N213", lambda: OPS["exp"]().infer(Type((2,), "int"))),
        ("N213", lambda: OPS["where"]().infer(ROWS, ROWS, ROWS)),
        ("N206", lambda: OPS["reshape"]((3, 4)).infer(ROWS)),
        ("N201", lambda: OPS["transpose"]((0, 0 + 2)).infer(ROWS)),
        ("N201", lambda: OPS["flatten"](4).infer(IMAGE)),
        ("N206", lambda: OPS["slice"](1, 2, 7).infer(ROWS)),
        ("N206", lambda: OPS["slice"](1, 3, 2).infer(ROWS)),
        ("N206", lambda: OPS["split"]((2, 2)).infer(ROWS)),
        ("N212", lambda: OPS["concat"]().infer(ROWS, Type((3, 5)))),
        ("N212", lambda: OPS["concat"]().infer(ROWS, Type((2, 5), "int"))),
        ("N201", lambda: OPS["concat"]().infer(Type((2, 3, 4)), Type((2, 3, 4)))),
        ("N212", lambda: OPS["stack"](0).infer(ROWS, Type((2, 6)))),
        ("N211", lambda: OPS["pad_channels"](2).infer(IMAGE)),
        ("N211", lambda: OPS["pad_channels"](2).infer(Type((1, atom("C"), 2, 2)))),
        ("N106", lambda: OPS["clamp"]()),
        ("N206", lambda: OPS["average"]().infer(ROWS, Type((2, 6)))),
        ("N201", lambda: OPS["softmax"]().infer(Type((2, 3, 4)))),
        ("N201", lambda: OPS["sum"](axis=2).infer(ROWS)),
        ("N201", lambda: OPS["ln"](axes=4).infer(ROWS)),
        ("N210", lambda: OPS["ln"]().params(Type((2, 3, atom("H"), 5)))),
        ("N201", lambda: OPS["global_avg_pool"]().infer(ROWS)),
    ],
)
def test_what_does_not_fit_is_refused(code: str, make: Any) -> None:
    with pytest.raises(Problem) as caught:
        make()
    assert caught.value.diagnostic.code == code


def test_concat_says_which_operand_and_why() -> None:
    h = atom("H")
    with pytest.raises(Problem) as caught:
        OPS["concat"]().infer(Type((1, 3, h, 4)), Type((1, 3, h // 2 * 2, 4)))
    found = caught.value.diagnostic
    assert found.message == "`concat` along axis 1: operand 2 disagrees on axis 2"
    assert found.label == "H and 2*floor(H/2)"
    assert found.helps == ("H = 2*floor(H/2) does not hold for every size",)


def test_even_window_says_how_to_pad() -> None:
    with pytest.raises(Problem) as caught:
        Conv(8, 4)
    found = caught.value.diagnostic
    assert found.message == "`conv` with an even window must say its padding"
    assert found.label == "k=4 has no middle, so `pad=half` would be 3/2"
    assert "pad=0" in found.helps[0]
