"""From ink cut out of a picture to the form in which MNIST has its digits.

MNIST's rule: scale the ink so that its longer side is 20 pixels, then put its centre of mass at pixel
(14, 14) of a 28x28 field.
"""

import numpy as np
import numpy.typing as npt

from .resampling import Pixels, dilate, resample

_FIELD, _BOX, _CENTRE = 28, 20, 14
_SUBPIXELS = 4  # strokes are measured and thickened on a grid this much finer than the result
_THIN = 1.5  # pixels; the 1st percentile of MNIST's own stroke widths
# This percentile of the inked pixels is as dark as MNIST has it: a crossing, which is darker, must not pale the rest.
_PERCENTILE, _FULL = 90, 0.99


def fit(ink: Pixels) -> npt.NDArray[np.uint8]:
    """Scale and centre ink, 0 where there is none, whose box is the whole array; (28,28) uint8."""
    return _centre(_scale(ink))


def _scale(ink: Pixels) -> Pixels:
    """Make the longer side 20 pixels and the strokes 1; thicken thin strokes on the way."""
    factor = _BOX / max(ink.shape)
    height, width = (max(1, round(size * factor)) for size in ink.shape)
    fine = resample(ink, _SUBPIXELS * height, _SUBPIXELS * width)
    missing = round(_SUBPIXELS * _THIN - _stroke_width(fine))
    if missing > 0:
        fine = dilate(fine, missing + 1)
    small = resample(fine, height, width)
    small /= small.max()
    full = min(1.0, float(np.percentile(small[small > 0.1], _PERCENTILE)) / _FULL)
    return np.minimum(small / full, 1)


def _centre(small: Pixels) -> npt.NDArray[np.uint8]:
    mass = small.sum()
    place = []
    for axis, size in enumerate(small.shape):
        centre = (small.sum(axis=1 - axis) * np.arange(size)).sum() / mass
        start = min(max(round(_CENTRE - centre), 0), _FIELD - size)  # all of it stays inside
        place.append(slice(start, start + size))
    field = np.zeros((_FIELD, _FIELD), np.uint8)
    field[tuple(place)] = np.round(255 * small)
    return field


def _stroke_width(ink: Pixels) -> float:
    """Mean stroke width in pixels: twice the area over the perimeter.

    Summed steps along rows and columns overstate the length of an edge, by 4/π over all directions.
    """
    padded = np.pad(ink, 1)
    steps = np.abs(np.diff(padded, axis=0)).sum() + np.abs(np.diff(padded, axis=1)).sum()
    return float(2 * ink.sum() / (steps * np.pi / 4))
