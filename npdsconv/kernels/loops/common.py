"""What all loops share: how a window steps over its image, and how partial sums are cut."""

import numpy as np

from npdsconv import layout
from npdsconv.shapes import Array, Pair, Window

IMAGES = 8  # that share a partial sum
ROWS = 1024  # of a matrix, that share one

Steps = tuple[Pair, Pair, Pair]
Bounds = tuple[float, float]  # of an activation: what it cuts its argument to


def steps_of(window: Window) -> Steps:
    """(top, left), stride and dilation: tap (u, v) of position (i, j) reads row i·sh + u·dh - top, and so on."""
    return (window.padding[0][0], window.padding[1][0]), window.stride, window.dilation


def pieces(count: int, size: int) -> int:
    """How many pieces of `size` cover `count` things."""
    return -(-count // size)


def bias_or_zeros(b: Array | None, outputs: int, like: Array) -> Array:
    return layout.readonly(np.zeros(outputs, like.dtype) if b is None else b)
