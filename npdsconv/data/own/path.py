"""What is in a folder or a file, told by a look at it."""

import os
from pathlib import Path

from npdsconv import disk, text
from npdsconv.data.dataset import Dataset

from . import cifar, folder, idx_set, npz, parts

WHERE = "from_path"
CAN_BE = (
    "a folder with a folder of pictures for each class, a file .npz, or a folder with IDX files (as of Fashion-MNIST) "
    "or with the binary files of CIFAR"
)


def from_path(
    path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    test: float = 0.2,
    seed: int = 0,
    skip_bad: bool = False,
) -> Dataset:
    """A data set of one's own, whatever it is kept in.

    Parameters
    ----------
    path : path
        A folder with a folder of pictures for each class (see `from_folder`). A file ``.npz`` with the arrays
        ``x_train, y_train, x_test, y_test`` (as Keras' mnist.npz), ``train_images, train_labels, test_images,
        test_labels``, ``images, labels`` or ``x, y``, and perhaps ``names`` of the classes. A folder with IDX files
        under the names by which Fashion-MNIST, KMNIST and EMNIST are given out, plain or .gz, or one of several such
        sets by one of its files; EMNIST's images are set upright; ``names.txt`` may name the classes, a line each. A
        folder with the binary files of CIFAR-10 or CIFAR-100. Or a folder with one of these alone in it.
    size, channels : optional
        As of `from_folder`. Arrays keep theirs by default.
    test, seed
        Share and choice of the images to measure with, where they are not kept apart already.
    skip_bad : bool
        As of `from_folder`.

    Returns
    -------
    Dataset
        Labels are numbered anew from 0 where some are missing, as in EMNIST's letters; its `names` keep the old ones.

    Raises
    ------
    FileNotFoundError, OSError, ValueError, TypeError
        There is nothing of that name, it is nothing of these kinds, or it is damaged. The message names the file.
    """
    asked = parts.checked(WHERE, size, channels, test, seed, skip_bad)
    place = Path(os.path.expanduser(path))
    if not disk.is_there(place):
        raise FileNotFoundError(f"{WHERE}: there is nothing at {place}: expected {CAN_BE}")
    if place.is_file():
        return _of_file(place, asked)
    if found := _of_arrays(place, asked):
        return found
    inner = folder.class_folders(place)
    if len(inner) == 1 and not folder.pictures(inner[0]):  # as archives unpack: one folder, which holds all
        return from_path(inner[0], **asked._asdict())
    if not inner and not folder.pictures(place):
        there = text.few(sorted(p.name for p in place.iterdir()))
        pickled = any(place.glob("data_batch_[1-5]"))
        more = (
            "; its batches are Python pickles, which can run code: take the binary version" if pickled else ""
        )
        raise ValueError(f"{WHERE}: {place} holds {there}{more}; expected is {CAN_BE}")
    return folder.from_folder(place, **asked._asdict())


def _of_file(file: Path, asked: parts.Asked) -> Dataset:
    if file.suffix.lower() == ".npz":
        return npz.read(file, asked)
    if name := idx_set.told(file):
        return idx_set.read(file.parent, idx_set.find(file.parent), name.set, asked)
    if file.suffix == ".bin" and (kind := cifar.kind_of(file.parent)):
        return cifar.read(file.parent, kind, asked)
    raise ValueError(f"{WHERE}: {file} is a file of another kind: expected is {CAN_BE}")


def _of_arrays(place: Path, asked: parts.Asked) -> Dataset | None:
    """The data set of a folder that holds arrays; None if there are none in it."""
    if kind := cifar.kind_of(place):
        return cifar.read(place, kind, asked)
    if found := idx_set.find(place):
        return idx_set.read(place, found, None, asked)
    packed = sorted(place.glob("*.npz"))
    if len(packed) > 1:
        raise ValueError(
            f"{WHERE}: {place} has several files .npz, {text.few([p.name for p in packed])}: name one"
        )
    return npz.read(packed[0], asked) if packed else None
