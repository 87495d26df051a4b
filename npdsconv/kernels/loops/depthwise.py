"""Depthwise convolution: one product of dy, w and x, added up in three ways."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels.loops.common import IMAGES, bias_or_zeros, pieces, steps_of
from npdsconv.kernels.machine.jit import each, kernel, prange
from npdsconv.shapes import Array, Window


def forward(x: Array, w: Array, b: Array | None, window: Window) -> Array:
    taps = layout.taps_of(w)
    y = np.empty((len(x), *window.output, taps.shape[2]), x.dtype)
    depthwise(repeated(x, w.shape[1]), taps, bias_or_zeros(b, y.shape[3], x), steps_of(window), y)
    return layout.nchw(y)


def input_gradient(dy: Array, w: Array, shape: tuple[int, ...], window: Window) -> Array:
    (n, c, height, width), m = shape, w.shape[1]
    dx = np.zeros((n, height, width, c * m), dy.dtype)
    depthwise_dx(layout.nhwc(dy), layout.taps_of(w), steps_of(window), dx)
    return layout.nchw(dx if m == 1 else dx.reshape(n, height, width, c, m).sum(axis=-1))


def weight_gradient(dy: Array, x: Array, shape: tuple[int, ...], window: Window) -> Array:
    c, m, kh, kw = shape
    partial = np.zeros((pieces(len(x), IMAGES), kh, kw, c * m), x.dtype)
    depthwise_dw(layout.nhwc(dy), repeated(x, m), steps_of(window), partial)
    return np.ascontiguousarray(partial.sum(axis=0).reshape(kh, kw, c, m).transpose(2, 3, 0, 1))


@kernel
def depthwise(x, w, b, steps, y):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, channels = y.shape
    for row in prange(images * rows):  # owns row i of image n of y
        n, i = row // rows, row % rows
        for j in range(columns):
            for c in range(channels):
                y[n, i, j, c] = b[c]
            for u in range(w.shape[0]):
                for v in range(w.shape[1]):
                    p, q = i * sh + u * dh - top, j * sw + v * dw - left
                    if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                        for c in range(channels):
                            y[n, i, j, c] += w[u, v, c] * x[n, p, q, c]


@kernel(pieces=each)
def depthwise_dx(dy, w, steps, dx):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, channels = dy.shape
    for n in prange(images):  # owns image n of dx
        for i in range(rows):
            for j in range(columns):
                for u in range(w.shape[0]):
                    for v in range(w.shape[1]):
                        p, q = i * sh + u * dh - top, j * sw + v * dw - left
                        if 0 <= p < dx.shape[1] and 0 <= q < dx.shape[2]:
                            for c in range(channels):
                                dx[n, p, q, c] += dy[n, i, j, c] * w[u, v, c]


@kernel
def depthwise_dw(dy, x, steps, partial):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, channels = dy.shape
    for k in prange(partial.shape[0]):  # owns partial sum k
        for n in range(k * IMAGES, min(images, (k + 1) * IMAGES)):
            for i in range(rows):
                for j in range(columns):
                    for u in range(partial.shape[1]):
                        for v in range(partial.shape[2]):
                            p, q = i * sh + u * dh - top, j * sw + v * dw - left
                            if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                                for c in range(channels):
                                    partial[k, u, v, c] += dy[n, i, j, c] * x[n, p, q, c]


def repeated(x: Array, m: int) -> Array:
    """(N,H,W,C·M): M filters for a channel are one filter for each of M copies of it."""
    return layout.nhwc(x) if m == 1 else layout.readonly(layout.nhwc(x).repeat(m, axis=3))
