"""Data of one's own in arrays: .npz, IDX files under their usual names, CIFAR's binary files; telling which it is."""

import gzip
import io
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from npdsconv import data
from npdsconv.data import Split, idx
from npdsconv.data.dataset import Dataset

RNG = np.random.default_rng(6)
X, Y = RNG.integers(0, 256, (12, 9, 8, 3), np.uint8), np.arange(12) % 3
OWN = RNG.integers(0, 256, (6, 9, 8, 3), np.uint8), np.arange(6) % 3


def npz(path, compressed=False, **arrays):
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


# ---- .npz ----


@pytest.mark.parametrize("compressed", [False, True])
def test_four_arrays_as_keras_has_them(tmp_path, compressed):
    path = npz(tmp_path / "mine.npz", compressed, x_train=X, y_train=Y[:, None], x_test=OWN[0], y_test=OWN[1])
    found = data.from_path(path)
    assert (found.name, found.shape, found.names) == ("mine", (3, 9, 8), ("0", "1", "2"))
    np.testing.assert_array_equal(found.train.images, X.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(found.train.labels, Y)
    np.testing.assert_array_equal(found.test.labels, OWN[1])
    assert data.from_path(tmp_path).name == "mine", "the only file of a folder"
    assert data.from_path(path, size=(5, 6), channels=1).shape == (1, 5, 6)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (X.transpose(0, 3, 1, 2), Y),
        (X / 255, np.eye(3)[Y]),
        (X.astype(np.float32), Y.astype(np.float64)),
        (X.astype(np.int64), Y.astype(np.uint8)),
    ],
    ids=["channels first", "fractions, one-hot", "floats", "whole numbers"],
)
def test_two_arrays_in_every_usual_form_are_divided(tmp_path, images, labels):
    found = data.from_path(npz(tmp_path / "a.npz", images=images, labels=labels, names=["x", "y", "z"]))
    assert found.names == ("x", "y", "z")
    assert np.bincount(found.test.labels).tolist() == [1, 1, 1]
    for image, label in zip(found.train.images, found.train.labels, strict=True):
        (place,) = np.flatnonzero((X.transpose(0, 3, 1, 2) == image).all(axis=(1, 2, 3)))
        assert Y[place] == label


def test_labels_may_be_names_and_may_have_gaps(tmp_path):
    named = data.from_path(npz(tmp_path / "a.npz", x=X[..., 0], y=np.array(["owl", "ant", "bee"])[Y]))
    assert (named.names, named.shape) == (("ant", "bee", "owl"), (1, 9, 8))
    gaps = data.from_path(npz(tmp_path / "b.npz", x=X[..., 0], y=np.array([7, 2, 40])[Y]))
    assert (gaps.names, gaps.classes) == (("2", "7", "40"), 3)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"imagse": X, "labels": Y}, "has the arrays 'imagse', 'labels', did you mean 'images'"),
        ({"arr_0": X}, "has the arrays 'arr_0', expected are x_train, y_train, x_test, y_test; or"),
        ({"x": X[0, 0], "y": Y}, r"x of .* has shape \(8, 3\), expected images \(N,H,W\)"),
        ({"x": X[:, :, :, :2], "y": Y}, r"has shape \(12, 9, 8, 2\), expected images"),
        ({"x": X, "y": Y[:5]}, r"y of .* has shape \(5,\), expected \(12,\), one for each image"),
        ({"x": X, "y": Y - 1}, "y of .* has negative labels, such as -1"),
        ({"x": X - 300.0, "y": Y}, "pixels of x of .* are from -300 to -45, expected 0 to 255"),
        ({"x": X * np.nan, "y": Y}, "pixels of x of .* are from nan to nan"),
        ({"x": X, "y": np.zeros(12, int)}, r"has only one class, \[0\]: at least two"),
        ({"x": X, "y": Y, "names": ["a", "b"]}, "there are 2 names of classes, and label 2"),
        ({"x": X, "y": Y, "names": ["a", "b", "a"]}, "two classes of a have the name 'a'"),
        ({"x": X, "y": Y, "names": ["a", "", "b"]}, "the name of a class must be 1 to 40 characters"),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1},
            "the test part has class 3, and there is nothing",
        ),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :4], "y_test": Y},
            r"Dataset: images of train are \(3, 9, 8\), those of test \(3, 4, 8\)",
        ),
        (
            {"x": X, "y": np.array([None] * 12)},
            "an array of Python objects, which is not read: it could run code",
        ),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, said):
    with pytest.raises(ValueError, match=said):
        data.from_path(npz(tmp_path / "a.npz", **arrays))


