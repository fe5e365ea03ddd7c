"""Which key of a checkpoint may be meant by which of a net, by name, place and shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netdsl.renaming import Near, Origin, RenamingError, compare, read_renaming, write_renaming

NET = {
    "conv.weight": (8, 3, 3, 3),
    "conv.bias": (8,),
    "bn1.weight": (8,),
    "bn1.bias": (8,),
    "bn1.running_mean": (8,),
    "fc1.weight": (16, 8),
    "fc1.bias": (16,),
    "fc2.weight": (16, 16),
    "fc2.bias": (16,),
}


def renamed(**names: str) -> dict[str, tuple[int, ...]]:
    """The net's own keys, some parts of them spelt otherwise."""
    found = {}
    for key, shape in NET.items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        found[key] = shape
    return found


def sources(given: dict[str, tuple[int, ...]]) -> dict[str, str]:
    return {near.key: near.source for near in compare(NET, given).near}


def test_what_is_the_same_missing_unexpected_and_of_another_shape_is_told_apart() -> None:
    given = NET | {"fc2.weight": (10, 16), "step": ()}
    del given["conv.bias"]
    found = compare(NET, given)
    assert found.same == tuple(key for key in NET if key not in ("conv.bias", "fc2.weight"))
    assert found.reshaped == ("fc2.weight",)
    assert found.missing == ("conv.bias",)
    assert found.unexpected == ("step",)
    assert found.near == ()
    assert not found.fits
    assert compare(NET, NET).fits


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "net.backbone."])
def test_a_prefix_more_or_less_is_seen(prefix: str) -> None:
    longer = {prefix + key: shape for key, shape in NET.items()}
    assert sources(longer) == {key: prefix + key for key in NET}
    why = {near.why for near in compare(NET, longer).near}
    assert why == {f"without the prefix `{prefix}`"}
    assert {n.key: n.source for n in compare(longer, NET).near} == {prefix + k: k for k in NET}


@pytest.mark.parametrize(
    "given",
    [
        renamed(bn1="norm1"),
        renamed(bn1="batch_norm_1"),
        {key.replace(".", "/"): shape for key, shape in NET.items()},
        {f"module.{key}": shape for key, shape in renamed(bn1="norm1", fc="head").items()},
        renamed(**{"bn1.weight": "bn1.gamma", "bn1.bias": "bn1.beta", "running_": "moving_"}),
    ],
    ids=["norm1", "batch_norm_1", "slashes", "prefix and spelling", "gamma and beta"],
)
def test_the_words_of_other_libraries_are_known(given: dict[str, tuple[int, ...]]) -> None:
    expected = dict(zip(NET, given, strict=True))
    assert sources(given) == {key: name for key, name in expected.items() if key != name}


def test_names_without_a_meaning_go_by_their_place_and_shape() -> None:
    given = {f"{i}.{key.rpartition('.')[2]}": shape for i, (key, shape) in enumerate(NET.items())}
    assert sources(given) == dict(zip(NET, given, strict=True))
    assert {near.why for near in compare(NET, given).near} == {"the same place and shape"}


def test_layers_between_are_stepped_over() -> None:
    wanted = {"features.0.weight": (4, 3), "features.2.weight": (5, 4), "features.4.weight": (6, 5)}
    given = {f"features.{3 * i}.weight": shape for i, shape in enumerate(wanted.values())}
    given |= {"features.1.weight": (4,), "features.4.weight": (5,)}
    found = compare(wanted, given)
    assert found.same == ("features.0.weight",)
    assert {n.key: n.source for n in found.near} == {
        "features.2.weight": "features.3.weight",
        "features.4.weight": "features.6.weight",
    }


def test_inputs_and_outputs_in_the_last_axes_are_permuted_and_square_ones_with_them() -> None:
    given = {
        "conv.kernel": (3, 3, 3, 8),
        "fc1.kernel": (8, 16),
        "fc2.kernel": (16, 16),
    }
    near = {n.key: n for n in compare(NET, given).near}
    assert near["conv.weight"] == Near(
        "conv.weight", "conv.kernel", (3, 2, 0, 1), "another spelling"
    )
    assert near["fc1.weight"].permute == (1, 0)
    assert near["fc2.weight"].permute == (1, 0)  # it would fit as it is, and be wrong


def test_a_square_weight_is_not_permuted_where_others_are_as_they_are() -> None:
    given = {"linear1.w": (16, 8), "linear2.w": (16, 16)}
    assert [n.permute for n in compare(NET, given).near] == [(), ()]


def test_another_shape_is_never_proposed() -> None:
    assert compare(NET, {f"module.{key}": (7, *shape) for key, shape in NET.items()}).near == ()


def test_a_renaming_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    write_renaming(path, [Near("a", "b", (), ""), Near("c", "d", (1, 0), "")])
    assert json.loads(path.read_text()) == {"a": "b", "c": {"from": "d", "permute": [1, 0]}}
    assert read_renaming(path) == {"a": Origin("b"), "c": Origin("d", (1, 0))}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[]", "no table of keys"),
        ('{"a": 3}', "`a` is a key of the file, or"),
        ('{"a": {"from": "b", "permute": [1, 1]}}', "`a` is a key of the file, or"),
        ('{"a": {"from": "b", "permute": ["x"]}}', "`a` is a key of the file, or"),
    ],
)
def test_what_is_no_renaming_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(text)
    with pytest.raises(RenamingError, match=message):
        read_renaming(path)
