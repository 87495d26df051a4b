"""CIFAR-10 and CIFAR-100 in their binary form: a byte or two for the label, then 32x32 pixels of each colour.

A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from npdsconv import disk
from npdsconv.data.dataset import Dataset

from . import parts

WHERE = "from_path"
_IMAGE = (3, 32, 32)


class Kind(NamedTuple):
    """Which files a set has, how many bytes of labels an image has (the last counts), and how many classes."""

    train: str
    test: str
    names: str
    labels: int
    classes: int


KINDS = (
    Kind("data_batch_*.bin", "test_batch.bin", "batches.meta.txt", 1, 10),
    Kind("train.bin", "test.bin", "fine_label_names.txt", 2, 100),
)


def kind_of(folder: Path) -> Kind | None:
    """Which of the sets is in a folder."""
    return next((kind for kind in KINDS if list(folder.glob(kind.train))), None)


def read(folder: Path, kind: Kind, asked: parts.Asked) -> Dataset:
    """The data set in a folder.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing, or has a length or a label that cannot be.
    """
    batches = [_batch(path, kind) for path in sorted(folder.glob(kind.train))]
    train = (
        np.concatenate([images for images, _ in batches]),
        np.concatenate([labels for _, labels in batches]),
    )
    names = None
    if (file := folder / kind.names).is_file():
        names = disk.read(WHERE, file).decode("utf-8", "replace").split()
    test = _batch(folder / kind.test, kind)
    return parts.dataset(WHERE, folder.resolve().name, asked, train, test, names)


def _batch(path: Path, kind: Kind) -> parts.Half:
    raw = disk.read(WHERE, path)
    length = kind.labels + int(np.prod(_IMAGE))
    if not raw or len(raw) % length:
        raise ValueError(
            f"{WHERE}: {path} is damaged: {len(raw):,} bytes are no whole number of images of {length:,}"
        )
    rows = np.frombuffer(raw, np.uint8).reshape(-1, length)
    labels = rows[:, kind.labels - 1]
    if labels.max() >= kind.classes:
        raise ValueError(f"{WHERE}: {path} is damaged: label {labels.max()}, of {kind.classes} classes")
    return rows[:, kind.labels :].reshape(-1, *_IMAGE), labels
