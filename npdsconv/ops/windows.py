"""Windows onto an image: pad, crop, the strided view, im2col and its transpose col2im.

``windows`` shows every receptive field without copying a number: element ``[n, c, i, j, u, v]`` of the view is
the padded input at row ``i·s + u·d``, column ``j·s + v·d``. ``im2col`` lays the same numbers out as a matrix, so
that a convolution becomes one matrix product. ``col2im`` is the transpose of ``im2col`` as a linear map, not
its inverse: where windows overlap it *adds*, which is what a gradient has to do.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from npdsconv.ops._memory import check_window_memory
from npdsconv.shapes import (
    Array,
    Padding,
    PaddingLike,
    Pair,
    Stride,
    Window,
    check_floats,
    check_ndim,
    check_shape,
    pair,
    resolve_window,
)


def pad(x: Array, padding: Padding, value: float = 0) -> Array:
    """Surround the last two axes of `x` with `value`: ``padding = ((top, bottom), (left, right))``."""
    if padding == ((0, 0), (0, 0)):
        return x
    return np.pad(x, ((0, 0),) * (x.ndim - 2) + padding, constant_values=value)


def crop(x: Array, padding: Padding) -> Array:
    """Take off what :func:`pad` put on; a view. It is also the transpose of `pad`."""
    (top, bottom), (left, right) = padding
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def windows(padded: Array, window: Window) -> Array:
    """All receptive fields of an already padded image, as a read-only view (N, C, OH, OW, KH, KW)."""
    (sh, sw), (dh, dw) = window.stride, window.dilation
    oh, ow = window.output
    fields = sliding_window_view(padded, window.span, axis=(-2, -1))
    return fields[:, :, ::sh, ::sw, ::dh, ::dw][:, :, :oh, :ow]


def columns(x: Array, window: Window) -> Array:
    """im2col for a resolved window: (N, C·KH·KW, OH·OW)."""
    n, c = x.shape[:2]
    (kh, kw), (oh, ow) = window.kernel, window.output
    fields = windows(pad(x, window.padding), window)
    return fields.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)


def scatter_columns(cols: Array, shape: tuple[int, ...], window: Window) -> Array:
    """col2im for a resolved window: add every column entry to the pixel it was read from.

    The loop runs over the KH·KW taps, not over pixels: for one tap the pixels read are a regular grid, so
    each pass is one strided addition.
    """
    n, c, h, w = shape
    (kh, kw), (oh, ow) = window.kernel, window.output
    (sh, sw), (dh, dw) = window.stride, window.dilation
    (top, bottom), (left, right) = window.padding
    taps = cols.reshape(n, c, kh, kw, oh, ow)
    padded = np.zeros((n, c, h + top + bottom, w + left + right), cols.dtype)
    for u, v in np.ndindex(kh, kw):
        rows = slice(u * dh, u * dh + (oh - 1) * sh + 1, sh)
        across = slice(v * dw, v * dw + (ow - 1) * sw + 1, sw)
        padded[:, :, rows, across] += taps[:, :, u, v]
    return crop(padded, window.padding)


def im2col(
    x: Array, kernel_size: Stride, *, stride: Stride = 1, padding: PaddingLike = 0, dilation: Stride = 1
) -> Array:
    """Lay the receptive fields of `x` out as the columns of a matrix.

    ``cols[n, (c·KH + u)·KW + v, i·OW + j] = xpad[n, c, i·sh + u·dh, j·sw + v·dw]``

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64
    kernel_size, stride, dilation : int or (height, width)
    padding : int, (height, width), ((top, bottom), (left, right)), "valid", "same" or "same_lower"

    Returns
    -------
    cols : (N, C·KH·KW, OH·OW), the layout of ``torch.nn.functional.unfold``

    Notes
    -----
    Up to KH·KW times the memory of `x`: the price of turning a convolution into one matrix product.

    References
    ----------
    Chellapilla, Puri, Simard, *High Performance Convolutional Neural Networks for Document Processing*, 2006.

    Examples
    --------
    >>> im2col(np.arange(1.0, 10).reshape(1, 1, 3, 3), 2)[0].T   # one row per output pixel
    array([[1., 2., 4., 5.],
           [2., 3., 5., 6.],
           [4., 5., 7., 8.],
           [5., 6., 8., 9.]])
    """
    window = _check("im2col", x, kernel_size, stride, padding, dilation)
    return columns(x, window)


def col2im(
    cols: Array,
    size: Pair,
    kernel_size: Stride,
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
) -> Array:
    """The transpose of :func:`im2col`: scatter the columns back onto an image, adding where windows overlap.

    Parameters
    ----------
    cols : (N, C·KH·KW, OH·OW) float32 or float64
    size : (H, W) of the image
    kernel_size, stride, padding, dilation : as for :func:`im2col`

    Returns
    -------
    x : (N, C, H, W)

    Examples
    --------
    How often each pixel of a 3x3 image is read by a 2x2 kernel:

    >>> col2im(np.ones((1, 4, 4)), (3, 3), 2)[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    op = "col2im"
    check_floats(op, cols=cols)
    check_ndim(op, "cols", cols, "N, C·KH·KW, OH·OW")
    kernel = pair(op, "kernel_size", kernel_size)
    h, w = pair(op, "size", size)
    window = resolve_window(op, (h, w), kernel, stride, padding, dilation)
    taps, pixels = kernel[0] * kernel[1], window.output[0] * window.output[1]
    c = cols.shape[1] // taps
    check_shape(op, "cols", cols, (cols.shape[0], c * taps, pixels), f"KH·KW = {taps}, OH·OW = {pixels}")
    check_window_memory(op, (len(cols), c, h, w), cols.dtype, window, c)
    return scatter_columns(cols, (len(cols), c, h, w), window)


def _check(
    op: str, x: Array, kernel_size: Stride, stride: Stride, padding: PaddingLike, dilation: Stride
) -> Window:
    check_floats(op, x=x)
    check_ndim(op, "x", x, "N, C, H, W")
    window = resolve_window(op, x.shape[2:], pair(op, "kernel_size", kernel_size), stride, padding, dilation)
    check_window_memory(op, x.shape, x.dtype, window, x.shape[1], im2col=True)
    return window
