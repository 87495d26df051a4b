"""What every source of data of one's own needs: classes numbered from 0, a test part kept apart, one size for all."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from npdsconv.data import _hash
from npdsconv.data.dataset import Dataset, Split, is_class_name
from npdsconv.data.images import frame
from npdsconv.shapes import check_number, did_you_mean, pair

LARGEST_SIDE = 1024
_STREAM = 0x74657374  # "test"


Half = tuple[npt.NDArray[np.uint8], Any]
"""Images (N,C,H,W), and for each of them the number or the name of its class."""


class Asked(NamedTuple):
    """What one may ask for besides the place of the data; made by `checked`."""

    size: tuple[int, int] | None
    channels: int | None
    test: float
    seed: int
    skip_bad: bool


def checked(
    where: str,
    size: int | tuple[int, int] | None,
    channels: int | None,
    test: float,
    seed: int,
    skip_bad: bool,
) -> Asked:
    """What is asked for, if all of it makes sense.

    Raises
    ------
    TypeError, ValueError
        The first that does not: its name, the rule and the value.
    """
    sides = None if size is None else pair(where, "size", size)
    if sides and max(sides) > LARGEST_SIDE:
        raise ValueError(f"{where}: size must be at most {LARGEST_SIDE}, got {size!r}")
    if channels not in (None, 1, 3):
        raise ValueError(f"{where}: channels must be 1, 3 or None, got {channels!r}")
    return Asked(
        sides,
        channels,
        check_number(where, "test", test, 0, 1, open_low=True, open_high=True),
        _hash.check_key(where, "seed", seed),
        bool(skip_bad),
    )


def dataset(
    where: str,
    name: str,
    asked: Asked,
    train: Half,
    test: Half | None,
    names: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> Dataset:
    """A data set of two halves; without `test`, a share of `train` is kept apart.

    Parameters
    ----------
    where : name of the function that asks, for the errors
    names : of the classes whose numbers are 0, 1, ...; None: the numbers themselves, or the names that stand for them

    Raises
    ------
    ValueError
        One class alone, a class to measure with that was never learned, too few images for a test part.
    """
    images, kinds = train[0], np.asarray(train[1])
    found = np.unique(kinds)
    labels = np.searchsorted(found, kinds)
    if len(found) < 2:
        raise ValueError(
            f"{where}: {name} has only one class, {found[:1].tolist()}: at least two are to be told apart"
        )
    called = tuple(_called(where, kind, names) for kind in found.tolist())
    if twice := next((c for k, c in enumerate(called) if c in called[:k]), None):
        raise ValueError(f"{where}: two classes of {name} have the name {twice!r}")
    learn = Split(images, labels)
    if test is None:
        learn, measure = _apart(where, learn, called, asked)
    else:
        measure = Split(test[0], _numbered(where, np.asarray(test[1]), found, called))
    learn, measure = (framed(half, asked) for half in (learn, measure))
    return Dataset(name, learn, measure, called, (*notes, *_repeated(learn, measure)))


def framed(split: Split, asked: Asked) -> Split:
    """The images in the size and with the channels that are asked for."""
    channels, height, width = split.images.shape[1:]
    size, planes = asked.size or (height, width), asked.channels or channels
    if (planes, *size) == (channels, height, width):
        return split
    shades = np.float32(255)
    images = [frame(image.transpose(1, 2, 0) / shades, planes, size) for image in split.images]
    return Split(np.stack(images), split.labels)


def _called(where: str, kind: int | str, names: Sequence[str] | None) -> str:
    """The name of a class that has a number or, already, a name."""
    if names is not None and isinstance(kind, int):
        if kind >= len(names):
            raise ValueError(f"{where}: there are {len(names)} names of classes, and label {kind}")
        kind = names[kind]
    if not is_class_name(name := str(kind)):
        raise ValueError(
            f"{where}: the name of a class must be 1 to 40 characters that can be printed, got {name[:60]!r}"
        )
    return name


def _numbered(
    where: str, kinds: npt.NDArray[Any], found: npt.NDArray[Any], called: Sequence[str]
) -> npt.NDArray[Any]:
    """The labels of the test part, by the classes that are learned."""
    if strange := sorted(set(kinds.tolist()) - set(found.tolist())):
        raise ValueError(
            f"{where}: the test part has class {strange[0]!r}, and there is nothing to learn of it"
            f"{did_you_mean(strange[0], called)}"
        )
    return np.searchsorted(found, kinds)


def _apart(where: str, split: Split, names: Sequence[str], asked: Asked) -> tuple[Split, Split]:
    """Each class gives its share to the test part, at least one image and not all."""
    order = _hash.permutation(asked.seed, 0, _STREAM, len(split))
    held = np.zeros(len(split), bool)
    for label, name in enumerate(names):
        own = order[split.labels[order] == label]
        if len(own) < 2:
            raise ValueError(
                f"{where}: class {name!r} has too few images for a test part: {len(own)}; at least 2 are needed, "
                f"or a test part of its own"
            )
        held[own[: min(max(1, round(asked.test * len(own))), len(own) - 1)]] = True
    return split.take(np.flatnonzero(~held)), split.take(np.flatnonzero(held))


def _repeated(learn: Split, measure: Split) -> list[str]:
    """A word on images that are in both halves: what was learned by heart counts as right."""
    known = {_digest(image) for image in learn.images}
    both = sum(_digest(image) in known for image in measure.images)
    if not both:
        return []
    return [f"{both:,} of the {len(measure):,} test images are among those to learn from, to the last pixel"]


def _digest(image: npt.NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()
