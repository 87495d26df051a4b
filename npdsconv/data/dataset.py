"""The data sets, their two halves, and a stratified way to hold some images out."""

import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npdsconv.shapes import check_choice, did_you_mean

from . import _hash, fetch

NAMES = ("mnist5k", "mnist")
"""The names that `load` knows."""

MNIST5K_FOLDER = Path(__file__).parent / "mnist5k"
MNIST5K = {
    "train-images-idx3-ubyte": "ec4f9beda356ad6a2ee9140e420f0398afe0cc2715b4c459b64bc324ec3f0b67",
    "train-labels-idx1-ubyte": "7a816c59e7e73a686d00f35194b02b3e955d80013728af490b1e249ee3b5accb",
    "t10k-images-idx3-ubyte": "60f7e018cdec3b5ab2997bd7abdf9b07453067adb78fb53f89abca204dc66c9c",
    "t10k-labels-idx1-ubyte": "2deb707b543c682b8756eefbcdce5ba142d29175f26aebc14e65ddbf12ab6eef",
}
"""File name (without .gz) -> sha256 of the decompressed file, as `build_mnist5k.py` prints them."""

_STREAM = 0x686F6C64  # "hold"


def channels_last(images: npt.NDArray[Any]) -> str:
    """What to do about images (N,H,W,C), as Keras has them; empty where they do not look like that."""
    if images.ndim == 4 and images.shape[3] in (1, 3) and min(images.shape[1:3]) >= 8:
        return "; this looks like channels last: images.transpose(0, 3, 1, 2)"
    return ""


def likely_cause(images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> str:
    """What is probably wrong with images and labels whose shapes do not fit; empty where nothing is probable."""
    if images.ndim == 3:
        return "; images[:, None] adds the channel"
    if labels.ndim == 2 and len(labels) == len(images):
        return (
            "; labels.squeeze(1) makes them flat"
            if labels.shape[1] == 1
            else "; one-hot: labels.argmax(axis=1)"
        )
    return channels_last(images)


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Parameters
    ----------
    images : (N, 1, 28, 28) uint8
        0 is background, 255 full ink. Other image sizes and channel counts are allowed too.
    labels : (N,) int64
        Classes, from 0. Both may be lists.

    Raises
    ------
    ValueError
        Shapes that do not fit; where the cause is likely known (no channel, channels last, one-hot labels), it
        is named.

    Notes
    -----
    `len(split)` is N. The arrays of a loaded data set are read-only; copy them to change them.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.ndim != 4 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"Split: images {images.shape}, labels {labels.shape}: expected (N,C,H,W), (N,)"
                f"{likely_cause(images, labels)}"
            )
        if cause := channels_last(images):
            raise ValueError(f"Split: images {images.shape}: expected (N,C,H,W){cause}")
        object.__setattr__(self, "images", images)  # lists are taken too; frozen is for whoever holds a split
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: npt.NDArray[np.integer]) -> "Split":
        """The images and labels at `index`, copied."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named data set: `train` to learn from, `test` to measure with at the very end.

    `names` are those of its classes, by label; where none are given, the labels themselves. `notes` say what one should
    know of it, a sentence each.

    Raises
    ------
    ValueError
        Halves of different shapes; labels that are negative, or in `test` alone; too few names.
    """

    name: str
    train: Split
    test: Split
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check()
        if not self.names:
            object.__setattr__(self, "names", tuple(map(str, range(self.classes))))
        elif len(self.names) < self.classes:
            raise ValueError(
                f"Dataset: {len(self.names)} names for {self.classes} classes (labels 0 to {self.classes - 1})"
            )

    def _check(self) -> None:
        """Better known now than when training has ended."""
        train, test = self.train, self.test
        if not len(train):
            raise ValueError(f"Dataset: {self.name} has no images to learn from")
        if train.images.shape[1:] != test.images.shape[1:]:
            raise ValueError(
                f"Dataset: images of train are {train.images.shape[1:]}, those of test {test.images.shape[1:]}"
            )
        for half, labels in (("train", train.labels), ("test", test.labels)):
            if len(labels) and not 0 <= labels.min() <= labels.max() < self.classes:
                raise ValueError(
                    f"Dataset: labels of {half} are from {labels.min()} to {labels.max()}: those to learn from, and so "
                    f"the outputs of a network, are from 0 to {self.classes - 1}"
                )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image: what a network has to take."""
        c, h, w = self.train.images.shape[1:]
        return c, h, w

    @property
    def classes(self) -> int:
        """How many classes there are to tell apart: the labels of `train` are below this number."""
        return int(self.train.labels.max()) + 1


def is_class_name(name: object) -> bool:
    """Whether this can be the name of a class: 1 to 40 characters that can be printed."""
    return isinstance(name, str) and 0 < len(name) <= 40 and name.isprintable()


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set of handwritten digits.

    Parameters
    ----------
    name : {"mnist5k", "mnist"}
        "mnist5k" is inside the package: 4,000 images to train and 1,000 to test, 100 of each class. Call its
        score "mini test": all its images come from MNIST's *training* set, so a model trained on "mnist" has
        seen them. "mnist" is the full set: 60,000 and 10,000.
    data_dir : path, optional
        The folder with MNIST's four IDX files, plain or .gz, also as ``train-images.idx3-ubyte`` and in
        ``MNIST/raw``, as other tools write them. Otherwise the environment variable
        `NPDSCONV_DATA_DIR` names it; otherwise the files are taken from the user's cache, and fetched if they
        are not there.

    Returns
    -------
    Dataset
        With `.train` and `.test`, each with `.images` (N,1,28,28) uint8 and `.labels` (N,) int64.

    Raises
    ------
    ValueError
        Unknown name, or a file whose checksum is wrong.
    FileNotFoundError
        A file is missing and, in the cache's case, could not be fetched. The message says what to put where.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86(11), 1998.

    Examples
    --------
    >>> digits = load("mnist5k")
    >>> digits.train.images.shape, len(digits.test)
    ((4000, 1, 28, 28), 1000)
    """
    if name == "mnist":
        arrays = fetch.mnist_arrays(data_dir)
    elif name == "mnist5k":
        if data_dir is not None:
            raise ValueError(f"load: 'mnist5k' is inside the package: data_dir {data_dir!r} has no use")
        arrays = fetch.read_folder(MNIST5K_FOLDER, MNIST5K)
    else:
        near = did_you_mean(name, NAMES) or ";"
        raise ValueError(f"load: no data set {name!r}{near} the names are {', '.join(map(repr, NAMES))}")
    return Dataset(name, _split(arrays, "train"), _split(arrays, "t10k"))


