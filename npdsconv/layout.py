"""Memory layout: a shape is what you mean, a stride is where it lies.

Arrays have the shape (N, C, H, W) everywhere in this package. The fast tier keeps them *channels-last in
memory*: the C values of one pixel lie side by side. For such an array ``x.transpose(0, 2, 3, 1)`` is a
contiguous (N, H, W, C) view that costs nothing, and every fast op returns such an array, so that a chain
of them copies nothing.

>>> import numpy as np
>>> x = empty_nchw((2, 3, 4, 5), np.float32)
>>> x.shape, x.strides
((2, 3, 4, 5), (240, 4, 60, 12))
>>> np.shares_memory(nhwc(x), x), np.shares_memory(nhwc(np.zeros((2, 3, 4, 5))), x)
(True, False)
"""

import numpy as np
from numpy.typing import DTypeLike

from npdsconv.shapes import Array


def nhwc(x: Array) -> Array:
    """The (N, H, W, C) reading of an (N, C, H, W) array: contiguous, aligned, read-only.

    A view when `x` is channels-last in memory, otherwise one copy. Read-only, because a kernel may not write
    to its arguments, and because Numba would compile a second version for arrays that happen to be so.
    """
    return readonly(x.transpose(0, 2, 3, 1))


def nchw(x: Array) -> Array:
    """The (N, C, H, W) reading of an (N, H, W, C) array; always a view."""
    return x.transpose(0, 3, 1, 2)


def pixels_of(x: Array) -> Array:
    """An (N, C, H, W) array as (N·H·W, C): a row for each pixel, as :func:`nhwc` has them."""
    return nhwc(x).reshape(-1, x.shape[1])


def images_of(pixels: Array, like: Array) -> Array:
    """An (N·H·W, O) array as (N, O, H, W), with the N, H and W of `like`; a view."""
    n, _, h, w = like.shape
    return nchw(pixels.reshape(n, h, w, pixels.shape[1]))


def taps_of(w: Array) -> Array:
    """(C, M, KH, KW) depthwise weights as (KH, KW, C·M): for each tap one weight a channel, side by side."""
    c, m, kh, kw = w.shape
    return readonly(w.transpose(2, 3, 0, 1).reshape(kh, kw, c * m))


def empty_nchw(shape: tuple[int, int, int, int], dtype: DTypeLike) -> Array:
    """An uninitialised array of shape (N, C, H, W), channels-last in memory."""
    n, c, h, w = shape
    return nchw(np.empty((n, h, w, c), dtype))


def readonly(x: Array) -> Array:
    """A C-contiguous, aligned, read-only view of `x`, or of a copy where `x` lies otherwise."""
    if not (x.flags.c_contiguous and x.flags.aligned):
        x = np.require(x, requirements=("C", "A"))
    view = x.view()
    view.flags.writeable = False
    return view


def flat(x: Array) -> Array:
    """The values of `x` as one read-only row, in the order every kernel uses: channels-last for images."""
    return (nhwc(x) if x.ndim == 4 else readonly(x)).reshape(-1)


def unflat(values: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of :func:`flat`: an array of `shape` over the row `values`."""
    if len(shape) != 4:
        return values.reshape(shape)
    n, c, h, w = shape
    return nchw(values.reshape(n, h, w, c))
