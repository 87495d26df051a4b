"""MNIST's files as other tools name them, and what a wrong file is said to be."""

import gzip
import hashlib

import numpy as np
import pytest

from npdsconv.data import fetch, files, idx, load

NAME = "train-images-idx3-ubyte"
DIGITS = load("mnist5k").test
RAW = idx.encode(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))


@pytest.mark.parametrize(
    "place",
    [
        NAME,
        f"{NAME}.gz",
        "train-images.idx3-ubyte",
        "train-images.idx3-ubyte.gz",
        "Train_Images_IDX3_ubyte",
        f"{NAME}/{NAME}",
        "train-images.idx3-ubyte/train-images-idx3-ubyte.gz",
        f"raw/{NAME}",
        f"MNIST/raw/{NAME}.gz",
    ],
)
def test_names_of_other_tools(tmp_path, place):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(gzip.compress(RAW) if place.endswith(".gz") else RAW)
    assert files.find(tmp_path, NAME) == tmp_path / place
    with pytest.raises(FileNotFoundError, match="has neither t10k-images-idx3-ubyte nor"):
        files.find(tmp_path, "t10k-images-idx3-ubyte")


def test_the_original_name_comes_first(tmp_path):
    for name in ("train-images.idx3-ubyte", f"{NAME}.gz", NAME):
        (tmp_path / name).write_bytes(RAW)
    assert files.find(tmp_path, NAME) == tmp_path / NAME


def test_what_there_is_instead_is_listed(tmp_path):
    message = rf"load: .* has neither {NAME} nor {NAME}\.gz"
    with pytest.raises(FileNotFoundError, match=rf"{message}; there are no files in it$"):
        files.find(tmp_path, NAME)
    for k in range(8):
        (tmp_path / f"emnist-{k}.gz").touch()
    with pytest.raises(
        FileNotFoundError, match=rf"{message}; files there: emnist-0\.gz, .*5\.gz and 2 more$"
    ):
        files.find(tmp_path, NAME)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            b"<!DOCTYPE html><title>403</title>",
            r"33 bytes, begins with <!DOCTYPE html: a web page, not an IDX file",
        ),
        (b"\xef\xbb\xbf\n<html lang='en'>", r"20 bytes, begins with <html lang='en': a web page"),
        (b"<?xml version='1.0'?><Error/>", r"29 bytes, begins with <\?xml version='1.0'\?: a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"PK\x03\x04 and so on", "a zip archive: unpack it"),
        (b"", "0 bytes, empty"),
        (b"other", "5 bytes, damaged or no IDX file: not an IDX file: it starts with 6f 74 68 65"),
        (RAW[:-1], "damaged or no IDX file: truncated: uint8 of shape \\(3, 2, 2\\) takes 28 bytes, not 27"),
        (
            RAW,
            r"well-formed, but not MNIST: uint8 3x2x2, .*To train on it: npdsconv train --folder, or data\.from_path",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path, monkeypatch, raw, said):
    (tmp_path / f"{NAME}.gz").write_bytes(raw)
    with pytest.raises(ValueError, match=rf"load: .*{NAME}\.gz is damaged or wrong: .*{said}"):
        fetch.read_folder(tmp_path, {NAME: hashlib.sha256(b"right").hexdigest()})


def test_images_that_lie_on_their_side_are_recognised():
    digits = DIGITS.images[:, 0]
    assert files.looks_transposed(digits.transpose(0, 2, 1))
    assert not files.looks_transposed(digits)
    assert not files.looks_transposed(np.zeros((5, 28, 28), np.uint8))
    shoes = np.zeros((5, 28, 28), np.uint8)
    shoes[:, 12:20] = 200  # wide, but up to the border, as clothes are
    assert not files.looks_transposed(shoes)
    said = files.what_it_is(b"", idx.encode(digits.transpose(0, 2, 1)))
    assert "its images lie on their side, as those of EMNIST do: images.transpose(0, 2, 1)" in said
    assert "side" not in files.what_it_is(b"", idx.encode(digits))


def test_other_data_in_the_same_format_become_a_split(tmp_path):
    """What the message says works."""
    from npdsconv.data import Split, read_idx

    for name, array in (("images", DIGITS.images[:9, 0]), ("labels", DIGITS.labels[:9].astype(np.uint8))):
        (tmp_path / name).write_bytes(idx.encode(array))
    split = Split(read_idx(tmp_path / "images")[:, None], read_idx(tmp_path / "labels"))
    np.testing.assert_array_equal(split.images, DIGITS.images[:9])
    np.testing.assert_array_equal(split.labels, DIGITS.labels[:9])