def _split(arrays: dict[str, npt.NDArray[Any]], half: str) -> Split:
    labels = arrays[f"{half}-labels-idx1-ubyte"].astype(np.int64)
    labels.flags.writeable = False
    return Split(arrays[f"{half}-images-idx3-ubyte"][:, np.newaxis], labels)


def holdout(split: Split, size: int | float, *, seed: int = 0) -> tuple[Split, Split]:
    """Hold out part of a split, each class in proportion: for choosing a model without the test set.

    Parameters
    ----------
    split : Split
        Usually `dataset.train`.
    size : int or float
        How many images to hold out, or which fraction of them, strictly between 0 and 1.
    seed : int
        The same seed gives the same images.

    Returns
    -------
    rest, held : Split
        Every image is in exactly one of them; both keep the order of `split`.
    """
    count = _holdout_count(size, len(split))
    seed = _hash.check_key("holdout", "seed", seed)
    chosen = stratified_choice(split.labels, count, seed)
    return split.take(np.flatnonzero(~chosen)), split.take(np.flatnonzero(chosen))


def few(split: Split, count: int, *, seed: int = 0) -> Split:
    """Some images of a split, each class in proportion: to learn from few labels.

    Parameters
    ----------
    split : Split
    count : int, images to keep, at least 1 and at most all
    seed : int; the same seed gives the same images

    Examples
    --------
    >>> np.bincount(few(load("mnist5k").train, 20).labels).tolist()
    [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    if count == len(split):
        return split
    _, held = holdout(split, count, seed=seed)
    return held


def choose(dataset: Dataset, classes: Sequence[int | str]) -> Dataset:
    """A data set of some classes of another, numbered anew from 0 in the order given.

    Parameters
    ----------
    dataset : Dataset
    classes : labels or names, all different

    Returns
    -------
    Dataset
        Its `names` tell what label 0, 1, ... was.

    Raises
    ------
    ValueError
        A class twice, none at all, a name that there is not, or a label of which there are no images.

    Examples
    --------
    >>> late = choose(load("mnist5k"), [5, 6, 7, 8, 9])
    >>> late.classes, late.names, len(late.train)
    (5, ('5', '6', '7', '8', '9'), 2000)
    """
    labels = [_label(dataset, one) for one in classes]
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"choose: classes must be at least one, and all different, got {list(classes)}")
    known = np.unique(dataset.train.labels).tolist()
    if strange := [label for label in labels if label not in known]:
        raise ValueError(
            f"choose: {dataset.name} has no images of class {strange[0]!r}; its classes are {known}"
        )
    names = tuple(dataset.names[label] for label in labels)
    train, test = (_chosen(half, labels) for half in (dataset.train, dataset.test))
    return Dataset(dataset.name, train, test, names, dataset.notes)


def _label(dataset: Dataset, one: int | str) -> int:
    if not isinstance(one, str):
        return one
    check_choice("choose", "a class", one, dataset.names)
    return dataset.names.index(one)


def _chosen(split: Split, classes: Sequence[int]) -> Split:
    numbers = np.full(max(*classes, *split.labels, 0) + 1, -1)
    numbers[list(classes)] = np.arange(len(classes))
    new = numbers[split.labels]
    kept = new >= 0
    return Split(split.images[kept], new[kept])


def _holdout_count(size: int | float, n: int) -> int:
    if isinstance(size, float | np.floating):
        if not 0 < size < 1:
            raise ValueError(f"holdout: fraction {size} is not strictly between 0 and 1")
        count = round(size * n)
    else:
        try:
            count = operator.index(size)
        except TypeError:
            raise TypeError(f"holdout: size {size!r} is neither a count nor a fraction") from None
    if not 0 < count < n:
        raise ValueError(f"holdout: cannot hold out {count} of {n} images: each part needs at least one")
    return count


def stratified_choice(labels: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.bool_]:
    """A mask with `count` True: each class gives its share, rounded by largest remainders."""
    classes, sizes = np.unique(labels, return_counts=True)
    shares, remainders = np.divmod(sizes * count, len(labels))
    shares[np.argsort(-remainders, kind="stable")[: count - shares.sum()]] += 1
    order = _hash.permutation(seed, 0, _STREAM, len(labels))
    mask = np.zeros(len(labels), bool)
    for label, share in zip(classes, shares, strict=True):
        mask[order[labels[order] == label][:share]] = True
    return mask
