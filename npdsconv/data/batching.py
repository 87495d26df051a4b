"""Mini-batches whose order and augmentation are functions of (seed, epoch, index)."""

import operator
import warnings
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from . import _hash

_SHUFFLE_STREAM = 0x73687566  # "shuf"


class Augment(Protocol):
    """What `batches` asks of an augmentation; `Affine` is one.

    It gets a batch (n,C,H,W) and where it comes from, and returns a new batch of the same shape and dtype.
    What it does to one image may depend on `seed`, `epoch` and that image's `index`, and on nothing else.
    """

    def __call__(
        self, x: npt.NDArray[Any], *, seed: int, epoch: int, index: npt.NDArray[np.integer]
    ) -> npt.NDArray[Any]: ...


def to_float(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pixels as the models take them: uint8 becomes float32 in [0, 1].

    Parameters
    ----------
    images : ndarray of uint8, float32 or float64
        uint8 is divided by 255. Floating-point images are taken to be scaled already, to [0, 1] or to mean 0, and
        are returned as they are.

    Returns
    -------
    ndarray of float32 (float64 if `images` is float64)

    Raises
    ------
    TypeError
        Any other dtype: its scale cannot be known.
    ValueError
        NaN or infinity among floating-point pixels.

    Warns
    -----
    UserWarning
        Floating-point pixels that are nowhere negative and go far beyond 1: they look like 0 to 255, and a network
        that knows [0, 1] cannot read them.

    Examples
    --------
    >>> to_float(np.array([0, 51, 255], np.uint8))
    array([0. , 0.2, 1. ], dtype=float32)
    """
    if images.dtype == np.uint8:
        return np.divide(images, 255, dtype=np.float32)
    if images.dtype not in (np.float32, np.float64):
        raise TypeError(f"to_float: images are {images.dtype}; uint8, float32 or float64 are accepted")
    if not np.isfinite(images).all():
        bad = np.count_nonzero(~np.isfinite(images))
        raise ValueError(f"to_float: {bad} of {images.size} pixels are not finite")
    if images.size and images.min() >= 0 and (most := images.max()) >= _BRIGHT:
        warnings.warn(
            f"images are {images.dtype} from {images.min():g} to {most:g}: floating-point images are expected in "
            f"[0, 1]; divide by {_full_scale(most)}, or give uint8",
            stacklevel=2,
        )
    return images


_BRIGHT = 4  # interpolation, or division by a standard deviation, goes a little beyond 1


def _full_scale(most: float) -> int:
    """The usual scale that holds such pixels: of 4, 8 or 16 bits."""
    return next((full for full in (16, 255) if most <= full), 65535)


def batches(
    images: npt.NDArray[Any],
    labels: npt.NDArray[np.integer],
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    shuffle: bool = True,
    augment: Augment | None = None,
    drop_last: bool = False,
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64]]]:
    """Go once through the images, in batches.

    Parameters
    ----------
    images : (N,C,H,W) uint8, float32 or float64
        Converted batch by batch with `to_float`.
    labels : (N,) integers
        One for each image.
    batch_size : int
        Images in a batch; the last batch takes what is left.
    seed, epoch : int
        Which order, and which augmentation. The batch size does not change either of them.
    shuffle : bool
        False keeps the order of `images`, for evaluation.
    augment : callable, optional
        For example `Affine(rotate=10, shift=2)`; see `Augment`.
    drop_last : bool
        Leave out a last batch that is not full.

    Yields
    ------
    x : (n,C,H,W) float32 (float64 if `images` is float64)
        A fresh array; it may be written to.
    labels : (n,) int64

    Raises
    ------
    TypeError, ValueError
        At the call, before the first batch: wrong shapes or dtypes, or a batch size below 1.

    Examples
    --------
    >>> images, labels = np.zeros((5, 1, 28, 28), np.uint8), np.arange(5)
    >>> [len(y) for x, y in batches(images, labels, 2, seed=0, epoch=0)]
    [2, 2, 1]
    """
    seed, epoch = _hash.check_key("batches", "seed", seed), _hash.check_key("batches", "epoch", epoch)
    images, labels = np.asarray(images), np.asarray(labels)
    size = _check_batches(images, labels, batch_size)
    n = len(labels)
    order = _hash.permutation(seed, epoch, _SHUFFLE_STREAM, n) if shuffle else np.arange(n)
    steps = steps_per_epoch(n, size, drop_last=drop_last)

    def produce() -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64]]]:
        for step in range(steps):
            index = order[step * size : (step + 1) * size]
            x = to_float(images[index])
            if augment is not None:
                x = augment(x, seed=seed, epoch=epoch, index=index)
            yield x, labels[index].astype(np.int64)

    # A function of its own, so that the checks above run at the call and not at the first batch.
    return produce()


def steps_per_epoch(images: int, batch_size: int, *, drop_last: bool = False) -> int:
    """How many batches an epoch has: what a schedule needs to know.

    >>> steps_per_epoch(4000, 128), steps_per_epoch(4000, 128, drop_last=True)
    (32, 31)
    """
    if batch_size < 1:
        raise ValueError(f"steps_per_epoch: batch size {batch_size} is below 1")
    return images // batch_size if drop_last else -(-images // batch_size)


def _check_batches(images: npt.NDArray[Any], labels: npt.NDArray[np.integer], batch_size: int) -> int:
    if images.ndim != 4 or labels.shape != images.shape[:1]:
        raise ValueError(f"batches: images {images.shape}, labels {labels.shape}: expected (N,C,H,W), (N,)")
    if images.dtype not in (np.uint8, np.float32, np.float64):
        raise TypeError(f"batches: images are {images.dtype}; uint8, float32 or float64 are accepted")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"batches: labels are {labels.dtype}, not integers")
    try:
        size = operator.index(batch_size)
    except TypeError:
        raise TypeError(f"batches: batch size {batch_size!r} is not an integer") from None
    if size < 1:
        raise ValueError(f"batches: batch size {size} is below 1")
    return size
