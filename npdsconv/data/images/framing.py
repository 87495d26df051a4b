"""From a picture of any size to one of a given size and number of channels: whole, in proportion, in the middle."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from .colour import LUMA
from .reading import read_colours
from .resampling import Pixels, resample

_FINER = 4  # times the size that is asked for: so finely a picture is read


def picture(path: str | os.PathLike[str], shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """A picture file as a network of such images sees it.

    Parameters
    ----------
    path : path
        As for `read_image`.
    shape : (C, H, W)
        C is 1, brightness (luma), or 3, red, green and blue.

    Returns
    -------
    (C,H,W) uint8

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As of `read_image`; another number of channels.
    """
    channels, height, width = shape
    return frame(read_colours(path, _FINER * max(height, width)), channels, (height, width))


def frame(colours: npt.NDArray[Any], channels: int, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Pixels (H,W,3) or (H,W,1) from 0 to 1, brought to `channels` and to `size`; (channels, *size) uint8.

    The whole picture stays in it, its sides in proportion, by exact areas; what is left free around it is 0, as
    augmentation leaves it.
    """
    if channels not in (1, 3):
        raise ValueError(f"frame: channels must be 1 (grey) or 3 (red, green, blue), got {channels}")
    factor = min(new / old for new, old in zip(size, colours.shape, strict=False))
    height, width = (max(1, round(old * factor)) for old in colours.shape[:2])
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    framed = np.zeros((channels, *size), np.uint8)
    for into, plane in zip(framed, _planes(colours, channels), strict=True):
        into[top : top + height, left : left + width] = np.round(255 * resample(plane, height, width))
    return framed


def _planes(colours: Pixels, channels: int) -> list[Pixels]:
    planes = list(np.moveaxis(colours, 2, 0))
    grey = all(np.array_equal(planes[0], plane) for plane in planes[1:])
    if channels == 1:
        return planes[:1] if grey else [colours @ LUMA]
    return planes if len(planes) == channels else planes * channels
