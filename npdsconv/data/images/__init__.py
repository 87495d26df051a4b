"""From a picture of any size and any colours to what a network sees.

A picture of a digit takes the 28x28 form in which MNIST has its digits: `reading` makes a file brightness, `ink` finds
the digit in it, `fitting` brings it into MNIST's form. Any other picture is seen whole, in its colours: `framing`.
"""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from . import fitting, ink
from .framing import frame, picture
from .reading import SUFFIXES, image_size, list_images, read_colours, read_image

__all__ = [
    "SUFFIXES",
    "frame",
    "image_size",
    "list_images",
    "picture",
    "prepare",
    "read_colours",
    "read_image",
]


def prepare(picture: str | os.PathLike[str] | npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Bring a picture of one digit into MNIST's form.

    Parameters
    ----------
    picture : path or (H,W) array
        A file, or brightness in any unit. Dark on light and light on dark are told apart by the border.

    Returns
    -------
    (28,28) uint8
        0 is background, 255 full ink.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file, not a picture, or nothing but background in it.

    Notes
    -----
    The border shows the background, uneven light included, and its noise; what stands out no more than that
    is background too. Where a desk or a frame lies around the paper, the paper is found first. Lines of ruled
    and squared paper are taken out. Dust of a few pixels is left out of the box around the ink. Strokes thinner
    than MNIST's thinnest, as a one-pixel pencil draws them, are thickened to 1.5 pixels of the result, and faint
    ones made full ink.

    References
    ----------
    Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits",
    http://yann.lecun.com/exdb/mnist/.
    """
    name = "array" if isinstance(picture, np.ndarray) else os.fspath(picture)
    pixels = picture if isinstance(picture, np.ndarray) else read_image(picture)
    if pixels.ndim != 2 or pixels.size == 0:
        raise ValueError(f"prepare: {name}: expected brightness of shape (H,W), found {pixels.shape}")
    pixels = pixels.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise ValueError(f"prepare: {name}: some pixels are not finite")
    found = ink.find(pixels)
    if found is None:
        size = "x".join(map(str, pixels.shape))
        raise ValueError(f"prepare: {name}: blank: in {size} pixels nothing stands out from the border")
    return fitting.fit(found)
