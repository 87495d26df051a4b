"""Pictures made smaller or larger by exact areas, and the largest value around each pixel."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.floating]


def resample(image: Pixels, height: int, width: int) -> Pixels:
    """Average over the area that each new pixel covers: exact antialiasing, one matrix for each axis."""
    return _area_weights(image.shape[0], height) @ image @ _area_weights(image.shape[1], width).T


def at_most(image: Pixels, side: int) -> Pixels:
    """The picture with its longer side brought down to `side` pixels, if it is longer."""
    factor = side / max(image.shape)
    if factor >= 1:
        return image
    height, width = (max(1, round(size * factor)) for size in image.shape)
    return resample(image, height, width)


def dilate(image: npt.NDArray, size: int) -> npt.NDArray:
    """The maximum over size x size windows; the result is size - 1 larger."""
    for axis in (0, 1):
        padded = np.pad(image, [(size - 1, size - 1) if axis == k else (0, 0) for k in (0, 1)])
        image = np.lib.stride_tricks.sliding_window_view(padded, size, axis=axis).max(axis=-1)
    return image


def grow(mask: npt.NDArray[np.bool_], reach: int) -> npt.NDArray[np.bool_]:
    """All pixels within `reach` rows and columns of the mask."""
    return dilate(mask, 2 * reach + 1)[reach:-reach, reach:-reach] if reach else mask


def shrink(mask: npt.NDArray[np.bool_], reach: int) -> npt.NDArray[np.bool_]:
    """The pixels of the mask that lie more than `reach` rows and columns from its edge and from the picture's."""
    return ~grow(np.pad(~mask, 1, constant_values=True), reach)[1:-1, 1:-1]


def _area_weights(old: int, new: int) -> Pixels:
    edges = np.linspace(0, old, new + 1)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(overlap, 0) * (new / old)).astype(np.float32)