@pytest.mark.parametrize("name", ["x", "y"])
def test_arrays_of_other_kinds(tmp_path, name):
    with pytest.raises(TypeError, match=f"from_path: {name} of .* is complex128, expected"):
        data.from_path(npz(tmp_path / "a.npz", **{"x": X, "y": Y} | {name: {"x": X, "y": Y}[name] * 1j}))


def test_files_npz_that_lie(tmp_path):
    path = tmp_path / "a.npz"
    whole = npz(path, images=X, labels=Y).read_bytes()
    for bad in (b"", b"PK\x03\x04", whole[: len(whole) // 2], whole[:300] + b"?" + whole[301:], b"text"):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"from_path: .*a\.npz is no \.npz file that can be read: "):
            data.from_path(path)
    npz(path, compressed=True, images=np.zeros((7000, 99, 99), np.uint8), labels=np.zeros(7000, int))
    with pytest.raises(ValueError, match="its entries are more than the file has room for"):
        data.from_path(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 50, 9, 9)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", header.getvalue())
        archive.writestr("labels.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"is no \.npz file that can be read"):
        data.from_path(path)


# ---- IDX ----


def idx_file(path, array, packed=False):
    raw = idx.encode(np.asarray(array))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw) if packed else raw)
    return path


def characters(n, seed=0):
    """Upright strokes, taller than wide, of three classes, on an empty ground."""
    x = np.zeros((n, 28, 28), np.uint8)
    x[:, 5:23, 11:17] = np.random.default_rng(seed).integers(1, 256, (n, 18, 6))
    return x, np.arange(n) % 3


def idx_set(folder, name="", test="t10k", packed=False, turned=False, first=0):
    x, y = characters(12)
    own, measured = characters(6, seed=1)
    if turned:
        x, own = x.transpose(0, 2, 1), own.transpose(0, 2, 1)
    end = ".gz" if packed else ""
    idx_file(folder / f"{name}train-images-idx3-ubyte{end}", x, packed)
    idx_file(folder / f"{name}train-labels-idx1-ubyte{end}", (y + first).astype(np.uint8), packed)
    idx_file(folder / f"{name}{test}-images-idx3-ubyte{end}", own, packed)
    idx_file(folder / f"{name}{test}-labels-idx1-ubyte{end}", (measured + first).astype(np.uint8), packed)


@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist_under_its_names(tmp_path, packed):
    idx_set(tmp_path / "fashion", packed=packed)
    found = data.from_path(tmp_path / "fashion")
    assert (found.name, found.shape, found.names, found.notes) == (
        "fashion",
        (1, 28, 28),
        ("0", "1", "2"),
        (),
    )
    np.testing.assert_array_equal(found.train.images[:, 0], characters(12)[0])
    np.testing.assert_array_equal(found.test.labels, characters(6)[1])
    assert len(data.from_path(tmp_path).test) == 6, "in the one folder of a folder"
    (tmp_path / "fashion" / "names.txt").write_text("shirt\ncoat \n\nankle boot\n")
    assert data.from_path(tmp_path / "fashion").names == ("shirt", "coat", "ankle boot")


def test_emnist_is_set_upright_and_its_letters_are_named(tmp_path):
    idx_set(tmp_path / "gzip", "emnist-letters-", "test", packed=True, turned=True, first=1)
    (tmp_path / "gzip" / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n3 67 99\n")
    found = data.from_path(tmp_path / "gzip")
    assert (found.name, found.names) == ("emnist-letters", ("A", "B", "C"))
    assert found.notes == ("the images lay on their side, as those of EMNIST do: they are set upright",)
    np.testing.assert_array_equal(found.train.images[:, 0], characters(12)[0])
    np.testing.assert_array_equal(found.test.images[:, 0], characters(6, seed=1)[0])
    idx_set(tmp_path / "gzip", "emnist-digits-", "test")
    several = r"gzip has several sets, emnist-digits, emnist-letters: name a file of the one you mean, such as .*digits"
    with pytest.raises(ValueError, match=several):
        data.from_path(tmp_path / "gzip")
    one = data.from_path(tmp_path / "gzip" / "emnist-digits-train-images-idx3-ubyte")
    assert (one.name, one.notes) == ("emnist-digits", ())
    np.testing.assert_array_equal(one.train.images[:, 0], characters(12)[0])


def test_others_that_lie_on_their_side_are_left_and_told_of(tmp_path):
    idx_set(tmp_path / "mine", turned=True)
    found = data.from_path(tmp_path / "mine")
    assert "look as if they lay on their side" in found.notes[0]
    np.testing.assert_array_equal(found.train.images[:, 0], characters(12)[0].transpose(0, 2, 1))


def test_a_half_that_is_missing(tmp_path):
    idx_set(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"has no test labels; files there: 't10k-images-idx3-ubyte', "
    ):
        data.from_path(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    divided = data.from_path(tmp_path)
    assert (len(divided.train), len(divided.test)) == (9, 3)
    idx_file(tmp_path / "train-labels-idx1-ubyte", np.zeros(5, np.uint8))
    with pytest.raises(ValueError, match=r"train-labels.* has shape \(5,\), expected \(12,\)"):
        data.from_path(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"<html>")
    with pytest.raises(ValueError, match="train-labels-idx1-ubyte: not an IDX file"):
        data.from_path(tmp_path)


# ---- CIFAR ----


def batch(n, labels=1, seed=0, classes=10):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (n, labels + 3072), np.uint8)
    rows[:, :labels] = 0
    rows[:, labels - 1] = np.arange(n) % classes
    return rows


def test_cifar_10_in_its_binary_form(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for k in (1, 2):
        (folder / f"data_batch_{k}.bin").write_bytes(batch(10, seed=k).tobytes())
    (folder / "test_batch.bin").write_bytes(batch(20, seed=9).tobytes())
    (folder / "batches.meta.txt").write_text(
        "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
    )
    for place in (tmp_path, folder, folder / "data_batch_1.bin"):
        found = data.from_path(place)
        assert (found.shape, len(found.train), len(found.test)) == ((3, 32, 32), 20, 20)
        assert found.names[3] == "cat"
        pixels = batch(10, seed=2)[4, 1:].reshape(3, 32, 32)
        np.testing.assert_array_equal(found.train.images[14], pixels)
        assert found.train.labels[14] == 4
    (folder / "data_batch_2.bin").write_bytes(b"x" * 3074)
    with pytest.raises(
        ValueError, match=r"data_batch_2\.bin is damaged: 3,074 bytes are no whole number of images"
    ):
        data.from_path(folder)
    (folder / "data_batch_2.bin").write_bytes(b"x" * 3073)
    with pytest.raises(ValueError, match=r"data_batch_2\.bin is damaged: label 120, of 10 classes"):
        data.from_path(folder)
    (folder / "test_batch.bin").unlink()
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*test_batch\.bin"):
        data.from_path(folder)


def test_cifar_100_takes_the_fine_labels(tmp_path):
    (tmp_path / "train.bin").write_bytes(batch(200, 2, classes=100).tobytes())
    (tmp_path / "test.bin").write_bytes(batch(100, 2, seed=1, classes=100).tobytes())
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"thing{k}" for k in range(100)))
    found = data.from_path(tmp_path)
    assert (found.classes, found.names[57], found.shape) == (100, "thing57", (3, 32, 32))
    np.testing.assert_array_equal(found.train.labels, np.arange(200) % 100)


# ---- telling ----


def test_a_folder_of_pictures_in_a_folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "download" / name).mkdir(parents=True)
        for k in range(3):
            Image.fromarray(X[k]).save(tmp_path / "download" / name / f"{k}.png")
    assert data.from_path(tmp_path).names == ("a", "b")
    assert data.from_path(tmp_path).name == "download"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            [],
            r"holds nothing; expected is a folder with a folder of pictures for each class, a file \.npz, or",
        ),
        (["readme.txt", "a.csv"], "holds 'a.csv', 'readme.txt'; expected is"),
        (
            ["data_batch_1", "test_batch"],
            "its batches are Python pickles, which can run code: take the binary version",
        ),
        (["a.npz", "b.npz"], r"has several files \.npz, 'a.npz', 'b.npz': name one"),
    ],
)
def test_a_folder_of_nothing_that_is_known(tmp_path, files, said):
    for name in files:
        (tmp_path / name).write_bytes(b"1")
    with pytest.raises(ValueError, match=said):
        data.from_path(tmp_path)


def test_a_place_that_is_nothing_that_is_known(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"from_path: there is nothing at .*nowhere: expected a folder"
    ):
        data.from_path(tmp_path / "nowhere")
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(ValueError, match=re.escape("a.csv is a file of another kind: expected is")):
        data.from_path(tmp_path / "a.csv")


# ---- what every data set promises ----


def test_labels_that_no_output_answers_for_are_refused():
    def halves(train, test):
        return (Split(np.zeros((len(y), 1, 4, 4), np.uint8), np.array(y)) for y in (train, test))

    with pytest.raises(
        ValueError, match=r"labels of test are from 0 to 3: those to learn from, .* are from 0 to 2"
    ):
        Dataset("d", *halves([0, 1, 2], [0, 3]))
    with pytest.raises(ValueError, match="labels of train are from -1 to 2"):
        Dataset("d", *halves([-1, 1, 2], [0]))
    with pytest.raises(ValueError, match="d has no images to learn from"):
        Dataset("d", *halves([], [0]))
