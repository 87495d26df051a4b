"""Max pooling on channels-last memory; average pooling needs no kernel of its own (see ops/pooling.py)."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels._jit import kernel, prange, serial
from npdsconv.shapes import Array, Window


def max_forward(x: Array, window: Window) -> Array:
    y = np.empty((len(x), *window.output, x.shape[1]), x.dtype)
    _max_forward(layout.nhwc(x), y, *_geometry(window))
    return layout.nchw(y)


def max_backward(dy: Array, x: Array, window: Window) -> Array:
    dx = np.zeros((len(x), *x.shape[2:], x.shape[1]), x.dtype)
    _max_backward(layout.nhwc(dy), layout.nhwc(x), dx, *_geometry(window))
    return layout.nchw(dx)


def _geometry(window: Window):
    (top, _), (left, _) = window.padding
    return window.kernel, window.stride, (top, left), window.dilation


@serial
def _largest(image, i, j, taps, stride, corner, dilation, best, where):
    """For output pixel (i, j): each channel's largest value, and the flat index of the pixel that holds it."""
    found = False
    for u in range(taps[0]):
        p = i * stride[0] + u * dilation[0] - corner[0]
        for v in range(taps[1]):
            q = j * stride[1] + v * dilation[1] - corner[1]
            if 0 <= p < image.shape[0] and 0 <= q < image.shape[1]:
                pixel, at = image[p, q], p * image.shape[1] + q
                for c in range(pixel.shape[0]):
                    # the first of equals wins; a NaN beats every number, as in NumPy and PyTorch
                    if not found or pixel[c] > best[c] or (pixel[c] != pixel[c] and best[c] == best[c]):
                        best[c] = pixel[c]
                        where[c] = at
                found = True


@kernel
def _max_forward(images, y, taps, stride, corner, dilation):
    for n in prange(y.shape[0]):
        where = np.empty(y.shape[3], np.int64)
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                _largest(images[n], i, j, taps, stride, corner, dilation, y[n, i, j], where)


@kernel
def _max_backward(dy, images, dx, taps, stride, corner, dilation):
    for n in prange(dy.shape[0]):
        where, best = np.empty(dy.shape[3], np.int64), np.empty(dy.shape[3], dy.dtype)
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                _largest(images[n], i, j, taps, stride, corner, dilation, best, where)
                for c in range(best.shape[0]):
                    dx[n, where[c] // dx.shape[2], where[c] % dx.shape[2], c] += dy[n, i, j, c]
