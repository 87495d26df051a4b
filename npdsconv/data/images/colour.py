"""From colours and transparency to one brightness in which the ink differs most from the paper."""

import numpy as np

from .regions import Mask
from .resampling import Pixels, at_most, grow

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Of ITU-R BT.601, as Pillow has it: what red, green and blue are worth in brightness."""

_OPAQUE = 0.95  # of the greatest opacity in the picture
_SIDE = 100  # cells a side in which colours are compared: noise averages away


def brightness(colour: Pixels, alpha: Pixels | None = None) -> Pixels:
    """The luma of a picture or, where it hides what the colours show, another mixture of the three.

    Parameters
    ----------
    colour : (H,W,3) from 0 to 1
    alpha : (H,W) from 0, transparent, to 1; None: all is opaque

    Returns
    -------
    (H,W) from 0 to 1
    """
    if alpha is not None:
        colour = on_paper(colour, alpha)
    mixture = _most_telling(colour)
    total = np.abs(mixture).sum()
    return (colour @ mixture - np.minimum(mixture, 0).sum()) / total


def on_paper(colour: Pixels, alpha: Pixels) -> Pixels:
    """Give what is transparent the colour of the page or, if there is only ink, the colour farthest from it."""
    opaque = alpha >= _OPAQUE * alpha.max()
    if _is_page(colour, opaque):
        beside = opaque & grow(~opaque, 2)
        page = np.median(colour[beside], axis=0) if beside.any() else np.zeros(3, colour.dtype)
        return np.where(opaque[..., None], colour, page)
    ink_is_light = (colour @ LUMA * alpha).sum() > 0.5 * alpha.sum()
    ground = 0 if ink_is_light else 1
    return ground + (colour - ground) * alpha[..., None]


def _is_page(colour: Pixels, opaque: Mask) -> bool:
    """Whether the opaque part is a page with ink on it, and not ink alone."""
    return bool(opaque.mean() >= 0.5 and np.ptp(colour[opaque], axis=0).max() > 0.15)


def _most_telling(colour: Pixels) -> Pixels:
    """Luma, unless the strongest difference of colours is more than twice as large in another mixture."""
    cells = np.stack([at_most(channel, _SIDE) for channel in np.moveaxis(colour, 2, 0)], axis=-1).reshape(
        -1, 3
    )
    difference = cells - np.median(cells, axis=0)
    # The main axis of the differences, each weighted by its square: a little ink counts more than much shade.
    moments = (difference.T * (difference**2).sum(axis=1)) @ difference
    axis = np.linalg.eigh(moments)[1][:, -1].astype(np.float32)
    axis /= np.abs(axis).sum()
    return axis if np.ptp(cells @ axis) > 2 * np.ptp(cells @ LUMA) else LUMA
