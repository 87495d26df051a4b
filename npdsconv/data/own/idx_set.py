"""Pairs of IDX files under the names by which Fashion-MNIST, KMNIST, EMNIST and others are given out."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npdsconv import disk, text
from npdsconv.data import files, idx
from npdsconv.data.dataset import Dataset

from . import parts
from .arrays import as_images, as_labels

WHERE = "from_path"
_FORM = re.compile(r"(?P<set>.*?)-?(?P<half>train|test|t10k)-(?P<what>images|labels)-idx[13]-ubyte")
_ON_THEIR_SIDE = "the images lay on their side, as those of EMNIST do: they are set upright"
_PERHAPS = "the images look as if they lay on their side, as those of EMNIST do; they are left as they are"


class Parts(NamedTuple):
    """Which set a file belongs to, which half of it, and which array."""

    set: str
    half: str
    what: str


Files = dict[Parts, Path]


def find(folder: Path) -> Files:
    """The IDX files in a folder, by what their names say."""
    found: Files = {}
    for path in sorted(folder.iterdir()):
        parts_of_name = told(path)
        if parts_of_name and path.is_file():
            found.setdefault(parts_of_name, path)
    return found


def told(path: Path) -> Parts | None:
    """What the name of a file says; None if it is no such name."""
    match = _FORM.fullmatch(files.words(path.name))
    if match is None:
        return None
    return Parts(match["set"], "train" if match["half"] == "train" else "test", match["what"])


def read(folder: Path, found: Files, chosen: str | None, asked: parts.Asked) -> Dataset:
    """The data set of these files, which are all in one folder; `chosen` says which, where there are several.

    Raises
    ------
    FileNotFoundError
        Images without labels, labels without images.
    ValueError
        Several sets and none chosen; files that are damaged or do not fit each other.
    """
    sets = sorted({name for name, _, _ in found})
    if chosen is None and len(sets) > 1:
        one = next(path for parts_of_name, path in found.items() if parts_of_name.set == sets[0])
        raise ValueError(
            f"{WHERE}: {folder} has several sets, {', '.join(sets)}: name a file of the one you mean, such as {one}"
        )
    name = sets[0] if chosen is None else chosen
    train = _half(folder, found, name, "train")
    has_test = any((of, half) == (name, "test") for of, half, _ in found)
    test = _half(folder, found, name, "test") if has_test else None
    notes = []
    if train[0].shape[1] == 1 and files.looks_transposed(train[0][:, 0]):
        is_emnist = "emnist" in f"{folder.resolve()}-{name}".lower()
        if is_emnist:
            train, test = _upright(train), test and _upright(test)
        notes = [_ON_THEIR_SIDE if is_emnist else _PERHAPS]
    called = name or folder.resolve().name
    return parts.dataset(WHERE, called, asked, train, test, _names(folder, name), notes)


def _upright(half: parts.Half) -> parts.Half:
    return np.ascontiguousarray(half[0].swapaxes(2, 3)), half[1]


def _half(folder: Path, found: Files, name: str, half: str) -> parts.Half:
    arrays = []
    for what in ("images", "labels"):
        path = found.get(Parts(name, half, what))
        if path is None:
            there = text.few([p.name for p in found.values()])
            raise FileNotFoundError(
                f"{WHERE}: {folder} has no {half} {what}{f' of {name}' if name else ''}; files there: {there}"
            )
        arrays.append((str(path), idx.read_idx(path)))
    images = as_images(WHERE, *arrays[0])
    return images, as_labels(WHERE, *arrays[1], len(images)).astype(np.int64)


def _names(folder: Path, name: str) -> list[str] | None:
    """Names of the classes: from ``names.txt``, a line each, or EMNIST's mapping of a label to a character."""
    if (file := folder / "names.txt").is_file():
        lines = disk.read(WHERE, file).decode("utf-8", "replace").splitlines()
        return [line.strip() for line in lines if line.strip()]
    if (file := folder / f"{name}-mapping.txt").is_file():
        rows = [line.split() for line in disk.read(WHERE, file).decode("ascii", "replace").splitlines()]
        numbers = all(len(row) > 1 and all(c.isdecimal() and len(c) < 6 for c in row) for row in rows)
        if rows and numbers:
            called = {int(row[0]): chr(int(row[1])) for row in rows}
            return [called.get(label, str(label)) for label in range(max(called) + 1)]
    return None
