"""More augmentations: crop, flip, noise, salt and pepper, cut-out; and several after one another.

Like :class:`npdsconv.data.Affine` each of them is called on a batch with the seed, the epoch and the place of each
image in its split, and is a function of these alone: batch size, order and resuming change nothing.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _hash
from .batching import Augment

Images = npt.NDArray[Any]
Index = npt.NDArray[np.integer]
# Streams keep the random numbers of different augmentations apart; pixels of one image count on from theirs.
_CROP, _FLIP, _CUT = 0x63726F70, 0x666C6970, 0x63757400
_NOISE, _RADIUS, _SALT = 0x6E6F6900 << 32, 0x72616400 << 32, 0x73616C00 << 32


@dataclass(frozen=True)
class Crop:
    """Pad every side with zeros and cut out a window of the old size, anywhere: a shift by whole pixels.

    Parameters
    ----------
    padding : int, pixels on each side
    """

    padding: int

    def __post_init__(self) -> None:
        _require("Crop", "padding", self.padding, self.padding >= 0, "at least 0")

    def __call__(self, x: Images, *, seed: int, epoch: int, index: Index) -> Images:
        """A batch (n,C,H,W) to the same shape."""
        places = _uniform("Crop", x, seed, epoch, np.arange(_CROP, _CROP + 2)[:, None], index)
        rows, columns = np.floor(places * (2 * self.padding + 1)).astype(np.int64)
        wide = np.pad(x, ((0, 0), (0, 0), *((self.padding, self.padding),) * 2))
        height, width = x.shape[2:]
        windows = np.lib.stride_tricks.sliding_window_view(wide, (height, width), axis=(2, 3))
        return np.ascontiguousarray(windows[np.arange(len(x)), :, rows, columns])


@dataclass(frozen=True)
class Flip:
    """Mirror left and right, with a probability. Not for digits: a mirrored 2 is no 2.

    Parameters
    ----------
    p : float, the probability
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        _require("Flip", "p", self.p, 0 <= self.p <= 1, "in [0, 1]")

    def __call__(self, x: Images, *, seed: int, epoch: int, index: Index) -> Images:
        """A batch (n,C,H,W) to the same shape."""
        mirrored = _uniform("Flip", x, seed, epoch, _FLIP, index) < self.p
        return np.where(mirrored[:, None, None, None], x[..., ::-1], x)


@dataclass(frozen=True)
class GaussianNoise:
    """Add normal numbers to every pixel. Values may leave [0, 1], as they do under a camera's noise.

    Parameters
    ----------
    sigma : float, the standard deviation; 0.1 is a tenth of full ink
    """

    sigma: float

    def __post_init__(self) -> None:
        _require("GaussianNoise", "sigma", self.sigma, 0 <= self.sigma < math.inf, "at least 0 and finite")

    def __call__(self, x: Images, *, seed: int, epoch: int, index: Index) -> Images:
        """A batch (n,C,H,W) to the same shape."""
        # Box and Muller: an angle and a radius give a normal number.
        angle = _of_pixels("GaussianNoise", x, seed, epoch, _NOISE, index)
        radius = np.sqrt(-2 * np.log1p(-_of_pixels("GaussianNoise", x, seed, epoch, _RADIUS, index)))
        return x + (self.sigma * radius * np.cos(2 * np.pi * angle)).astype(x.dtype)


@dataclass(frozen=True)
class SaltAndPepper:
    """Set pixels to 1 or to 0, a half each.

    Parameters
    ----------
    share : float, of all pixels
    """

    share: float

    def __post_init__(self) -> None:
        _require("SaltAndPepper", "share", self.share, 0 <= self.share <= 1, "in [0, 1]")

    def __call__(self, x: Images, *, seed: int, epoch: int, index: Index) -> Images:
        """A batch (n,C,H,W) to the same shape."""
        u = _of_pixels("SaltAndPepper", x, seed, epoch, _SALT, index)
        return np.where(u < self.share, (u < self.share / 2).astype(x.dtype), x)


@dataclass(frozen=True)
class CutOut:
    """Set a square to 0; its middle is anywhere, so at the rim it is cut.

    Parameters
    ----------
    size : int, pixels of a side

    References
    ----------
    DeVries and Taylor, *Improved Regularization of Convolutional Neural Networks with Cutout*, arXiv:1708.04552.
    """

    size: int

    def __post_init__(self) -> None:
        _require("CutOut", "size", self.size, self.size >= 1, "at least 1")

    def __call__(self, x: Images, *, seed: int, epoch: int, index: Index) -> Images:
        """A batch (n,C,H,W) to the same shape."""
        places = _uniform("CutOut", x, seed, epoch, np.arange(_CUT, _CUT + 2)[:, None], index)
        keep = []
        for place, extent in zip(places, x.shape[2:], strict=True):
            first = np.floor(place * extent).astype(np.int64)[:, None] - self.size // 2
            at = np.arange(extent)
            keep.append((at < first) | (at >= first + self.size))
        rows, columns = keep
        return x * (rows[:, None, :, None] | columns[:, None, None, :])


class Compose:
    """Several augmentations, one after the other.

    Examples
    --------
    >>> from npdsconv.data import Affine
    >>> Compose(Affine(rotate=10), CutOut(6))
    Compose(Affine(rotate=10, shift=0.0, scale=0.0, shear=0.0), CutOut(size=6))
    """

    def __init__(self, *augments: Augment) -> None:
        for augment in augments:
            if not callable(augment):
                raise TypeError(f"Compose: {augment!r} is no augmentation: it cannot be called")
        self.augments = augments

    def __call__(self, x: Images, *, seed: int, epoch: int, index: Index) -> Images:
        """A batch (n,C,H,W) to the same shape."""
        for augment in self.augments:
            x = augment(x, seed=seed, epoch=epoch, index=index)
        return x

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.augments))})"


def _require(where: str, name: str, value: float, holds: bool, rule: str) -> None:
    if not holds:
        raise ValueError(f"{where}: {name} must be {rule}, got {value}")


def _uniform(
    where: str, x: Images, seed: int, epoch: int, stream: Any, index: Index
) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each image and stream, the images last."""
    index = np.asarray(index)
    _hash.check_images(where, x, index)
    seed, epoch = _hash.check_key(where, "seed", seed), _hash.check_key(where, "epoch", epoch)
    return _hash.uniform(seed, epoch, stream, index)


def _of_pixels(
    where: str, x: Images, seed: int, epoch: int, stream: int, index: Index
) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each pixel of each image."""
    pixels = np.arange(stream, stream + math.prod(x.shape[1:]))[:, None]
    return _uniform(where, x, seed, epoch, pixels, index).T.reshape(x.shape)
