"""Images and labels in one ``.npz`` file."""

from pathlib import Path
from typing import Any

import numpy.typing as npt

from npdsconv import disk, text
from npdsconv.data.dataset import Dataset
from npdsconv.shapes import did_you_mean

from . import parts
from .arrays import as_images, as_labels

WHERE = "from_path"
KEYS = (
    ("x_train", "y_train", "x_test", "y_test"),  # as Keras has them
    ("train_images", "train_labels", "test_images", "test_labels"),  # as MedMNIST has them
    ("images", "labels"),
    ("x", "y"),
)
"""Which arrays are looked for: images and labels to learn from and, if there are four, to measure with."""

NAMES = "names"


def read(path: Path, asked: parts.Asked) -> Dataset:
    """A data set of an ``.npz`` file: arrays by one of `KEYS`, and perhaps ``names`` of the classes.

    Raises
    ------
    ValueError, TypeError
        It is damaged, has no such arrays, or they do not fit each other.
    """
    raw = disk.read(WHERE, path)
    try:
        arrays = disk.arrays(raw, packed=True)
    except Exception as error:  # zipfile and NumPy raise a dozen different types on broken bytes
        reason = text.reason(error)
        if "allow_pickle" in reason:
            reason = "an array of Python objects, which is not read: it could run code"
        raise ValueError(f"{WHERE}: {path} is no .npz file that can be read: {reason}") from None
    keys = next((keys for keys in KEYS if set(keys) <= arrays.keys()), None)
    if keys is None:
        raise ValueError(_no_keys(path, arrays))
    halves = [_half(path, arrays, *keys[k : k + 2]) for k in range(0, len(keys), 2)]
    names = [str(name) for name in arrays[NAMES].ravel().tolist()] if NAMES in arrays else None
    return parts.dataset(WHERE, path.stem, asked, halves[0], halves[1] if halves[1:] else None, names)


def _half(path: Path, arrays: dict[str, npt.NDArray[Any]], x: str, y: str) -> parts.Half:
    images = as_images(WHERE, f"{x} of {path}", arrays[x])
    return images, as_labels(WHERE, f"{y} of {path}", arrays[y], len(images))


def _no_keys(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> str:
    known = [key for keys in KEYS for key in keys]
    near = next((near for name in arrays if (near := did_you_mean(name, known))), "")
    wanted = "; or ".join(", ".join(keys) for keys in KEYS)
    return f"{WHERE}: {path} has the arrays {text.few(list(arrays))}{near or ','} expected are {wanted}"
